//! A machine as a table that grows while it is explored.
//!
//! The engine's machines cannot be copied, compared or hashed (their rules are boxed traits), and need not be: a
//! machine without I/O is a function of what it has been told, in order. So a node of the table *is* a history, a step
//! from node to node is the real machine being told one thing more, and each is done once. The explorer then works on
//! node numbers. Two histories that come to the same thing are two nodes: that costs states and hides nothing. But in one
//! moment, at the beginning of the hand-over, all that lies behind no longer matters: there histories that leave the machine
//! wanting the same are one node, and [`Automaton::same_from_here`] holds that assumption against the machines.

use std::{collections::HashMap, hash::Hash, time::Duration};

use super::messages::Messages;

/// A machine that can be explored.
pub trait Machine: Sized {
    /// What it can be told.
    type Told: Copy + Eq + Hash;
    /// What it can want.
    type Wants: Copy + Eq + Hash;
    /// How it is set up.
    type Setting;

    /// A fresh one.
    fn begin(setting: &Self::Setting) -> Self;
    /// Tells it something.
    fn tell(&mut self, now: Duration, told: Self::Told, messages: &Messages);
    /// The next thing that it wants.
    fn wants(&mut self, messages: &mut Messages) -> Option<Self::Wants>;
    /// When it wants to hear that time has passed.
    fn deadline(&self) -> Option<Duration>;
    /// How long after its deadline it hears that time has passed, where this is what it is told.
    fn passes(told: Self::Told) -> Option<Duration>;
    /// Where it stands.
    fn phase(&self) -> String;
    /// The phase at whose beginning it no longer matters how it came there.
    const FORGETS: &str;
}

/// A node of the table.
pub type Node = u32;

struct Entry<M: Machine> {
    before: Option<(Node, M::Told)>,
    /// The machine's clock: it stands still but for ticks, which come when they are due.
    now: Duration,
    deadline: Option<Duration>,
    wants: Vec<M::Wants>,
    /// Where it stands.
    phase: String,
    /// Whether it has come to [`Machine::FORGETS`] already.
    forgot: bool,
    /// The machine itself, until the first step from here takes it along.
    machine: Option<M>,
}

/// The table.
pub struct Automaton<M: Machine> {
    setting: M::Setting,
    entries: Vec<Entry<M>>,
    known: HashMap<(Node, M::Told), Node>,
    /// The nodes where histories meet, by what is wanted there and how long until the deadline.
    meeting: HashMap<(Vec<M::Wants>, Option<Duration>), Node>,
    /// Histories that met another one there: the last step, and that node.
    met: Vec<(Node, M::Told, Node)>,
    phases: std::collections::BTreeSet<String>,
}

impl<M: Machine> Automaton<M> {
    /// A table with a fresh machine: node 0.
    pub fn new(setting: M::Setting, messages: &mut Messages) -> Self {
        let mut automaton = Self {
            entries: vec![],
            known: HashMap::new(),
            meeting: HashMap::new(),
            met: vec![],
            phases: std::collections::BTreeSet::new(),
            setting,
        };
        let machine = M::begin(&automaton.setting);
        automaton.add(None, Duration::ZERO, machine, messages);
        automaton
    }

    /// Where the machine of `node` stands after it has been told `told`.
    pub fn tell(&mut self, node: Node, told: M::Told, messages: &mut Messages) -> Node {
        if let Some(&known) = self.known.get(&(node, told)) {
            return known;
        }
        let mut machine = self.machine(node, messages);
        let entry = &self.entries[node as usize];
        let now = M::passes(told).zip(entry.deadline).map_or(entry.now, |(late, due)| due + late);
        machine.tell(now, told, messages);
        let next = self.add(Some((node, told)), now, machine, messages);
        let next = self.meet(node, told, next);
        self.known.insert((node, told), next);
        next
    }

    /// Where `next`, the step `told` from `node`, begins the phase in which what was no longer matters: the node that was
    /// there before it.
    fn meet(&mut self, node: Node, told: M::Told, next: Node) -> Node {
        let begins = self.entries[next as usize].forgot && !self.entries[node as usize].forgot;
        if !begins {
            return next;
        }
        let Entry { now, deadline, ref wants, .. } = self.entries[next as usize];
        let key = (wants.clone(), deadline.map(|due| due.saturating_sub(now)));
        let there = *self.meeting.entry(key).or_insert(next);
        if there != next {
            self.entries.pop();
            self.met.push((node, told, there));
        }
        there
    }

    /// Tells two machines that came to the same node on different ways the same things, every sequence of `events` of so
    /// many `steps`, and compares what they want.
    ///
    /// # Panics
    /// Where they differ.
    pub fn same_from_here(&mut self, events: &[M::Told], steps: u32, messages: &mut Messages) -> usize {
        let met = std::mem::take(&mut self.met);
        for &(node, told, there) in &met {
            for number in 0..events.len().pow(steps) {
                let sequence = (0..steps)
                    .map(|step| events[number / events.len().pow(step) % events.len()])
                    .collect::<Vec<_>>();
                let here = self.told(node, std::iter::once(told).chain(sequence.clone()), messages);
                let there = self.told(there, sequence.iter().copied(), messages);
                assert!(here[1..] == there[..], "two histories meet that are not the same from there on");
            }
        }
        met.len()
    }

    /// What a machine of `node` wants after each of these things, and how long it then waits.
    fn told(
        &mut self,
        node: Node,
        events: impl Iterator<Item = M::Told>,
        messages: &mut Messages,
    ) -> Vec<(Vec<M::Wants>, Option<Duration>)> {
        let Entry { mut now, mut deadline, .. } = self.entries[node as usize];
        let mut machine = self.replayed(node, messages);
        let mut answers = vec![];
        for told in events {
            now = M::passes(told).zip(deadline).map_or(now, |(late, due)| due + late);
            machine.tell(now, told, messages);
            let wants = std::iter::from_fn(|| machine.wants(messages)).collect();
            deadline = machine.deadline();
            answers.push((wants, deadline.map(|due| due.saturating_sub(now))));
        }
        answers
    }

    /// What the machine has wanted since it came to `node`.
    pub fn wants(&self, node: Node) -> &[M::Wants] {
        &self.entries[node as usize].wants
    }

    /// The phase that it is in there.
    pub fn phase(&self, node: Node) -> &str {
        &self.entries[node as usize].phase
    }

    /// Whether it waits for time to pass.
    pub fn has_deadline(&self, node: Node) -> bool {
        self.entries[node as usize].deadline.is_some()
    }

    /// Number of histories.
    pub fn nodes(&self) -> usize {
        self.entries.len()
    }

    /// Every phase that it has been in.
    pub fn phases(&self) -> impl Iterator<Item = &str> {
        self.phases.iter().map(String::as_str)
    }

    fn add(
        &mut self,
        before: Option<(Node, M::Told)>,
        now: Duration,
        mut machine: M,
        messages: &mut Messages,
    ) -> Node {
        let wants = std::iter::from_fn(|| machine.wants(messages)).collect();
        let phase = machine.phase();
        let forgot =
            phase == M::FORGETS || before.is_some_and(|(before, _)| self.entries[before as usize].forgot);
        self.phases.insert(phase.clone());
        let deadline = machine.deadline();
        self.entries.push(Entry { before, now, deadline, wants, phase, forgot, machine: Some(machine) });
        Node::try_from(self.entries.len() - 1).expect("histories can be counted")
    }

    /// The machine of `node`: the one that is there, or another one that is told the same.
    fn machine(&mut self, node: Node, messages: &mut Messages) -> M {
        if let Some(machine) = self.entries[node as usize].machine.take() {
            return machine;
        }
        self.replayed(node, messages)
    }

    /// A machine that is told all that leads to `node`.
    fn replayed(&self, node: Node, messages: &mut Messages) -> M {
        let mut steps = vec![];
        let mut at = node;
        while let Some((before, told)) = self.entries[at as usize].before {
            steps.push((self.entries[at as usize].now, told));
            at = before;
        }
        let mut machine = M::begin(&self.setting);
        while machine.wants(messages).is_some() {}
        for (now, told) in steps.into_iter().rev() {
            machine.tell(now, told, messages);
            while machine.wants(messages).is_some() {}
        }
        machine
    }
}
