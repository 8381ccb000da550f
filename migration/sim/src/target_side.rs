//! The target's driver: carries the machine's actions out on virtual memory and link, tells it what happened.

use std::{collections::VecDeque, time::Duration};

use godwit_migration::{
    error::MigrationError,
    host::{HostError, PageSink},
    target::{Action, Arrival, Event, Target},
    wire::{LaneError, MAGIC, SourceMessage, decode_message, encode_message},
};
use godwit_state::Sections;

use crate::{
    agenda::{Happening, Parcel},
    fault::{Side, Stream, Task},
    hearing::Hearing,
    lane::{Arrived, ReceivingLane},
    world::World,
};

#[derive(Default)]
pub(crate) struct TargetSide {
    /// Begins with the first bytes of a source.
    machine: Option<Target>,
    pub(crate) memory: Option<Arrived>,
    lanes: Vec<ReceivingLane>,
    hearing: Hearing,
    busy: bool,
    inbox: VecDeque<Event>,
    /// What the state says of the guest's writes.
    writes: Option<u64>,
    pub(crate) runs: bool,
    pub(crate) started_at: Option<Duration>,
    pub(crate) discarded: bool,
    pub(crate) outcome: Option<Result<Arrival, MigrationError>>,
}

impl TargetSide {
    /// When the machine wants to hear that time has passed.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let machine = self.machine.as_ref()?;
        if self.busy || self.outcome.is_some() { None } else { machine.poll_deadline() }
    }

    /// Whether nothing is left to do here: it has ended, or never began.
    pub(crate) fn is_over(&self) -> bool {
        self.outcome.is_some() || self.machine.is_none()
    }

    /// Something has happened here.
    pub(crate) fn hear(&mut self, world: &mut World, event: Event) {
        self.inbox.push_back(event);
        self.work(world);
    }

    /// Something has come from the source on the control link.
    pub(crate) fn arrives(&mut self, world: &mut World, parcel: Parcel) {
        if self.machine.is_none() {
            self.machine = Some(Target::new(world.now));
            world.send(world.now, Stream::ToSource, MAGIC.to_vec());
        }
        match parcel {
            Parcel::Bytes(bytes) => self.hearing.take(&bytes),
            Parcel::Closed => {
                self.inbox.push_back(Event::LinkLost("the source closed the connection".into()))
            }
            Parcel::Lanes(_) => {} // These come on streams of their own.
        }
        while let Some(message) = self.hearing.next(decode_message::<SourceMessage>) {
            self.inbox.push_back(match message {
                Ok(message) => Event::Message(message),
                Err(error) => Event::ProtocolBroken(error),
            });
        }
        self.work(world);
    }

    /// Something has come from the source on a lane.
    pub(crate) fn lane_arrives(&mut self, world: &mut World, lane: u8, parcel: Parcel) {
        let Some(memory) = &self.memory else { return };
        match parcel {
            Parcel::Lanes(count) => {
                let pages = memory.pages();
                self.lanes = (0..count).map(|lane| ReceivingLane::new(lane, count, pages)).collect();
                self.inbox.push_back(Event::LanesOpen);
            }
            Parcel::Bytes(bytes) => {
                let Some(lane_in) = self.lanes.get_mut(usize::from(lane)) else { return };
                self.inbox.extend(lane_in.take(&bytes, memory).into_iter().map(|event| match event {
                    Ok(event) => Event::Lane(event),
                    Err(LaneError::Protocol(error)) => Event::ProtocolBroken(error),
                    Err(LaneError::Host(error)) => Event::HostFailed(error),
                }));
            }
            Parcel::Closed => {
                if !self.lanes.get(usize::from(lane)).is_some_and(ReceivingLane::at_end) {
                    let text = format!("the source closed lane {lane} in the middle of a round");
                    self.inbox.push_back(Event::LinkLost(text));
                }
            }
        }
        self.work(world);
    }

    /// An action that took time is done.
    pub(crate) fn did(&mut self, world: &mut World, action: Action) {
        self.busy = false;
        self.perform(world, action);
        self.work(world);
    }

    fn work(&mut self, world: &mut World) {
        while !self.busy && self.outcome.is_none() {
            let Some(machine) = &mut self.machine else { return };
            if let Some(action) = machine.poll_action() {
                let cost = match &action {
                    Action::Prepare { .. } => world.costs.prepare,
                    Action::Build(_) => world.costs.build,
                    Action::Run => world.costs.run,
                    _ => Duration::ZERO,
                };
                if cost.is_zero() {
                    self.perform(world, action);
                } else {
                    self.busy = true;
                    world.agenda.add(world.now.saturating_add(cost), Happening::TargetDid(action));
                }
            } else if let Some(event) = self.inbox.pop_front() {
                machine.handle(world.now, event);
            } else {
                return;
            }
        }
    }

    fn perform(&mut self, world: &mut World, action: Action) {
        let event = match action {
            Action::Send(message) => {
                world.note(Side::Target, format!("says {}", message.name()));
                world.send(world.now, Stream::ToSource, encode_message(&message));
                return;
            }
            Action::Prepare { shape, .. } => Event::Prepared(if world.refusals.is_empty() {
                self.memory = Some(Arrived::new(shape.memory.pages()));
                Ok(())
            } else {
                Err(world.refusals.clone())
            }),
            Action::Check(_) => Event::Checked(world.refusals.clone()),
            Action::AcceptLanes { .. } | Action::Answered => return,
            Action::Build(state) => Event::Built(self.build(world, &state)),
            Action::Run => Event::Started(self.run(world)),
            Action::Discard => {
                world.note(Side::Target, "discards the machine");
                self.lanes.clear();
                self.discarded = true;
                return;
            }
            Action::Finish(outcome) => {
                let word = if outcome.is_ok() { "it runs" } else { "failed" };
                world.note(Side::Target, format!("ends: {word}"));
                self.outcome = Some(outcome);
                world.close(Stream::ToSource);
                return;
            }
        };
        if let Some(machine) = &mut self.machine {
            machine.handle(world.now, event);
        }
    }

    fn build(&mut self, world: &World, state: &Sections) -> Result<(), HostError> {
        world.fails(Task::Build)?;
        let section = state.get("writes", "guest").ok_or(HostError("the state lacks the guest".into()))?;
        let writes = section.payload.as_slice().try_into().map_err(HostError::of)?;
        self.writes = Some(u64::from_le_bytes(writes));
        Ok(())
    }

    fn run(&mut self, world: &mut World) -> Result<Duration, HostError> {
        world.fails(Task::Run)?;
        world.note(Side::Target, "runs the guest");
        if self.discarded || self.writes.is_none() {
            world.violated("the target ran a machine that is not there");
        }
        self.runs = true;
        self.started_at = Some(world.now);
        Ok(Duration::ZERO)
    }

    /// Writes that the guest has done, by the state that came.
    pub(crate) fn writes(&self) -> Option<u64> {
        self.writes
    }
}
