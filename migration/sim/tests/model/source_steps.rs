//! What can happen at the source: its driver carries out what the machine wants, in order, and only then tells it the
//! next thing; its lanes and its guest go on meanwhile. The driver of `godwit-transport`, as far as it matters here.

use super::{
    source::{End, TOUCHED, Told, Wants, lane_of},
    state::{Arms, Attempt, Frame, Guest, Job, State},
    step::Step,
    world::{Next, World},
};

impl World {
    /// Everything that can happen at the source.
    pub fn source_steps(&mut self, state: &State, next: &mut Next) {
        let attempt = state.attempts.last().expect("there is always one");
        if !state.guest.alive {
            return;
        }
        if let Some(end) = attempt.source.end {
            let again = matches!(end, End::Failed | End::Cancelled) && state.guest.runs;
            if again && state.attempts.len() < self.bounds.attempts {
                let mut after = state.clone();
                after.attempts.push(Attempt::new(self.sources.wants(0)));
                next.push((Step::TriesAgain, after.clone()));
                if attempt.target.alive && attempt.target.begun && self.bounds.decisions > 0 {
                    after.latest().same_target = true;
                    next.push((Step::TriesAgainThere, after));
                }
            }
            return;
        }
        self.lanes_send(state, next);
        self.guest_writes(state, next);
        match attempt.source.wants.first() {
            Some(&wants) => self.source_does(state, wants, next),
            None => self.source_hears(state, next),
        }
    }

    /// The driver carries out what the machine wants next, or fails at it.
    fn source_does(&mut self, before: &State, wants: Wants, next: &mut Next) {
        let mut state = before.clone();
        state.latest().source.wants.remove(0);
        let mut failed = state.clone();
        let out_of_reach = wants == Wants::Ask && state.latest().asks >= self.bounds.asks;
        if !out_of_reach {
            if let Some(told) = self.carry_out(&mut state, wants) {
                self.tell_source(&mut state, told);
            }
            next.push((Step::SourceDoes(wants), state));
        }
        let failure = match wants {
            Wants::Say(_) => {
                let queue = &failed.latest().to_target;
                (queue.closed && !queue.silent).then_some(Told::LinkLost)
            }
            // The target is out of reach.
            Wants::Ask => {
                failed.latest().source_lets_link_go();
                Some(Told::LinkLost)
            }
            Wants::StartTracking | Wants::Harvest | Wants::Save | Wants::GiveUp => {
                self.host_fails(&mut failed)
            }
            Wants::Pause => {
                failed.latest().source.paused = true;
                self.host_fails(&mut failed)
            }
            Wants::Undo if failed.latest().source.paused => {
                let failure = self.host_fails(&mut failed).map(|_| Told::Undone(false));
                failed.guest.tracked = false;
                failed.latest().source_lets_lanes_go();
                failure
            }
            _ => None,
        };
        if let Some(told) = failure {
            if let Wants::Say(_) = wants {
                self.source_hears_why(&failed, next);
            }
            self.tell_source(&mut failed, told);
            next.push((Step::SourceFailsAt(wants), failed));
        }
    }

    fn host_fails(&self, state: &mut State) -> Option<Told> {
        state.faults = state.faults.checked_sub(1)?;
        Some(Told::HostFailed)
    }

    /// What comes of it when it works.
    fn carry_out(&mut self, state: &mut State, wants: Wants) -> Option<Told> {
        let lanes = self.bounds.lanes;
        let all = (0..TOUCHED.len()).fold(0, |all, page| all | 1 << page);
        match wants {
            Wants::Say(word) => {
                if self.messages.source_name(word) == "Go" && state.guest.right {
                    state.broken = Some("the source says Go and keeps the right to run");
                }
                let queue = &mut state.latest().to_target;
                if !queue.closed {
                    queue.words.push(word);
                }
                None
            }
            Wants::OpenLanes => {
                let open = &mut state.latest().lanes[..usize::from(lanes)];
                if open.iter().any(|lane| lane.closed) {
                    return Some(Told::LinkLost);
                }
                for lane in open {
                    lane.open = true;
                    lane.frames.push(Frame::Hello);
                }
                Some(Told::LanesOpen)
            }
            Wants::StartTracking => {
                let unarmed = self.bounds.arms_as_sent;
                (state.guest.tracked, state.guest.unarmed) = (true, unarmed);
                state.guest.dirty = if unarmed { all } else { 0 };
                Some(Told::Tracking)
            }
            Wants::Harvest => {
                state.guest.unarmed = false;
                Some(Told::Harvested(std::mem::take(&mut state.guest.dirty)))
            }
            Wants::SendRound { pages, last, skip_redirtied } => {
                let unarmed = std::mem::take(&mut state.guest.unarmed);
                if unarmed {
                    state.guest.dirty &= pages;
                }
                let arms = if unarmed { Arms::Next } else { Arms::Nothing };
                for (lane, open) in state.latest().lanes[..usize::from(lanes)].iter_mut().enumerate() {
                    let own = (0..TOUCHED.len()).filter(|&page| lane_of(page, lanes) == lane);
                    let left = own.fold(0, |left, page| left | pages & 1 << page);
                    open.job = Job::Sending { left, last, skip_redirtied, arms, sent: 0 };
                }
                None
            }
            Wants::Throttle => None,
            Wants::Pause => {
                state.guest.runs = false;
                state.latest().source.paused = true;
                Some(Told::Paused)
            }
            Wants::Save => Some(Told::Saved),
            Wants::GiveUp => {
                if state.guest.runs {
                    state.broken = Some("the source gives up a guest that runs");
                }
                state.guest.right = false;
                Some(Told::GivenUp)
            }
            Wants::Ask => {
                let attempt = state.latest();
                attempt.source_lets_link_go();
                attempt.question = true;
                attempt.source.told.lost = false;
                attempt.late = attempt.to_target.words.first().copied().or(attempt.late);
                (attempt.to_target, attempt.to_source) = Default::default();
                None
            }
            Wants::TakeBack => {
                state.guest.right = true;
                None
            }
            Wants::Undo => {
                state.guest.tracked = false;
                state.guest.dirty = 0;
                state.latest().source_lets_lanes_go();
                if state.latest().source.paused {
                    state.guest.runs = true;
                }
                Some(Told::Undone(true))
            }
            Wants::Finish(end) => {
                state.guest.kept = end != End::Completed;
                let attempt = state.latest();
                attempt.source.end = Some(end);
                attempt.source_hangs_up();
                attempt.forget_source();
                None
            }
        }
    }

    /// What the driver tells a machine that waits.
    fn source_hears(&mut self, before: &State, next: &mut Next) {
        let attempt = before.attempts.last().expect("there is always one");
        let &Attempt { ref source, ref to_source, ref lanes, asks, .. } = attempt;
        let may_give_up = self.may_give_up(attempt);
        let mut hear = |told: Told, change: &dyn Fn(&mut Attempt)| {
            let mut state = before.clone();
            change(state.latest());
            self.tell_source(&mut state, told);
            next.push((Step::SourceHears(told), state));
        };
        if let Some(&word) = to_source.words.first() {
            hear(Told::Message(word), &|attempt| {
                attempt.to_source.words.remove(0);
            });
        } else if to_source.closed && !to_source.silent && !source.told.lost {
            hear(Told::LinkLost, &|attempt| attempt.source.told.lost = true);
        }
        if may_give_up && !source.told.cancel {
            hear(Told::Cancel, &|attempt| attempt.source.told.cancel = true);
        }
        let mut lanes_lost = false;
        let (mut busy, mut sent, mut done) = (0, 0, 0);
        for lane in lanes {
            match lane.job {
                Job::None => continue,
                Job::Sent(pages) => (sent, done) = (sent + pages, done + 1),
                Job::Sending { .. } => lanes_lost |= lane.closed,
            }
            busy += 1;
        }
        let idle = |attempt: &mut Attempt| attempt.lanes.iter_mut().for_each(|lane| lane.job = Job::None);
        if busy > 0 && done == busy {
            hear(Told::RoundSent(sent), &idle);
        }
        if lanes_lost {
            hear(Told::LinkLost, &idle);
        }
        if lanes_lost {
            self.source_hears_why(before, next);
        }
        if may_give_up && source.told.ticks < 2 && self.sources.has_deadline(source.node) {
            // A source that would only ask in vain from here on is spared most of it.
            let told = if asks < self.bounds.asks { Told::Tick } else { Told::LateTick };
            let mut state = before.clone();
            state.latest().source.told.ticks += 1;
            self.tell_source(&mut state, told);
            next.push((Step::SourceHears(told), state));
        }
    }

    /// A lane is lost, or something cannot be said, and the driver finds the reason on the control link.
    fn source_hears_why(&mut self, before: &State, next: &mut Next) {
        let words = &before.attempts.last().expect("there is always one").to_source.words;
        let Some(at) = words.iter().position(|&word| self.messages.target_name(word) == "Abort") else {
            return;
        };
        let told = Told::Message(words[at]);
        let mut state = before.clone();
        state.latest().to_source.words.drain(..=at);
        state.latest().lanes.iter_mut().for_each(|lane| lane.job = Job::None);
        self.tell_source(&mut state, told);
        next.push((Step::SourceHears(told), state));
    }

    /// A lane copies its next page, which is armed, and sends it; after the last it ends the round. On a lane that is cut it
    /// does so too: what it writes goes nowhere.
    fn lanes_send(&mut self, before: &State, next: &mut Next) {
        let lanes = &before.attempts.last().expect("there is always one").lanes;
        for (at, lane) in lanes.iter().enumerate() {
            let Job::Sending { mut left, last, skip_redirtied, arms, mut sent } = lane.job else { continue };
            if arms == Arms::Next && left != 0 {
                // The next page, or all that are left.
                for (now, arms) in [(left & left.wrapping_neg(), Arms::Others), (left, Arms::Nothing)] {
                    let mut state = before.clone();
                    state.guest.dirty &= !now;
                    state.latest().lanes[at].job = Job::Sending { left, last, skip_redirtied, arms, sent };
                    next.push((Step::LaneArms(at as u8), state));
                }
                continue;
            }
            let mut state = before.clone();
            let Guest { dirty, memory, .. } = state.guest;
            let lane = &mut state.latest().lanes[at];
            let page = left.trailing_zeros() as usize;
            let mut frames = vec![];
            if page < TOUCHED.len() {
                left &= !(1 << page);
                let skips = skip_redirtied && arms == Arms::Nothing;
                if !(skips && dirty >> page & 1 == 1) {
                    sent += 1;
                    frames.push(Frame::Page { page: page as u8, version: memory[page] });
                }
            }
            let arms = if arms == Arms::Nothing { Arms::Nothing } else { Arms::Next };
            lane.job = Job::Sending { left, last, skip_redirtied, arms, sent };
            if left == 0 {
                frames.push(Frame::End { pages: sent, last });
                lane.job = Job::Sent(sent);
            }
            if !lane.closed {
                lane.frames.extend(frames);
            }
            next.push((Step::LaneSends(at as u8), state));
        }
    }

    fn guest_writes(&mut self, before: &State, next: &mut Next) {
        if !before.guest.runs || before.writes == 0 {
            return;
        }
        for page in 0..TOUCHED.len() {
            let mut state = before.clone();
            state.writes -= 1;
            state.guest.memory[page] += 1;
            if state.guest.tracked {
                state.guest.dirty |= 1 << page;
            }
            next.push((Step::GuestWrites(page as u8), state));
        }
    }
}
