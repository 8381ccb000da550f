//! What people decide with `godwit resolve`, at either side: after a look, so that what they say is true; and the source
//! asks first, where it can.
//!
//! A person who says that a guest is to run somewhere knows that it does not run elsewhere, and will not: at the target, that
//! the source has given the right to run it up; at the source, that no process holds it that could still be told to.

use godwit_migration::wire::{Answer, SourceMessage};

use super::{
    bug::Bug,
    source::End,
    state::State,
    step::Step,
    target::{Told, Wants},
    world::{Next, World},
};

impl World {
    /// Every decision.
    pub fn people_decide(&mut self, before: &State, next: &mut Next) {
        let mut state = before.clone();
        state.decisions -= 1;
        for at in 0..state.attempts.len() {
            self.decides_at_target(&state, at, next);
        }
        let end = state.attempts.last().and_then(|attempt| attempt.source.end);
        if state.guest.alive && end == Some(End::Unknown) {
            for keep in [true, false] {
                self.decides_unasked(&state, keep, next);
                self.decides_and_asks(&state, keep, next);
            }
        }
    }

    /// Where a guest is ready: forced, where its link is there.
    fn decides_at_target(&mut self, state: &State, at: usize, next: &mut Next) {
        let target = &state.attempts[at].target;
        let ready = matches!(self.targets.phase(target.node), "ready" | "waiting");
        if !(target.alive && target.begun && target.end.is_none() && target.wants.is_empty() && ready) {
            return;
        }
        self.target_is_told(state, at, Told::Decided(false), next, |_| ());
        let latest = at + 1 == state.attempts.len();
        let elsewhere = state.attempts.iter().any(|attempt| attempt.target.runs);
        if latest && !state.guest.right && !state.guest.runs && !elsewhere {
            self.target_is_told(state, at, Told::Decided(true), next, |_| ());
        }
    }

    /// The target cannot be asked, or is not (`--force`).
    fn decides_unasked(&mut self, before: &State, keep: bool, next: &mut Next) {
        let runs = before.attempts.iter().any(|attempt| attempt.target.runs);
        let may_run = before.attempts.iter().any(|attempt| {
            let target = &attempt.target;
            target.alive && target.begun && target.end.is_none()
        });
        let is_true = if keep { !runs && !may_run } else { runs };
        if is_true {
            let mut state = before.clone();
            settled(&mut state, keep);
            next.push((Step::Decides { keep, asked: false }, state));
        }
    }

    /// The target is asked, and one that holds the guest is told what becomes of it.
    fn decides_and_asks(&mut self, before: &State, keep: bool, next: &mut Next) {
        let at = before.attempts.len() - 1;
        let target = &before.attempts[at].target;
        let mut state = before.clone();
        let answer = if target.alive && target.begun && target.end.is_none() {
            if !(target.wants.is_empty() && matches!(self.targets.phase(target.node), "ready" | "waiting")) {
                return;
            }
            self.told_by_person(&mut state, at, keep)
        } else {
            self.record_says(target)
        };
        let stays = match self.bounds.bug {
            Some(Bug::BelievesThePersonAlone) => keep,
            _ => answer.guest_stays(keep),
        };
        settled(&mut state, stays);
        next.push((Step::Decides { keep, asked: true }, state));
    }

    /// A target that is ready hears on a link of its own what a person at the source wants, and answers.
    fn told_by_person(&mut self, state: &mut State, at: usize, keep: bool) -> Answer {
        self.tell_target(state, at, Told::Asked);
        let word = match keep {
            true => SourceMessage::Abort(String::new()),
            false => SourceMessage::Go,
        };
        let word = self.messages.of_source(&word);
        self.tell_target(state, at, Told::Message(word));
        let attempt = &mut state.attempts[at];
        attempt.to_target.close(0, false);
        // What it says goes to the person.
        attempt.target.wants.retain(|wants| !matches!(wants, Wants::Say(_)));
        if keep {
            return Answer::Never(String::new());
        }
        assert_eq!(attempt.target.wants, [Wants::Run], "a target that is ready and hears Go");
        attempt.target.wants.clear();
        if let Some(told) = self.target_carries_out(state, at, Wants::Run) {
            self.tell_target(state, at, told);
        }
        state.attempts[at].target.wants.retain(|wants| !matches!(wants, Wants::Say(_)));
        Answer::Runs
    }
}

/// The source does what has been decided: the guest runs on there, or its copy is let go with the process.
fn settled(state: &mut State, stays: bool) {
    let guest = &mut state.guest;
    (guest.right, guest.runs, guest.kept, guest.decided) = (stays, stays, stays, true);
    state.latest().source.end = Some(if stays { End::Failed } else { End::Completed });
}
