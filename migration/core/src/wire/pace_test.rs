//! The pace on links that are computed: what it makes of them, against what could be made.

use std::time::Duration;

use super::*;

const BATCH: usize = 128 << 10;

/// A link that drains at a rate behind a socket's buffer, and a sender whose coder has a rate and a ratio.
struct Path {
    link: f64,
    buffer: f64,
    queued: f64,
    raw: f64,
    coder: f64,
    ratio: f64,
    /// The highest level that brings anything.
    best: i32,
    /// Whether it is the target that does not take more, and for how long it has not.
    target_lags: bool,
    peer_was_full: f64,
}

impl Path {
    fn new(link: f64, coder: f64, ratio: f64) -> Self {
        let (target_lags, peer_was_full) = (false, 0.0);
        Self { link, buffer: 2.5e6, queued: 0.0, raw: 4e9, coder, ratio, best: 9, target_lags, peer_was_full }
    }

    /// A rate of coder and the ratio at a level: each is half as fast as the one before, and up to the best a little better.
    fn at(&self, level: i32) -> (f64, f64) {
        let steps = |level| LEVELS.iter().position(|&l| l == level).unwrap() as i32;
        (self.coder / f64::from(1 << steps(level)), self.ratio * 0.94f64.powi(steps(level.min(self.best))))
    }

    /// Sends so many batches; bytes of pages per second, and the batches that were compressed.
    fn run(&mut self, pace: &mut Pace, batches: u32) -> (f64, u32) {
        let (mut seconds, mut packed) = (0.0, 0);
        for _ in 0..batches {
            let level = pace.level();
            let (encode, wire) = match level {
                None => (BATCH as f64 / self.raw, BATCH as f64),
                Some(level) => {
                    let (rate, ratio) = self.at(level);
                    (BATCH as f64 / rate, BATCH as f64 * ratio)
                }
            };
            packed += u32::from(level.is_some());
            let mut write = wire / 5e9;
            self.queued = (self.queued - encode * self.link).max(0.0);
            let before = self.queued as u64;
            self.queued = (self.queued - write * self.link).max(0.0);
            if self.queued + wire > self.buffer {
                // A sender that waits is woken when a third of the buffer is free.
                let wait = (self.queued + wire - self.buffer * 2.0 / 3.0) / self.link;
                write += wait;
                self.peer_was_full += if self.target_lags { wait } else { 0.0 };
                self.queued = self.buffer * 2.0 / 3.0 - wire;
            }
            self.queued += wire;
            seconds += encode + write;
            let batch = Batch { bytes: BATCH, wire: wire as usize, packed: level.is_some() };
            let peer_was_full = Duration::from_secs_f64(self.peer_was_full);
            let backlog = Backlog { queued: self.queued as u64, before, peer_was_full, cap: None };
            pace.spent(batch, Duration::from_secs_f64(encode), Duration::from_secs_f64(write), backlog);
        }
        (f64::from(batches) * BATCH as f64 / seconds, packed)
    }
}

fn settled(path: &mut Path) -> (f64, u32) {
    let mut pace = Pace::new(Packing::Auto);
    path.run(&mut pace, 1000);
    path.run(&mut pace, 2000)
}

#[test]
fn a_fast_link_is_never_slowed_not_even_to_try() {
    for link in [1e9, 3e9, 10e9] {
        assert_eq!(Path::new(link, 400e6, 0.4).run(&mut Pace::new(Packing::Auto), 5000).1, 0, "{link}");
    }
}

#[test]
fn a_target_that_lags_is_not_given_more_to_do() {
    for link in [62.5e6, 250e6] {
        let mut path = Path { target_lags: true, ..Path::new(link, 400e6, 0.4) };
        let mut pace = Pace::new(Packing::Auto);
        assert_eq!(path.run(&mut pace, 5000).1, 0, "{link}");
        // The target has time again, and the link is as slow as it was.
        path.target_lags = false;
        path.run(&mut pace, 3000);
        assert!(path.run(&mut pace, 1000).1 > 300, "{link}");
    }
}

#[test]
fn a_slow_link_carries_as_much_as_cpu_and_link_together_can() {
    for (link, coder, ratio) in [
        (12.5e6, 400e6, 0.4),
        (62.5e6, 400e6, 0.37),
        (125e6, 400e6, 0.37),
        (250e6, 300e6, 0.4),
        (275e6, 300e6, 0.37),
    ] {
        // A share x is compressed: the link needs (x·ratio + 1 − x)/link, the CPU x/coder for each byte.
        let best = (0..=100).map(|x| f64::from(x) / 100.0).fold(0.0, |best: f64, x| {
            best.max(1.0 / ((x * ratio + 1.0 - x) / link).max(x / coder + (1.0 - x) / 4e9))
        });
        let (rate, packed) = settled(&mut Path::new(link, coder, ratio));
        assert!(rate > 0.85 * best, "{link}: {rate} of {best}, {packed} packed");
    }
}

/// The level for the batch after one that went raw, in `time`, with this much of a cap left.
fn level_after(pace: &mut Pace, cap: Allowance, time: Duration) -> Option<i32> {
    let batch = Batch { bytes: BATCH, wire: BATCH, packed: false };
    pace.spent(batch, time, time, Backlog { cap: Some(cap), ..Backlog::default() });
    pace.level()
}

#[test]
fn under_a_cap_a_lane_compresses_unless_a_batch_might_go_at_once() {
    let mut pace = Pace::new(Packing::Auto);
    let mut level_with = |share: f64, unused: usize| {
        let kept = (share / 50.0) as u64;
        let cap = Allowance { share, unused: unused as u64, kept, lost: 0, pages: 0 };
        level_after(&mut pace, cap, Duration::from_micros(100))
    };
    assert_eq!(level_with(62.5e6, BATCH - 1), Some(1), "a cap need not show that it is slow");
    assert_eq!(level_with(62.5e6, BATCH), None, "the link would stand idle meanwhile");
    assert_eq!(level_with(4e6, 79_999), Some(1));
    assert_eq!(level_with(4e6, 80_000), None, "no more is kept, though it is less than a batch");
    assert_eq!(level_with(2.0 * CODER_RATE, 0), Some(1), "beside what goes raw");
    assert_eq!(level_with(2.0 * CODER_RATE, BATCH), None, "and not instead of it");
    assert_eq!(level_with(5.0 * CODER_RATE, 0), None, "a cap far above the coder's rate");
}

#[test]
fn a_host_without_time_for_coders_sends_pages_raw_whatever_the_cap() {
    // A batch takes so long to compress, to two fifths; the cap is 8 MB/s.
    let packed_with = |coder: f64| {
        let mut pace = Pace::new(Packing::Auto);
        let mut packed = 0;
        for n in 0..2000 {
            let cap =
                Some(Allowance { share: 8e6, unused: 0, kept: 80_000, lost: 0, pages: n * BATCH as u64 });
            let level = if n == 0 { None } else { pace.level() };
            packed += u32::from(level.is_some());
            let (wire, encode) = match level {
                Some(_) => (BATCH * 2 / 5, Duration::from_secs_f64(BATCH as f64 / coder)),
                None => (BATCH, Duration::from_micros(100)),
            };
            let batch = Batch { bytes: BATCH, wire, packed: level.is_some() };
            let write = Duration::from_secs_f64(wire as f64 / 8e6);
            pace.spent(batch, encode, write, Backlog { cap, ..Backlog::default() });
        }
        packed
    };
    assert!(packed_with(100e6) > 1900, "time enough");
    let packed = packed_with(5e6);
    assert!((1..100).contains(&packed), "{packed} of 2000, each of which takes longer than raw");
}

#[test]
fn a_lane_that_compresses_more_slowly_than_its_share_does_no_harm_while_others_use_the_cap() {
    // 250 MB/s are its share, and it compresses 200 MB/s, to two fifths; the others send as much more as that leaves, or not.
    let packed_with = |others: bool| {
        let mut pace = Pace::new(Packing::Auto);
        let (mut packed, mut pages) = (0, 0.0);
        for n in 0..2000 {
            let level = if n == 0 { None } else { pace.level() };
            packed += u32::from(level.is_some());
            let (wire, seconds) = if level.is_some() { (0.4, 1.0 / 200e6) } else { (1.0, 1.0 / 250e6) };
            let seconds = seconds * BATCH as f64;
            let own = BATCH as f64;
            pages += (own + if others { seconds * 500e6 - wire * own } else { own }) / 2.0;
            let cap =
                Some(Allowance { share: 250e6, unused: 0, kept: 2_500_000, lost: 0, pages: pages as u64 });
            let batch = Batch { bytes: BATCH, wire: (wire * own) as usize, packed: level.is_some() };
            let encode = Duration::from_secs_f64(seconds);
            pace.spent(batch, encode, Duration::ZERO, Backlog { cap, ..Backlog::default() });
        }
        packed
    };
    assert!(packed_with(true) > 1900);
    assert!(packed_with(false) < 1000, "all of them compress, and less goes than raw");
}

#[test]
fn a_cap_above_what_a_slow_link_carries_does_no_harm() {
    let mut pace = Pace::new(Packing::Auto);
    let mut packed = 0;
    for n in 0..2000 {
        let cap =
            Some(Allowance { share: 500e6, unused: 0, kept: 5_000_000, lost: 0, pages: n * BATCH as u64 });
        let level = if n == 0 { None } else { pace.level() };
        packed += u32::from(level.is_some());
        let wire = if level.is_some() { BATCH * 2 / 5 } else { BATCH };
        let encode = Duration::from_secs_f64(if level.is_some() { BATCH as f64 / 187e6 } else { 1e-4 });
        // The socket's buffer is full, and its link takes 50 MB/s.
        let write = Duration::from_secs_f64(wire as f64 / 50e6).saturating_sub(encode);
        let backlog = Backlog { queued: 2_000_000, before: 2_000_000, cap, ..Backlog::default() };
        let batch = Batch { bytes: BATCH, wire, packed: level.is_some() };
        pace.spent(batch, encode, write, backlog);
    }
    assert!(packed > 1900, "{packed} of 2000");
}

#[test]
fn what_does_not_compress_is_tried_rarely() {
    for link in [12.5e6, 125e6, 300e6] {
        let (rate, packed) = settled(&mut Path::new(link, 400e6, 1.0));
        assert!(packed < 60, "{link}: {packed} of 2000");
        assert!(rate > 0.98 * link, "{link}: {rate}");
    }
}

#[test]
fn time_that_is_left_goes_into_a_higher_level() {
    let mut pace = Pace::new(Packing::Auto);
    let mut path = Path::new(12.5e6, 400e6, 0.4);
    path.run(&mut pace, 2000);
    assert_eq!(pace.level(), Some(9));
    // The link becomes faster: first to a lower level, then to none.
    path.link = 150e6;
    path.run(&mut pace, 4000);
    assert!(pace.level().is_none_or(|level| level < 9));
    path.link = 5e9;
    path.run(&mut pace, 10_000);
    assert_eq!(path.run(&mut pace, 1000).1, 0);
}

#[test]
fn a_level_that_brings_nothing_is_left_for_the_one_below_and_tried_now_and_then() {
    for best in [1, 3] {
        let (mut pace, mut path) = (Pace::new(Packing::Auto), Path::new(12.5e6, 400e6, 0.4));
        path.best = best;
        path.run(&mut pace, 1000);
        let (mut at_best, mut above) = (0, 0);
        for _ in 0..10_000 {
            path.run(&mut pace, 1);
            match LEVELS[pace.level] {
                level if level == best => at_best += 1,
                level if level > best => above += 1,
                _ => {}
            }
        }
        assert_eq!(at_best + above, 10_000, "best {best}: never below");
        assert!((1..1000).contains(&above), "best {best}: {above} above");
    }
}

#[test]
fn a_level_at_which_a_part_of_a_cap_is_lost_is_left() {
    // From level 6 on a fifth of the share is lost, on a host so busy that no lane ever finds it unused; that is more than the
    // level gains: it is not taken, and it is left where the host was not busy before.
    let mut pace = Pace::new(Packing::Auto);
    let (share, mut lost, mut pages) = (6.25e6, 0.0, 0);
    let mut high_of = |pace: &mut Pace, is_busy: bool| {
        let mut high = 0;
        for _ in 0..4000 {
            let level = pace.level();
            let ratio = level.map_or(1.0, |level| 0.4 * 0.94f64.powi(level / 3));
            let is_high = level.is_some_and(|level| level >= 6);
            high += u32::from(is_high);
            let loses = is_high && is_busy;
            let seconds = BATCH as f64 * ratio / share * if loses { 1.25 } else { 1.0 };
            lost += if loses { 0.2 * seconds * share } else { 0.0 };
            pages += BATCH as u64;
            let cap = Some(Allowance { share, unused: 0, kept: 62_500, lost: lost as u64, pages });
            let batch =
                Batch { bytes: BATCH, wire: (BATCH as f64 * ratio) as usize, packed: level.is_some() };
            let encode = Duration::from_secs_f64(BATCH as f64 / 100e6);
            let write = Duration::from_secs_f64(seconds).saturating_sub(encode);
            pace.spent(batch, encode, write, Backlog { cap, ..Backlog::default() });
        }
        high
    };
    for turn in 0..2 {
        let busy = high_of(&mut pace, true);
        assert!((1..400).contains(&busy), "turn {turn}: {busy} of 4000 above level 3");
        assert!(high_of(&mut pace, false) > 3000, "turn {turn}");
    }
}

#[test]
fn the_last_round_is_packed_where_that_is_sooner_whatever_the_others_were() {
    for (link, packs) in [(100e6, true), (2e9, false)] {
        let mut pace = Pace::new(Packing::Never);
        let mut path = Path::new(link, 400e6, 0.4);
        assert_eq!(path.run(&mut pace, 1000).1, 0);
        pace.begin_round(true);
        assert_eq!(path.run(&mut pace, 10).1, if packs { 10 } else { 0 });
    }
}
