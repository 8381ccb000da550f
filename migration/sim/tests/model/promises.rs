//! What must hold in every state, and how a story may end.

use super::{source::End, state::State};

/// How it has ended when nobody does anything any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// The guest runs at the source.
    Stayed,
    /// The guest runs at the target, and the source knows or is no more.
    Moved,
    /// The guest runs at the target; the source does not know, and keeps everything.
    UnknownAndRuns,
    /// The guest runs nowhere; the source does not know, and keeps everything.
    UnknownAndWaits,
    /// The guest could not be run on at the source: it is paused there, with its right to run.
    Paused,
    /// The process that had the only copy has crashed.
    Lost,
}

impl State {
    /// The promise that this state breaks.
    pub fn broken_promise(&self) -> Option<&'static str> {
        let at_targets = self.attempts.iter().filter(|attempt| attempt.target.runs).count();
        let guest = &self.guest;
        if at_targets + usize::from(guest.runs) > 1 {
            return Some("two copies run");
        }
        if at_targets > 0 && guest.right {
            return Some("a target runs the guest while the source has the right to run it");
        }
        if guest.runs && !guest.right {
            return Some("the source runs a guest that it has given up");
        }
        let ran = self.attempts.iter().any(|attempt| attempt.target.ran);
        if ran && guest.right && !guest.decided {
            return Some("a guest that ran at a target runs again at the source by itself");
        }
        if guest.alive && !guest.kept && !ran {
            return Some("the source has let the guest's memory go, and no target has run it");
        }
        self.broken
    }

    /// How the story has ended, where it has.
    pub fn ending(&self) -> Option<Ending> {
        let guest = &self.guest;
        let over = self.attempts.iter().all(|attempt| {
            let (source, target) = (&attempt.source, &attempt.target);
            (source.end.is_some() || !guest.alive) && (target.end.is_some() || !target.begun || !target.alive)
        });
        if !over {
            return None;
        }
        let end = self.attempts.last().and_then(|attempt| attempt.source.end);
        let unknown = guest.alive && guest.kept && end == Some(End::Unknown);
        if self.attempts.iter().any(|attempt| attempt.target.runs) {
            let knows = !guest.alive || end == Some(End::Completed);
            return if knows { Some(Ending::Moved) } else { unknown.then_some(Ending::UnknownAndRuns) };
        }
        match () {
            () if guest.runs => Some(Ending::Stayed),
            () if guest.alive && guest.kept && guest.right => Some(Ending::Paused),
            () if unknown => Some(Ending::UnknownAndWaits),
            () if self.has_lost_a_copy() => Some(Ending::Lost),
            () => None,
        }
    }

    /// Whether a process that had the guest's only copy has crashed.
    pub fn has_lost_a_copy(&self) -> bool {
        let ran_and_crashed = |target: &super::state::TargetSide| target.ran && !target.alive;
        !self.guest.alive || self.attempts.iter().any(|attempt| ran_and_crashed(&attempt.target))
    }
}
