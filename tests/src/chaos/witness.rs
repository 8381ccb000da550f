//! The guest as witness: it runs, whole and once.
//!
//! The load guest numbers its heartbeats. Two copies of it would both print the number after the hand-over's, so the
//! consoles of a guest that moved, one after the other, have every number once, or there were two.

use std::time::Duration;

use guest_images::{Heartbeat, LoadLine};

use crate::{
    verdict::Verdict,
    vmm::{GUEST, Vmm},
};

/// Heartbeats that are heard of a guest that runs.
const BEATS: usize = 4;
/// Ends of sweeps that are heard of it: between the first and the second lies one of all its memory.
const SWEEPS: u64 = 2;
/// How long a guest that must not run is listened to, after another copy has been heard.
const SILENCE: Duration = Duration::from_millis(60);

/// Waits until the guest of `vmm` has gone on, and has checked all its memory meanwhile: for as long as it takes, where
/// the machine is busy, but never long for the next heartbeat.
///
/// # Panics
/// Where it does not, or finds a wrong page.
pub fn runs_whole(vmm: &Vmm) {
    let by_now = beats(&vmm.program.out.text());
    let (first, mut from) = (by_now.len(), by_now.last().map(|beat| beat.sweeps));
    let mut heard = first;
    loop {
        let last = vmm.program.out.wait("a guest that goes on", GUEST, |text| {
            let beats = beats(text);
            let last = *beats.get(heard..)?.last()?;
            heard = beats.len();
            Some(last)
        });
        let text = vmm.program.out.text();
        assert!(!harmed(&text), "the guest came to harm:\n{text}");
        let from = *from.get_or_insert(last.sweeps);
        if heard >= first + BEATS && last.sweeps >= from + SWEEPS {
            return;
        }
    }
}

/// All that was printed on `consoles` one after the other is one guest's life, without a hole or a repetition.
///
/// # Panics
/// Where it is not.
pub fn is_one_life(consoles: &[&Vmm]) {
    let console: String = consoles.iter().map(|vmm| vmm.program.out.text()).collect();
    if let Err(harm) = Verdict::of(&console) {
        panic!("{harm}; the consoles one after the other:\n{console}");
    }
}

/// As [`is_one_life`], where the first process was killed: what it had not written yet went with it, so a hole may be there,
/// where the guest moved, and nowhere else.
///
/// # Panics
/// Where it is not.
pub fn outlives(killed: &Vmm, consoles: &[&Vmm]) {
    let before = killed.program.out.text();
    let after: String = consoles.iter().map(|vmm| vmm.program.out.text()).collect();
    let (last, beats) = (beats(&before).last().map_or(0, |beat| beat.sequence), beats(&after));
    let first = beats.first().map_or(0, |beat| beat.sequence);
    let goes_on = first > last && beats.windows(2).all(|pair| pair[1].sequence == pair[0].sequence + 1);
    let whole = goes_on && !harmed(&before) && !harmed(&after);
    assert!(whole, "it is not one guest; the consoles one after the other:\n{before}\n-\n{after}");
}

/// The guest of `vmm` says nothing more.
///
/// # Panics
/// Where it does.
pub fn is_silent(vmm: &Vmm) {
    let before = vmm.program.out.text();
    std::thread::sleep(SILENCE);
    let after = vmm.program.out.text();
    assert!(before == after, "a guest that must not run said:\n{}", &after[before.len()..]);
}

/// `vmm` never ran a guest.
///
/// # Panics
/// Where it did.
pub fn never_ran(vmm: &Vmm) {
    let text = vmm.program.out.text();
    assert!(text.is_empty(), "a guest ran that must not:\n{text}");
}

fn beats(text: &str) -> Vec<Heartbeat> {
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.filter_map(Heartbeat::parse).collect()
}

fn harmed(text: &str) -> bool {
    text.lines().any(|line| match LoadLine::parse(line) {
        Some(LoadLine::Bad(_) | LoadLine::Failed(_)) => true,
        Some(LoadLine::Heartbeat(beat)) => beat.bad != 0,
        _ => false,
    })
}
