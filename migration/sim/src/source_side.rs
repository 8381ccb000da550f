//! The source's driver: carries the machine's actions out on the virtual guest and link, tells it what happened.

use std::{collections::VecDeque, time::Duration};

use godwit_migration::{
    arming::Arming,
    codec::Encoding,
    host::{HostError, PageSource},
    page::PageSet,
    report::Report,
    slow::Throttle,
    source::{Action, Event, Source, SourceConfig},
    wire::{LaneTotals, MAGIC, SourceMessage, TargetMessage, decode_message, encode_message},
};
use godwit_state::{Section, Sections};

use crate::{
    agenda::{Happening, Parcel},
    fault::{Side, Stream, Task},
    guest::Guest,
    hearing::Hearing,
    lane::SendingLane,
    world::World,
};

pub(crate) struct SourceSide {
    machine: Source,
    pub(crate) guest: Guest,
    encoding: Encoding,
    lanes: Vec<SendingLane>,
    /// Lanes that have not yet told of the round, and what the others told.
    waiting: usize,
    totals: LaneTotals,
    hearing: Hearing,
    said: bool,
    /// An action is under way; whatever happens meanwhile waits.
    busy: bool,
    inbox: VecDeque<Event>,
    /// The right to run the guest is here.
    pub(crate) has_right: bool,
    paused: bool,
    pub(crate) paused_at: Option<Duration>,
    pub(crate) report: Option<Report>,
    /// The guest's own time when the migration ended.
    pub(crate) guest_ran: Duration,
}

impl SourceSide {
    pub(crate) fn new(guest: Guest, config: SourceConfig) -> Self {
        Self {
            encoding: config.scheme.encode.clone(),
            machine: Source::new(Duration::ZERO, config),
            guest,
            lanes: vec![],
            waiting: 0,
            totals: LaneTotals::default(),
            hearing: Hearing::default(),
            said: false,
            busy: false,
            inbox: VecDeque::new(),
            has_right: true,
            paused: false,
            paused_at: None,
            report: None,
            guest_ran: Duration::ZERO,
        }
    }

    /// When the machine wants to hear that time has passed.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        if self.busy || self.report.is_some() { None } else { self.machine.poll_deadline() }
    }

    /// Something has happened here.
    pub(crate) fn hear(&mut self, world: &mut World, event: Event) {
        self.inbox.push_back(event);
        self.work(world);
    }

    /// Something has come from the target.
    pub(crate) fn arrives(&mut self, world: &mut World, parcel: Parcel) {
        match parcel {
            Parcel::Bytes(bytes) => self.hearing.take(&bytes),
            Parcel::Closed => {
                self.inbox.push_back(Event::LinkLost("the target closed the connection".into()))
            }
            Parcel::Lanes(_) => {} // These come on streams of their own.
        }
        while let Some(message) = self.hearing.next(decode_message::<TargetMessage>) {
            self.inbox.push_back(match message {
                Ok(message) => Event::Message(message),
                Err(error) => Event::ProtocolBroken(error),
            });
        }
        self.work(world);
    }

    /// An action that took time is done.
    pub(crate) fn did(&mut self, world: &mut World, action: Action) {
        self.busy = false;
        self.perform(world, action);
        self.work(world);
    }

    /// Does what is waiting to be done, then hears what is waiting to be heard.
    pub(crate) fn work(&mut self, world: &mut World) {
        while !self.busy && self.report.is_none() {
            if let Some(action) = self.machine.poll_action() {
                let cost = self.cost(world, &action);
                if cost.is_zero() {
                    self.perform(world, action);
                } else {
                    self.busy = true;
                    world.agenda.add(world.now.saturating_add(cost), Happening::SourceDid(action));
                }
            } else if let Some(event) = self.inbox.pop_front() {
                self.machine.handle(world.now, event);
            } else {
                return;
            }
        }
    }

    fn cost(&self, world: &World, action: &Action) -> Duration {
        match action {
            // A round trip for each connection, one after another.
            Action::OpenLanes(count) => world.wire.link.latency * 2 * u32::from(*count),
            Action::StartTracking(_) => world.costs.start_tracking,
            Action::Harvest => world.costs.harvest,
            Action::Pause => world.costs.pause,
            Action::Save => world.costs.save,
            Action::Undo => world.costs.undo,
            _ => Duration::ZERO,
        }
    }

    fn perform(&mut self, world: &mut World, action: Action) {
        let event = match action {
            Action::Send(message) => return self.say(world, &message),
            Action::OpenLanes(count) => self.open_lanes(world, count),
            Action::StartTracking(arming) => {
                self.start_tracking(world, arming).map_or_else(Event::HostFailed, Event::Tracking)
            }
            Action::Harvest => self.harvest(world).map_or_else(Event::HostFailed, Event::Harvested),
            Action::SendRound { round, plan, last } => {
                world
                    .note(Side::Source, format!("round {round}: {} pages, last: {last}", plan.pages.count()));
                self.waiting = self.lanes.len();
                self.totals = LaneTotals::default();
                let arms = self.guest.arm_others(&plan.pages).then_some(world.now);
                for (lane, out) in (0..).zip(&mut self.lanes) {
                    out.begin(round, &plan, last, arms);
                    world.agenda.add(world.now, Happening::LaneSteps(lane));
                }
                return;
            }
            Action::Pause => self.pause(world).map_or_else(Event::HostFailed, |()| Event::Paused),
            Action::Save => self.save(world).map_or_else(Event::HostFailed, Event::Saved),
            Action::GiveUp => {
                self.give_up(world);
                Event::GivenUp
            }
            // In the lab a link that is cut stays cut.
            Action::Ask => Event::LinkLost("cannot ask: the link is gone".into()),
            Action::TakeBack => {
                world.note(Side::Source, "takes the guest back");
                self.has_right = true;
                return;
            }
            Action::Throttle(throttle) => {
                world.note(Side::Source, format!("slows the guest: {throttle:?}"));
                self.guest.throttle(world.now, throttle);
                return;
            }
            Action::Undo => Event::Undone(self.undo(world)),
            Action::Finish(report) => return self.finish(world, *report),
        };
        self.machine.handle(world.now, event);
    }

    fn say(&mut self, world: &mut World, message: &SourceMessage) {
        world.note(Side::Source, format!("says {}", message.name()));
        let message = encode_message(message);
        let first = !std::mem::replace(&mut self.said, true);
        let bytes = if first { [MAGIC.as_slice(), &message].concat() } else { message };
        world.send(world.now, Stream::ToTarget, bytes);
    }

    fn open_lanes(&mut self, world: &mut World, count: u8) -> Event {
        if world.wire.is_cut() {
            return Event::LinkLost("cannot open the lanes: the link is gone".into());
        }
        self.lanes = (0..count).map(|lane| SendingLane::new(lane, count, &self.encoding)).collect();
        let arrives = world.now.saturating_add(world.wire.link.latency);
        world.agenda.add(arrives, Happening::Arrives(Stream::Lane(0), Parcel::Lanes(count)));
        Event::LanesOpen
    }

    fn start_tracking(&mut self, world: &World, arming: Arming) -> Result<PageSet, HostError> {
        world.fails(Task::StartTracking)?;
        self.guest.begin_tracking(world.now, arming);
        self.tell_free(world);
        let mut touched = PageSet::empty(self.guest.memory.pages());
        self.guest.memory.touched(&mut touched)?;
        Ok(touched)
    }

    fn harvest(&mut self, world: &World) -> Result<PageSet, HostError> {
        world.fails(Task::Harvest)?;
        self.tell_slowed(world);
        self.tell_free(world);
        Ok(self.guest.harvest(world.now))
    }

    /// What is free, before the harvest that is about to be taken.
    fn tell_free(&mut self, world: &World) {
        self.guest.play(world.now);
        let free = self.guest.take_freed();
        self.machine.handle(world.now, Event::Free(free));
    }

    fn tell_slowed(&mut self, world: &World) {
        self.guest.play(world.now);
        self.machine.handle(world.now, Event::Slowed(self.guest.slowed()));
    }

    fn pause(&mut self, world: &mut World) -> Result<(), HostError> {
        self.paused = true;
        world.fails(Task::Pause)?;
        world.note(Side::Source, "pauses the guest");
        self.guest.pause(world.now);
        self.paused_at = Some(world.now);
        self.tell_slowed(world);
        Ok(())
    }

    /// All the state there is beside memory: how much the guest has written.
    fn save(&mut self, world: &World) -> Result<Sections, HostError> {
        world.fails(Task::Save)?;
        let section = Section {
            kind: "writes".into(),
            instance: "guest".into(),
            version: 1,
            payload: self.guest.writes().to_le_bytes().into(),
        };
        Sections::checked(vec![section]).map_err(HostError::of)
    }

    fn give_up(&mut self, world: &mut World) {
        world.note(Side::Source, "gives the guest up");
        self.has_right = false;
        if self.guest.runs() {
            world.violated("the source gave up a guest that runs");
        }
    }

    fn undo(&mut self, world: &mut World) -> Result<(), HostError> {
        world.note(Side::Source, "undoes");
        for (lane, _) in (0..).zip(std::mem::take(&mut self.lanes)) {
            world.close(Stream::Lane(lane));
        }
        self.guest.end_tracking();
        self.guest.throttle(world.now, Throttle::None);
        self.tell_slowed(world);
        if std::mem::take(&mut self.paused) {
            if !self.has_right {
                world.violated("the source resumed a guest that it had given up");
                return Err(HostError("the right to run was given up".into()));
            }
            world.fails(Task::Resume)?;
            self.guest.resume(world.now);
        }
        Ok(())
    }

    fn finish(&mut self, world: &mut World, report: Report) {
        world.note(Side::Source, format!("ends: {:?}", report.outcome));
        self.guest.throttle(world.now, Throttle::None);
        self.guest_ran = self.guest.ran(world.now);
        self.report = Some(report);
        world.close(Stream::ToTarget);
    }

    /// A lane goes on with its round.
    pub(crate) fn lane_steps(&mut self, world: &mut World, lane: u8) {
        self.guest.play(world.now);
        let Some(step) =
            self.lanes.get_mut(usize::from(lane)).and_then(|out| out.step(&mut self.guest, world.now))
        else {
            return;
        };
        let ready = world.now.saturating_add(world.costs.page * step.pages);
        let next = if step.bytes.is_empty() {
            ready
        } else {
            // A lane that writes to a link that is gone waits, until somebody notices.
            let Some(leaves) = world.send(ready, Stream::Lane(lane), step.bytes) else { return };
            ready.max(leaves)
        };
        match step.ended {
            None => world.agenda.add(next, Happening::LaneSteps(lane)),
            Some(totals) => {
                world.agenda.add(next.saturating_add(world.costs.lane_word), Happening::LaneWord(totals));
            }
        }
    }

    /// A lane's part of the round is written.
    pub(crate) fn lane_word(&mut self, world: &mut World, totals: &LaneTotals) {
        if self.lanes.is_empty() {
            return;
        }
        self.totals.add(totals);
        self.waiting -= 1;
        if self.waiting == 0 {
            self.hear(world, Event::RoundSent(self.totals));
        }
    }
}
