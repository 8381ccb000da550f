//! Every state that can be reached, the nearest first; then, backwards from the good ends, whether each state has a way
//! to one.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::BuildHasherDefault,
};

use super::{
    fingerprint::{Already, fingerprint},
    promises::Ending,
    state::State,
    step::{Step, Told},
    world::{Bounds, World},
};

/// What was seen.
#[derive(Debug)]
pub struct Exploration {
    pub states: usize,
    pub steps: usize,
    /// Steps from the beginning to the furthest state.
    pub depth: usize,
    /// Different histories of the source's machine, and of the target's.
    pub histories: (usize, usize),
    pub endings: BTreeMap<Ending, usize>,
    pub source_phases: Vec<String>,
    pub target_phases: Vec<String>,
}

/// A promise that does not hold.
#[derive(Debug)]
pub struct Violation {
    pub promise: &'static str,
    /// How it comes about, step by step.
    pub trace: Vec<String>,
}

/// Most states that fit the memory that a test may take.
const MOST_STATES: usize = 60_000_000;

/// What is remembered of a state.
struct Seen {
    before: u32,
    step: Option<Step>,
    depth: u32,
    ending: Option<Ending>,
    lost_a_copy: bool,
}

struct Explorer {
    world: World,
    known: HashMap<u128, u32, BuildHasherDefault<Already>>,
    seen: Vec<Seen>,
    edges: Vec<(u32, u32)>,
    /// States whose steps have not been taken.
    ahead: VecDeque<State>,
}

/// Explores everything within the bounds.
///
/// # Errors
/// The first promise found broken, by the shortest way there is.
pub fn explore(bounds: Bounds) -> Result<Exploration, Violation> {
    let world = World::new(bounds);
    let first = world.first();
    let mut explorer =
        Explorer { world, known: HashMap::default(), seen: vec![], edges: vec![], ahead: VecDeque::new() };
    explorer.meet(first, 0, None)?;
    explorer.run()?;
    explorer.every_state_has_a_way_out()?;
    Ok(explorer.summary())
}

/// Explores everything within the bounds, and then holds against the machines what the tables assume of them: that it does
/// not matter how they came to the hand-over. Gives how many histories of a source and of a target met another one there.
pub fn meetings(bounds: Bounds) -> (usize, usize) {
    let world = World::new(bounds);
    let first = world.first();
    let mut explorer =
        Explorer { world, known: HashMap::default(), seen: vec![], edges: vec![], ahead: VecDeque::new() };
    let explored = explorer.meet(first, 0, None).and_then(|()| explorer.run());
    explored.expect("the promises hold within these bounds");
    explorer.world.meetings()
}

impl Explorer {
    fn run(&mut self) -> Result<(), Violation> {
        let mut next = vec![];
        let mut at = 0;
        while let Some(state) = self.ahead.pop_front() {
            self.world.next(&state, &mut next);
            for (step, after) in next.drain(..) {
                self.meet(after, at, Some(step))?;
            }
            at += 1;
        }
        Ok(())
    }

    fn meet(&mut self, state: State, before: u32, step: Option<Step>) -> Result<(), Violation> {
        let number = self.seen.len() as u32;
        let known = *self.known.entry(fingerprint(&state)).or_insert(number);
        if step.is_some() {
            self.edges.push((before, known));
        }
        if known != number {
            return Ok(());
        }
        assert!(self.seen.len() < MOST_STATES, "more than {MOST_STATES} states: {:?}", self.world.bounds);
        self.seen.push(Seen {
            before,
            step,
            depth: self.seen.get(before as usize).map_or(0, |seen| seen.depth + 1),
            ending: state.ending(),
            lost_a_copy: state.has_lost_a_copy(),
        });
        if let Some(promise) = state.broken_promise() {
            return Err(self.violation(number, promise));
        }
        self.ahead.push_back(state);
        Ok(())
    }

    /// From every state some way leads to an end where the guest runs or is kept; where a process that had the only
    /// copy has crashed, at least to an end.
    fn every_state_has_a_way_out(&self) -> Result<(), Violation> {
        let ends = |wanted: fn(&Seen) -> bool| {
            (0..self.seen.len() as u32).filter(|&n| wanted(&self.seen[n as usize])).collect::<Vec<_>>()
        };
        let good = self.leading_to(ends(|seen| seen.ending.is_some_and(|ending| ending != Ending::Lost)));
        let any = self.leading_to(ends(|seen| seen.ending.is_some()));
        for (number, seen) in self.seen.iter().enumerate() {
            if !any[number] || !(good[number] || seen.lost_a_copy) {
                return Err(self.violation(number as u32, "no way leads to a copy that runs, or is kept"));
            }
        }
        Ok(())
    }

    /// Which states have a way to one of `ends`.
    fn leading_to(&self, mut ends: Vec<u32>) -> Vec<bool> {
        let mut starts = vec![0usize; self.seen.len() + 1];
        self.edges.iter().for_each(|&(_, to)| starts[to as usize + 1] += 1);
        (0..self.seen.len()).for_each(|n| starts[n + 1] += starts[n]);
        let (mut from, mut at) = (vec![0u32; self.edges.len()], starts.clone());
        for &(before, to) in &self.edges {
            from[at[to as usize]] = before;
            at[to as usize] += 1;
        }
        let mut reached = vec![false; self.seen.len()];
        ends.iter().for_each(|&end| reached[end as usize] = true);
        while let Some(end) = ends.pop() {
            for &before in &from[starts[end as usize]..starts[end as usize + 1]] {
                if !std::mem::replace(&mut reached[before as usize], true) {
                    ends.push(before);
                }
            }
        }
        reached
    }

    fn violation(&self, mut number: u32, promise: &'static str) -> Violation {
        let mut trace = vec![];
        while let Some(step) = self.seen[number as usize].step {
            trace.push(Told(step, &self.world.messages).to_string());
            number = self.seen[number as usize].before;
        }
        trace.reverse();
        Violation { promise, trace }
    }

    fn summary(&self) -> Exploration {
        let mut endings = BTreeMap::new();
        for ending in self.seen.iter().filter_map(|seen| seen.ending) {
            *endings.entry(ending).or_default() += 1;
        }
        Exploration {
            states: self.seen.len(),
            steps: self.edges.len(),
            depth: self.seen.last().map_or(0, |seen| seen.depth as usize),
            histories: (self.world.sources.nodes(), self.world.targets.nodes()),
            endings,
            source_phases: self.world.sources.phases().map(str::to_owned).collect(),
            target_phases: self.world.targets.phases().map(str::to_owned).collect(),
        }
    }
}
