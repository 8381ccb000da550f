//! One migration on virtual time: what is set up, and the loop that plays it.

use std::time::Duration;

use godwit_migration::{
    cancellation::Cancellation,
    convergence::ladder::Escalation,
    preset::Scheme,
    source::{Event, OnTimeout, SourceConfig},
    target,
};

use crate::{
    agenda::{Cut, Happening},
    costs::Costs,
    fault::{Fault, Side, Stream, When},
    guest::{Guest, GuestSpec, is_zero},
    link::Link,
    run::Run,
    source_side::SourceSide,
    target_side::TargetSide,
    world::World,
};

/// Name that the lab gives every migration.
const SESSION: u128 = 1;

/// A migration to be played.
pub struct Lab {
    guest: GuestSpec,
    link: Link,
    /// The scheme.
    pub scheme: Scheme,
    /// Number of lanes.
    pub lanes: u8,
    /// Downtime that may be.
    pub downtime: Duration,
    /// How long pre-copy may take.
    pub timeout: Option<Duration>,
    /// What happens then.
    pub on_timeout: OnTimeout,
    /// What is tried when pre-copy makes no progress.
    pub escalate: Escalation,
    /// What the hosts take for their tasks.
    pub costs: Costs,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

impl Lab {
    /// One lane, the default preset, 30 ms of downtime, no time-out, nothing going wrong.
    #[must_use]
    pub fn new(guest: GuestSpec, link: Link) -> Self {
        Self {
            guest,
            link,
            scheme: Scheme::default(),
            lanes: 1,
            downtime: Duration::from_millis(30),
            timeout: None,
            on_timeout: OnTimeout::Cancel,
            escalate: Escalation::default(),
            costs: Costs::default(),
            faults: vec![],
        }
    }

    /// Plays it to its end.
    ///
    /// # Panics
    /// Where the engine would wait for ever: a bug of the engine.
    #[must_use]
    pub fn run(self) -> Run {
        let world = World::new(self.link, self.costs, &self.faults);
        let guest = Guest::new(self.guest);
        let config = SourceConfig {
            session: SESSION,
            replaces: 0,
            scheme: self.scheme,
            lanes: self.lanes,
            downtime: self.downtime,
            timeout: self.timeout,
            on_timeout: self.on_timeout,
            bandwidth_cap: None,
            escalate: self.escalate,
            tracking: "lab".into(),
            shape: guest.shape(),
        };
        let source = SourceSide::new(guest, config);
        let mut play = Play { world, source, target: TargetSide::default(), faults: vec![], steps: 0 };
        play.begin(&self.faults);
        while play.step() {}
        play.end()
    }
}

/// A migration being played.
struct Play {
    world: World,
    source: SourceSide,
    target: TargetSide,
    /// What happens just before a step.
    faults: Vec<(u64, Happening)>,
    steps: u64,
}

impl Play {
    fn begin(&mut self, faults: &[Fault]) {
        for fault in faults {
            let (when, happening) = match *fault {
                Fault::Cut { when, in_flight_arrives, source_notices, target_notices } => {
                    (when, Happening::Cut(Cut { in_flight_arrives, source_notices, target_notices }))
                }
                Fault::Cancel { when, side } => (when, Happening::Cancels(side)),
                _ => continue,
            };
            match when {
                When::Time(at) => self.world.agenda.add(at, happening),
                When::Step(step) => self.faults.push((step, happening)),
            }
        }
        self.source.work(&mut self.world);
    }

    /// Plays what comes next. False when all is over.
    fn step(&mut self) -> bool {
        while let Some(at) = self.faults.iter().position(|(step, _)| *step == self.steps) {
            let (_, happening) = self.faults.swap_remove(at);
            self.happens(happening);
            self.check();
        }
        if self.source.report.is_some() && self.target.is_over() {
            return false;
        }
        let deadline = [self.source.deadline(), self.target.deadline()].into_iter().flatten().min();
        match (self.world.agenda.due(), deadline) {
            (due, Some(deadline)) if due.is_none_or(|due| deadline < due) => self.tick(deadline),
            (Some(_), _) => {
                if let Some((at, happening)) = self.world.agenda.pop() {
                    self.world.now = self.world.now.max(at);
                    self.happens(happening);
                }
            }
            (None, _) => return false,
        }
        self.steps += 1;
        self.check();
        true
    }

    /// Time has passed for whoever waited for it.
    fn tick(&mut self, deadline: Duration) {
        self.world.now = self.world.now.max(deadline);
        if self.source.deadline() == Some(deadline) {
            self.source.hear(&mut self.world, Event::Tick);
            assert_ne!(
                self.source.deadline(),
                Some(deadline),
                "a deadline of the source passes without effect"
            );
        }
        if self.target.deadline() == Some(deadline) {
            self.target.hear(&mut self.world, target::Event::Tick);
            assert_ne!(
                self.target.deadline(),
                Some(deadline),
                "a deadline of the target passes without effect"
            );
        }
    }

    fn happens(&mut self, happening: Happening) {
        let world = &mut self.world;
        match happening {
            Happening::SourceDid(action) => self.source.did(world, action),
            Happening::TargetDid(action) => self.target.did(world, action),
            Happening::LaneSteps(lane) => self.source.lane_steps(world, lane),
            Happening::LaneWord(totals) => self.source.lane_word(world, &totals),
            Happening::Arrives(Stream::ToSource, parcel) => self.source.arrives(world, parcel),
            Happening::Arrives(Stream::ToTarget, parcel) => self.target.arrives(world, parcel),
            Happening::Arrives(Stream::Lane(lane), parcel) => self.target.lane_arrives(world, lane, parcel),
            Happening::Loses(Side::Source) => {
                self.source.hear(world, Event::LinkLost("the link is gone".into()));
            }
            Happening::Loses(Side::Target) => {
                self.target.hear(world, target::Event::LinkLost("the link is gone".into()));
            }
            Happening::Cancels(Side::Source) => self.source.hear(world, Event::Cancel(Cancellation::Request)),
            Happening::Cancels(Side::Target) => {
                self.target.hear(world, target::Event::Cancel(Cancellation::Request))
            }
            Happening::Cut(cut) => {
                world.wire.cut();
                if !cut.in_flight_arrives {
                    world.agenda.lose_arrivals();
                }
                let (source, target) = (world.now + cut.source_notices, world.now + cut.target_notices);
                world.agenda.add(source, Happening::Loses(Side::Source));
                world.agenda.add(target, Happening::Loses(Side::Target));
            }
        }
    }

    /// The promises that hold at every moment.
    fn check(&mut self) {
        let (source, target) = (&self.source, &self.target);
        let broken = [
            (source.guest.runs() && target.runs, "the guest runs on both sides"),
            (source.guest.runs() && !source.has_right, "the source runs the guest without the right to"),
            (
                target.runs && source.has_right,
                "the target runs the guest while the right to is at the source",
            ),
            (target.runs && target.discarded, "the target threw a running guest away"),
        ];
        for (broken, promise) in broken {
            if broken && !self.world.violations.iter().any(|said| said == promise) {
                self.world.violated(promise);
            }
        }
    }

    fn end(mut self) -> Run {
        let versions = self.source.guest.versions().to_vec();
        let mut differing = vec![];
        if let Some(memory) = &self.target.memory {
            self.world.violations.extend(memory.wrong());
            if self.target.runs {
                let free = self.source.guest.free();
                let pages = (0..).zip(memory.shown().into_iter().zip(&versions));
                let differs = pages.filter(|&(page, (shown, &version))| {
                    !free.contains(page) && shown != if is_zero(page, version) { 0 } else { version }
                });
                differing = differs.map(|(page, _)| page).collect();
            }
        }
        if self.target.runs && self.target.writes() != Some(self.source.guest.writes()) {
            self.world.violated("the state at the target is not that of the pause");
        }
        Run {
            report: self.source.report.expect("the source ends"),
            target: self.target.outcome,
            source_runs: self.source.guest.runs(),
            source_has_right: self.source.has_right,
            source_tracks: self.source.guest.tracked(),
            source_slowed: self.source.guest.throttled(),
            guest_slowed: self.source.guest.slowed(),
            target_runs: self.target.runs,
            versions,
            differing,
            violations: self.world.violations,
            stood_still: self
                .target
                .started_at
                .zip(self.source.paused_at)
                .map(|(started, paused)| started.saturating_sub(paused)),
            guest_ran: self.source.guest_ran,
            lane_bytes: self.world.wire.lane_bytes(),
            steps: self.steps,
            timeline: self.world.timeline,
        }
    }
}
