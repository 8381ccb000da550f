//! What the two sides share: the clock, the link, and the record of what they did. They share nothing else.

use std::time::Duration;

use crate::{
    agenda::{Agenda, Happening, Parcel},
    costs::Costs,
    fault::{Fault, Side, Stream, Task},
    link::{Link, Wire},
    run::Entry,
};

pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) agenda: Agenda,
    pub(crate) wire: Wire,
    pub(crate) costs: Costs,
    pub(crate) refusals: Vec<String>,
    failing: Vec<Task>,
    pub(crate) timeline: Vec<Entry>,
    pub(crate) violations: Vec<String>,
}

impl World {
    pub(crate) fn new(link: Link, costs: Costs, faults: &[Fault]) -> Self {
        let mut world = Self {
            now: Duration::ZERO,
            agenda: Agenda::default(),
            wire: Wire::new(link, faults),
            costs,
            refusals: vec![],
            failing: vec![],
            timeline: vec![],
            violations: vec![],
        };
        for fault in faults {
            match fault {
                Fault::Refuse(reasons) => world.refusals.extend(reasons.iter().cloned()),
                Fault::Fail(task) => world.failing.push(*task),
                _ => {}
            }
        }
        world
    }

    /// Whether a host is to fail at this, and with which words.
    pub(crate) fn fails(&self, task: Task) -> Result<(), godwit_migration::host::HostError> {
        if self.failing.contains(&task) {
            return Err(godwit_migration::host::HostError(format!("{task:?} was to fail")));
        }
        Ok(())
    }

    pub(crate) fn note(&mut self, side: Side, what: impl Into<String>) {
        self.timeline.push(Entry { at: self.now, side, what: what.into() });
    }

    pub(crate) fn violated(&mut self, promise: impl Into<String>) {
        self.violations.push(promise.into());
    }

    /// Puts bytes on a stream, not before `ready`. When their first byte leaves; `None` where the link is gone.
    pub(crate) fn send(&mut self, ready: Duration, stream: Stream, bytes: Vec<u8>) -> Option<Duration> {
        let sent = self.wire.send(ready, stream, bytes)?;
        if !sent.bytes.is_empty() {
            self.agenda.add(sent.arrives, Happening::Arrives(stream, Parcel::Bytes(sent.bytes)));
        }
        if sent.last {
            self.agenda.add(sent.arrives, Happening::Loses(Side::Source));
            self.agenda.add(sent.arrives, Happening::Loses(Side::Target));
        }
        Some(sent.leaves)
    }

    /// Closes a stream behind what has been sent on it.
    pub(crate) fn close(&mut self, stream: Stream) {
        if let Some(sent) = self.wire.send(self.now, stream, vec![]) {
            self.agenda.add(sent.arrives, Happening::Arrives(stream, Parcel::Closed));
        }
    }
}
