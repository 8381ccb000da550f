//! When the tracking of a page begins: with the migration, or just before the page is first sent.
//!
//! A page that is tracked costs the guest a fault at its next write. Where tracking begins with the first round, the
//! guest pays for each page that it writes before the round comes to it, and gets nothing for it but what
//! `skip-redirtied` makes of it: that page goes once, later, and not twice. So a link that takes a page sooner than the guest
//! takes a fault does better to send such a page twice.

//!
//! The first round then sees the writes of about half its time: a page's from the moment at which it was sent.

use std::time::Duration;

/// When pages are armed, that is when tracking of them begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arming {
    /// All of them before the first round.
    AtOnce,
    /// Each block of the first round just before it is sent, as long as [`pays`] says so; what is not sent in it, at once.
    AsSent,
}

/// Pages a second that must go for it to pay: 2.5 µs a page. A write fault takes 2 to 4 µs where the CPU has two levels of
/// page tables, 12 where KVM keeps them itself.
const LEAST_PAGES_PER_S: f64 = 400_000.0;
/// How long a round is watched before it is judged.
const WATCHED: Duration = Duration::from_millis(10);

/// Whether a round that arms as it goes, and has sent so many pages in so much time, by all lanes together, shall go on like that.
#[must_use]
pub fn pays(pages: u64, elapsed: Duration) -> bool {
    elapsed < WATCHED || pages as f64 >= LEAST_PAGES_PER_S * elapsed.as_secs_f64()
}

#[cfg(test)]
mod arming_test {
    use super::*;

    #[test]
    fn a_round_is_judged_by_its_rate_once_it_has_one() {
        let ms = Duration::from_millis;
        assert!(pays(0, ms(9)), "nothing is known yet");
        assert!(!pays(0, ms(10)));
        assert!(pays(40_000, ms(100)) && !pays(39_999, ms(100)), "2.5 us a page");
    }
}
