//! What can happen at a target: its driver carries out what the machine wants, in order, and only then tells it the
//! next thing; its lanes fill memory meanwhile. The driver of `godwit-transport`, as far as it matters here.

use godwit_migration::wire::{Answer, TargetMessage};

use super::{
    bug::Bug,
    messages::Word,
    state::{Attempt, Frame, State, TargetSide},
    step::Step,
    target::{Told, Wants},
    world::{Next, World},
};

impl World {
    /// Everything that can happen at the target of an attempt.
    pub fn target_steps(&mut self, state: &State, at: usize, next: &mut Next) {
        let Attempt { target, to_target, .. } = &state.attempts[at];
        if state.attempts[at].question {
            self.question_arrives(state, at, next);
        }
        if !target.alive || target.end.is_some() {
            return;
        }
        if !target.begun {
            if let Some(&hello) = to_target.words.first() {
                if !self.process_is_free(state, at, next) {
                    return;
                }
                let told = Told::Message(hello);
                self.target_is_told(state, at, told, next, |attempt| {
                    attempt.to_target.words.remove(0);
                    attempt.target.begun = true;
                });
            }
            return;
        }
        self.lanes_bring(state, at, next);
        match target.wants.first() {
            Some(&wants) => self.target_does(state, at, wants, next),
            None => self.target_hears(state, at, next),
        }
    }

    /// A question reaches the target: the machine that is in the middle of it, or whoever has the record of what it came
    /// to, this process or the one that was started after it.
    fn question_arrives(&mut self, before: &State, at: usize, next: &mut Next) {
        let target = &before.attempts[at].target;
        if target.alive && target.begun && target.end.is_none() {
            if target.wants.is_empty() {
                self.target_is_told(before, at, Told::Asked, next, |attempt| {
                    attempt.question = false;
                    attempt.target.told.lost = false;
                });
            }
            return;
        }
        let answer = self.record_says(target);
        let word = self.messages.of_target(&TargetMessage::Answer(answer));
        let mut state = before.clone();
        let attempt = &mut state.attempts[at];
        attempt.question = false;
        attempt.to_source.words.push(word);
        attempt.to_source.close(usize::MAX, false);
        next.push((Step::QuestionAnswered(at as u8), state));
    }

    /// What the record of a target says that is over, or whose process has ended.
    pub fn record_says(&self, target: &TargetSide) -> Answer {
        let never = Answer::Never(String::new());
        match (target.alive, target.ran, self.bounds.bug) {
            (false, true, Some(Bug::ForgetsItsRecord)) | (true, true, Some(Bug::DeniesThatItRan)) => never,
            (_, true, Some(Bug::HearsGoWhenItIsLate)) if target.end == Some(false) => never,
            (true, true, _) => Answer::Runs,
            (false, true, _) => Answer::Ended,
            (_, false, _) => never,
        }
    }

    /// Whether the process at which an attempt has arrived has nothing to do with an earlier one any more. One that only
    /// waits for that is told that it is over; one that is in the middle of it turns the attempt away.
    fn process_is_free(&mut self, before: &State, at: usize, next: &mut Next) -> bool {
        if !before.attempts[at].same_target {
            return true;
        }
        let target = &before.attempts[at - 1].target;
        if !target.alive || target.end == Some(false) {
            return target.alive;
        }
        let alone = target.end.is_none() && self.targets.phase(target.node) == "waiting";
        if alone && target.wants.is_empty() {
            self.target_is_told(before, at - 1, Told::Replaced, next, |_| ());
        } else if !alone {
            let word = self.messages.of_target(&TargetMessage::Refused(vec![String::new()]));
            let mut state = before.clone();
            let attempt = &mut state.attempts[at];
            attempt.to_target.words.clear();
            attempt.to_target.close(0, false);
            attempt.to_source.words.push(word);
            attempt.to_source.close(usize::MAX, false);
            next.push((Step::TargetIsBusy(at as u8 - 1), state));
        }
        false
    }

    pub fn target_is_told(
        &mut self,
        before: &State,
        at: usize,
        told: Told,
        next: &mut Next,
        change: impl FnOnce(&mut Attempt),
    ) {
        let mut state = before.clone();
        change(&mut state.attempts[at]);
        self.tell_target(&mut state, at, told);
        next.push((Step::TargetHears(at as u8, told), state));
    }

    /// The driver carries out what the machine wants next, or fails at it.
    fn target_does(&mut self, before: &State, at: usize, wants: Wants, next: &mut Next) {
        let mut state = before.clone();
        state.attempts[at].target.wants.remove(0);
        let mut failed = state.clone();
        if let Some(told) = self.target_carries_out(&mut state, at, wants) {
            self.tell_target(&mut state, at, told);
        }
        next.push((Step::TargetDoes(at as u8, wants), state));
        let failure = match wants {
            Wants::Say(_) => {
                let queue = &failed.attempts[at].to_source;
                (queue.closed && !queue.silent).then_some(Told::LinkLost)
            }
            Wants::Prepare => Some(Told::Prepared(false)),
            Wants::Build => Some(Told::Built(false)),
            Wants::Run => Some(Told::Started(false)),
            _ => None,
        };
        let Some(told) = failure else { return };
        if let Wants::Say(_) = wants {
            self.target_hears_why(&failed, at, next, |_| ());
        } else {
            let Some(faults) = failed.faults.checked_sub(1) else { return };
            failed.faults = faults;
        }
        self.tell_target(&mut failed, at, told);
        next.push((Step::TargetFailsAt(at as u8, wants), failed));
    }

    /// What comes of it when it works.
    pub fn target_carries_out(&mut self, state: &mut State, at: usize, wants: Wants) -> Option<Told> {
        let guest = state.guest;
        let attempt = &mut state.attempts[at];
        let target = &mut attempt.target;
        match wants {
            Wants::Say(word) => {
                // As long as it has not been asked, it speaks to a link that the source has let go.
                if !attempt.to_source.closed && !attempt.question {
                    attempt.to_source.words.push(word);
                }
                None
            }
            Wants::Prepare => {
                target.memory = Some(Default::default());
                Some(Told::Prepared(true))
            }
            Wants::AcceptLanes => {
                target.accepts = true;
                None
            }
            Wants::Build => {
                target.built = true;
                Some(Told::Built(true))
            }
            Wants::Run => {
                (target.runs, target.ran) = (true, true);
                // The guest has stood still since the last harvest, so this is what it must have here, whatever became
                // of the source meanwhile.
                if !(target.built && target.memory == Some(guest.memory)) {
                    state.broken = Some("a target runs a guest whose memory is not the source's");
                }
                Some(Told::Started(true))
            }
            Wants::Discard => {
                target.memory = None;
                attempt.lanes.iter_mut().for_each(|lane| lane.close(0, false));
                None
            }
            Wants::Finish(runs) => {
                target.end = Some(runs);
                let heard = || attempt.to_target.words.iter().chain(&attempt.late);
                if self.bounds.bug == Some(Bug::HearsGoWhenItIsLate)
                    && !runs
                    && heard().any(|&word| self.messages.source_name(word) == "Go")
                {
                    (target.runs, target.ran) = (true, true);
                }
                attempt.target_hangs_up();
                attempt.forget_target();
                None
            }
        }
    }

    /// What the driver tells a machine that waits.
    fn target_hears(&mut self, before: &State, at: usize, next: &mut Next) {
        let &Attempt { ref target, ref to_target, ref lanes, late, .. } = &before.attempts[at];
        let may_give_up = self.may_give_up(&before.attempts[at]);
        if let Some(&word) = to_target.words.first() {
            self.target_is_told(before, at, Told::Message(word), next, |attempt| {
                attempt.to_target.words.remove(0);
            });
        } else if to_target.closed && !to_target.silent && !target.told.lost {
            self.target_is_told(before, at, Told::LinkLost, next, |attempt| attempt.target.told.lost = true);
        }
        if let Some(word) = late {
            self.target_is_told(before, at, Told::Message(word), next, |attempt| attempt.late = None);
        }
        if may_give_up && !target.told.cancel {
            self.target_is_told(before, at, Told::Cancel, next, |attempt| attempt.target.told.cancel = true);
        }
        if may_give_up && target.told.ticks < 2 && self.targets.has_deadline(target.node) {
            self.target_is_told(before, at, Told::Tick, next, |attempt| attempt.target.told.ticks += 1);
        }
        for (lane, (end, sent)) in target.lanes.iter().zip(lanes).enumerate() {
            let lost = end.joined && !end.over && sent.frames.is_empty() && sent.closed && !sent.silent;
            if !lost {
                continue;
            }
            self.target_is_told(before, at, Told::LinkLost, next, |attempt| {
                attempt.target.lanes[lane].over = true;
            });
            self.target_hears_why(before, at, next, |attempt| attempt.target.lanes[lane].over = true);
        }
    }

    /// A lane is lost, or something cannot be said, and the driver finds the source's last word on the control link.
    fn target_hears_why(
        &mut self,
        before: &State,
        at: usize,
        next: &mut Next,
        change: impl FnOnce(&mut Attempt),
    ) {
        let words = &before.attempts[at].to_target.words;
        let last = |&word: &Word| matches!(self.messages.source_name(word), "Abort" | "Go");
        if let Some(last) = words.iter().position(last) {
            self.target_is_told(before, at, Told::Message(words[last]), next, |attempt| {
                attempt.to_target.words.drain(..=last);
                change(attempt);
            });
        }
    }

    /// A lane joins, brings a page, or ends a round.
    fn lanes_bring(&mut self, before: &State, at: usize, next: &mut Next) {
        let lanes = usize::from(self.bounds.lanes);
        for lane in 0..lanes {
            let Attempt { target, lanes: sent, .. } = &before.attempts[at];
            let waits = target.wants.is_empty();
            let Some(&frame) = sent[lane].frames.first() else { continue };
            let mut state = before.clone();
            let attempt = &mut state.attempts[at];
            let end = &mut attempt.target.lanes[lane];
            let told = match frame {
                Frame::Hello if attempt.target.accepts && waits => {
                    end.joined = true;
                    let all = attempt.target.lanes[..lanes].iter().all(|lane| lane.joined);
                    all.then_some(Told::LanesOpen)
                }
                Frame::Page { page, version } if end.joined => {
                    end.pages += 1;
                    let Some(memory) = &mut attempt.target.memory else { continue };
                    memory[usize::from(page)] = version;
                    None
                }
                Frame::End { pages, last } if end.joined && waits => {
                    debug_assert_eq!(
                        pages, end.pages,
                        "a lane is a stream: nothing is missing in the middle"
                    );
                    end.rounds += 1;
                    end.pages = 0;
                    end.over = last;
                    Some(Told::Ended { round: end.rounds, pages, last })
                }
                _ => continue,
            };
            attempt.lanes[lane].frames.remove(0);
            if let Some(told) = told {
                self.tell_target(&mut state, at, told);
            }
            next.push((Step::LaneBrings(at as u8, lane as u8), state));
        }
    }
}
