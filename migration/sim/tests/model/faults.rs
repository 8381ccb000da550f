//! What the network and the power do: cuts of every part of a link at any moment, and the end of either process.
//!
//! A cut takes away any number of the last messages on their way; what is left arrives, in order. Whether a side ever
//! notices is another choice: a cable that is pulled says nothing.

use super::{
    state::State,
    step::Step,
    world::{Next, World},
};

const BOTH: [bool; 2] = [false, true];

impl World {
    /// Every cut.
    pub fn network_steps(&mut self, before: &State, next: &mut Next) {
        for at in 0..before.attempts.len() {
            cut_control(before, at, next);
            for lane in 0..usize::from(self.bounds.lanes) {
                cut_lane(before, at, lane, next);
            }
            self.cut_all(before, at, next);
        }
    }

    fn cut_all(&self, before: &State, at: usize, next: &mut Next) {
        let attempt = &before.attempts[at];
        let open = !(attempt.to_target.closed && attempt.to_source.closed);
        if !open {
            return;
        }
        for (arrives, silent) in BOTH.into_iter().flat_map(|arrives| BOTH.map(|silent| (arrives, silent))) {
            let mut state = one_fault_less(before);
            let keep = if arrives { usize::MAX } else { 0 };
            let attempt = &mut state.attempts[at];
            attempt.to_target.close(keep, silent);
            attempt.to_source.close(keep, silent);
            attempt.question &= arrives;
            attempt.late = attempt.late.filter(|_| arrives);
            attempt.lanes.iter_mut().for_each(|lane| lane.close(keep, silent));
            next.push((Step::CutAll { in_flight_arrives: arrives, silent }, state));
        }
    }

    /// Either process ends.
    pub fn crashes(&mut self, before: &State, next: &mut Next) {
        for (arrives, silent) in BOTH.into_iter().flat_map(|arrives| BOTH.map(|silent| (arrives, silent))) {
            let keep = if arrives { usize::MAX } else { 0 };
            if before.guest.alive {
                let mut state = one_fault_less(before);
                let guest = &mut state.guest;
                (guest.alive, guest.runs, guest.right, guest.kept) = (false, false, false, false);
                (guest.tracked, guest.dirty) = (false, 0);
                for attempt in &mut state.attempts {
                    attempt.to_target.close(keep, silent);
                    attempt.lanes.iter_mut().for_each(|lane| lane.close(keep, silent));
                    attempt.source_hangs_up();
                    attempt.forget_source();
                }
                next.push((Step::SourceCrashes { in_flight_arrives: arrives, silent }, state));
            }
            for at in 0..before.attempts.len() {
                let target = &before.attempts[at].target;
                if !target.alive || !target.begun || target.end == Some(false) {
                    continue;
                }
                let mut state = one_fault_less(before);
                for at in one_process(before, at) {
                    let attempt = &mut state.attempts[at];
                    (attempt.target.alive, attempt.target.runs) = (false, false);
                    attempt.to_source.close(keep, silent);
                    attempt.target_hangs_up();
                    attempt.forget_target();
                }
                let target = at as u8;
                next.push((Step::TargetCrashes { target, in_flight_arrives: arrives, silent }, state));
            }
        }
    }
}

/// The attempts whose target is the process that is the one of attempt `at`.
fn one_process(state: &State, at: usize) -> impl Iterator<Item = usize> + use<> {
    let first = (0..=at).rev().find(|&n| !state.attempts[n].same_target).unwrap_or(0);
    let after = (at + 1..state.attempts.len()).find(|&n| !state.attempts[n].same_target);
    first..after.unwrap_or(state.attempts.len())
}

fn one_fault_less(before: &State) -> State {
    State { faults: before.faults - 1, ..before.clone() }
}

fn cut_control(before: &State, at: usize, next: &mut Next) {
    let attempt = &before.attempts[at];
    let (to_target, to_source) = (attempt.to_target.words.len(), attempt.to_source.words.len());
    if attempt.to_target.closed && attempt.to_source.closed && to_target + to_source == 0 {
        return;
    }
    for (keep_target, keep_source) in (0..=to_target).flat_map(|t| (0..=to_source).map(move |s| (t, s))) {
        for silent in BOTH {
            let mut state = one_fault_less(before);
            let attempt = &mut state.attempts[at];
            attempt.to_target.close(keep_target, silent);
            attempt.to_source.close(keep_source, silent);
            attempt.question = false;
            let step =
                Step::CutControl { to_target: keep_target as u8, to_source: keep_source as u8, silent };
            next.push((step, state));
        }
    }
}

fn cut_lane(before: &State, at: usize, lane: usize, next: &mut Next) {
    let cut = &before.attempts[at].lanes[lane];
    if !cut.open || cut.closed {
        return;
    }
    for keep in 0..=cut.frames.len() {
        for silent in BOTH {
            let mut state = one_fault_less(before);
            state.attempts[at].lanes[lane].close(keep, silent);
            next.push((Step::CutLane { lane: lane as u8, keep: keep as u8, silent }, state));
        }
    }
}
