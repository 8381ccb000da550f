//! The two tables and what all steps share.

use super::{
    automaton::Automaton,
    bug::Bug,
    messages::Messages,
    source::{self, Leaving},
    state::{Attempt, State},
    step::Step,
    target::{self, Arriving},
};

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The preset that the source follows.
    pub preset: &'static str,
    /// Whether pages are armed as they are first sent, whatever the preset says.
    pub arms_as_sent: bool,
    /// Lanes, 1 or 2.
    pub lanes: u8,
    /// Most faults: cuts, crashes, failures of a host.
    pub faults: u8,
    /// Most pages that the guest writes.
    pub writes: u8,
    /// So many questions of a source may get through to its target; later ones never do.
    pub asks: u8,
    /// Most attempts to move the guest.
    pub attempts: usize,
    /// Most decisions of people, at either side.
    pub decisions: u8,
    /// Whether people cancel, and clocks run out, only where a link is cut: for bounds that would be too wide otherwise.
    pub patient: bool,
    /// What is wrong on purpose.
    pub bug: Option<Bug>,
}

/// Where the machines and their messages are.
pub struct World {
    pub bounds: Bounds,
    pub messages: Messages,
    pub sources: Automaton<Leaving>,
    pub targets: Automaton<Arriving>,
}

/// States that follow, with what leads to them.
pub type Next = Vec<(Step, State)>;

impl World {
    pub fn new(bounds: Bounds) -> Self {
        let mut messages = Messages::default();
        let setting = source::Setting { preset: bounds.preset, lanes: bounds.lanes, bug: bounds.bug };
        let sources = Automaton::new(setting, &mut messages);
        let targets = Automaton::new(bounds.bug, &mut messages);
        Self { bounds, messages, sources, targets }
    }

    /// Where everything begins.
    pub fn first(&self) -> State {
        let Bounds { faults, writes, decisions, .. } = self.bounds;
        State::first(self.sources.wants(0), faults, writes, decisions)
    }

    /// Everything that can happen in `state`.
    pub fn next(&mut self, state: &State, next: &mut Next) {
        self.source_steps(state, next);
        for target in 0..state.attempts.len() {
            self.target_steps(state, target, next);
        }
        if state.decisions > 0 {
            self.people_decide(state, next);
        }
        if state.faults > 0 {
            self.network_steps(state, next);
            self.crashes(state, next);
        }
    }

    /// Whether somebody may cancel, or a clock run out, at either end of `attempt` now.
    pub fn may_give_up(&self, attempt: &Attempt) -> bool {
        let cut = attempt.to_target.closed
            || attempt.to_source.closed
            || attempt.lanes.iter().any(|lane| lane.closed);
        cut || !self.bounds.patient
    }

    /// Compares the histories that met, on everything that can be told, three times in a row: how many there were.
    pub fn meetings(&mut self) -> (usize, usize) {
        let messages = &mut self.messages;
        let told = {
            use source::Told::{Cancel, GivenUp, HostFailed, LateTick, LinkLost, Message, Tick, Undone};
            let own = [GivenUp, LinkLost, HostFailed, Cancel, Tick, LateTick, Undone(true)];
            own.into_iter().chain(messages.of_targets().map(Message)).collect::<Vec<_>>()
        };
        let sources = self.sources.same_from_here(&told, 3, messages);
        let told = {
            use target::Told::{Asked, Cancel, Decided, LinkLost, Message, Replaced, Started, Tick};
            let own = [
                Asked,
                Replaced,
                Decided(true),
                Decided(false),
                LinkLost,
                Cancel,
                Tick,
                Started(true),
                Started(false),
            ];
            own.into_iter().chain(messages.of_sources().map(Message)).collect::<Vec<_>>()
        };
        (sources, self.targets.same_from_here(&told, 3, messages))
    }

    /// Tells the source of the latest attempt something.
    pub fn tell_source(&mut self, state: &mut State, told: source::Told) {
        let source = &mut state.latest().source;
        source.node = self.sources.tell(source.node, told, &mut self.messages);
        source.wants.extend(self.sources.wants(source.node));
    }

    /// Tells a target something.
    pub fn tell_target(&mut self, state: &mut State, target: usize, told: target::Told) {
        let target = &mut state.attempts[target].target;
        target.node = self.targets.tell(target.node, told, &mut self.messages);
        target.wants.extend(self.targets.wants(target.node));
    }
}
