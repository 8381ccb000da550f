//! The operator, who clears up where godwit says that it cannot know: looks at the target, and decides.
//!
//! All that is done here is in the operators' page; nothing of it looks behind godwit's own words.

use crate::{api, vmm::Vmm};

/// What a process says of its guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It runs.
    Running,
    /// It is there, and does not run.
    Still,
    /// There is none, or it never was started.
    None,
    /// The process is gone.
    Gone,
}

/// Looks at a process.
#[must_use]
pub fn look(vmm: &Vmm) -> Seen {
    if vmm.program.is_over() {
        return Seen::Gone;
    }
    let info = api::get(vmm.api(), "vm.info");
    match info.body["state"].as_str() {
        Some("Running") => Seen::Running,
        Some("Paused") => Seen::Still,
        _ => Seen::None,
    }
}

/// Runs the guest on at the source, which had given it away; its target is known not to run it.
///
/// # Panics
/// Where the source does not.
pub fn keep_at_source(source: &Vmm) {
    let kept = source.ask(&["resolve", "--keep"]);
    assert_eq!(kept.status, 0, "the guest cannot be taken back: {}", kept.err);
}

/// Ends the source, whose guest runs at the target.
///
/// # Panics
/// Where it does not end.
pub fn discard_at_source(source: &mut Vmm) {
    let discarded = source.ask(&["resolve", "--discard"]);
    assert_eq!(discarded.status, 0, "the source does not end: {}", discarded.err);
    source.end();
}

/// Whether a target holds a guest, ready, whose source is out of reach.
#[must_use]
pub fn waits(target: &Vmm) -> bool {
    api::get(target.api(), "vm.info").body["migration"]["outcome"] == "waiting"
}

/// Runs the guest at a target that holds it, and whose source is known to be gone.
///
/// # Panics
/// Where the target does not.
pub fn keep_at_target(target: &Vmm) {
    let kept = target.ask(&["resolve", "--keep"]);
    assert_eq!(kept.status, 0, "the guest cannot be run at the target: {}", kept.err);
}

/// Ends a target that does not run the guest, so that it never will.
///
/// # Panics
/// Where it does not end.
pub fn fence(target: &mut Vmm) {
    // One that ends on being asked has ended as well.
    let asked = target.ask(&["shutdown"]);
    assert!(asked.status == 0 || target.program.is_over(), "the target does not end: {}", asked.err);
    target.end();
}
