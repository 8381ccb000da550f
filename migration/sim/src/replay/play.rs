//! The two machines on the virtual clock: carries their actions out in time, and tells them what happened.
//!
//! A round is one step, unless its lanes peek at the log: then it is up to [`PEEKS`] steps, each of some blocks, with the
//! guest writing on in between.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use godwit_migration::{
    arming,
    codec::Encoding,
    convergence::ladder::Escalation,
    limits::{BLOCK_PAGES, PAGE_BYTES},
    page::{PageSet, Plan},
    report::Report,
    shape::{CpuShape, MachineShape, MemoryShape, Region},
    source::{self, Source, SourceConfig},
    target::{self, Target},
    wire::{LaneEvent, LaneTotals, SourceMessage, TargetMessage},
};
use godwit_state::Sections;

use super::{
    Played, Replay,
    guest::Guest,
    kept::Kept,
    model::{Batch, Coded},
};
use crate::{agenda::Agenda, trace::Tape};

/// Most looks at the log in a round.
const PEEKS: usize = 64;
/// Name that the lab gives every migration.
const SESSION: u128 = 1;

enum Happening {
    SourceHears(source::Event),
    TargetHears(target::Event),
    SourceDid(source::Action),
    TargetDid(target::Action),
    LanesGoOn,
}

/// A round on its way.
struct Round {
    number: u32,
    last: bool,
    plan: Arc<Plan>,
    began: Duration,
    /// Whether its pages are armed as they go.
    arms: bool,
    /// Groups of blocks that are still to go, in order.
    groups: VecDeque<Vec<u32>>,
    totals: LaneTotals,
}

struct Play<'a> {
    replay: &'a Replay,
    tape: &'a Tape,
    now: Duration,
    agenda: Agenda<Happening>,
    guest: Guest<'a>,
    source: Source,
    target: Target,
    source_busy: bool,
    target_busy: bool,
    source_inbox: VecDeque<source::Event>,
    target_inbox: VecDeque<target::Event>,
    encode: Encoding,
    round: Option<Round>,
    /// Pages written at least once since tracking began.
    written: PageSet,
    kept: Kept,
    cpu_s: f64,
    paused_at: Option<Duration>,
    started_at: Option<Duration>,
    report: Option<Report>,
}

/// Plays `replay` to its end.
///
/// # Panics
/// Where the engine would wait for ever: a bug of the engine.
pub(super) fn play(replay: &Replay, tape: &Tape) -> Played {
    let pages = tape.trace().pages();
    let config = SourceConfig {
        session: SESSION,
        replaces: 0,
        scheme: replay.scheme.clone(),
        lanes: replay.lanes,
        downtime: replay.downtime,
        timeout: replay.timeout,
        on_timeout: replay.on_timeout,
        tracking: "trace".into(),
        bandwidth_cap: None,
        escalate: Escalation::default(),
        shape: MachineShape {
            memory: MemoryShape {
                regions: vec![Region { gpa: 0, bytes: u64::from(pages) * PAGE_BYTES as u64 }],
            },
            cpus: CpuShape { count: tape.trace().about.vcpus.max(1), ..CpuShape::default() },
            devices: vec![],
        },
    };
    let mut play = Play {
        encode: config.scheme.encode.clone(),
        source: Source::new(Duration::ZERO, config),
        target: Target::new(Duration::ZERO),
        guest: Guest::new(tape, replay.start, replay.model.fault),
        replay,
        tape,
        now: Duration::ZERO,
        agenda: Agenda::default(),
        source_busy: false,
        target_busy: false,
        source_inbox: VecDeque::new(),
        target_inbox: VecDeque::new(),
        round: None,
        written: PageSet::empty(pages),
        kept: Kept::nothing(&replay.scheme.encode, replay.lanes, pages),
        cpu_s: 0.0,
        paused_at: None,
        started_at: None,
        report: None,
    };
    play.work();
    while play.report.is_none() {
        assert!(play.step(), "the source of a replay waits for ever");
    }
    play.end()
}

impl Play<'_> {
    /// What comes next. False where nothing does.
    fn step(&mut self) -> bool {
        let source = if self.source_busy { None } else { self.source.poll_deadline() };
        let target = if self.target_busy { None } else { self.target.poll_deadline() };
        let deadline = [source, target].into_iter().flatten().min();
        match (self.agenda.due(), deadline) {
            (due, Some(deadline)) if due.is_none_or(|due| deadline < due) => {
                self.now = self.now.max(deadline);
                if source == Some(deadline) {
                    self.source_inbox.push_back(source::Event::Tick);
                }
                if target == Some(deadline) {
                    self.target_inbox.push_back(target::Event::Tick);
                }
            }
            (Some(_), _) => {
                let Some((at, happening)) = self.agenda.pop() else { return false };
                self.now = self.now.max(at);
                match happening {
                    Happening::SourceHears(event) => self.source_inbox.push_back(event),
                    Happening::TargetHears(event) => self.target_inbox.push_back(event),
                    Happening::SourceDid(action) => {
                        self.source_busy = false;
                        self.source_does(action);
                    }
                    Happening::TargetDid(action) => {
                        self.target_busy = false;
                        self.target_does(action);
                    }
                    Happening::LanesGoOn => self.lanes_go_on(),
                }
            }
            (None, _) => return false,
        }
        self.work();
        true
    }

    /// Does what is waiting to be done on both sides, then hears what is waiting to be heard.
    fn work(&mut self) {
        while !self.source_busy && self.report.is_none() {
            if let Some(action) = self.source.poll_action() {
                let cost = self.source_cost(&action);
                if cost.is_zero() {
                    self.source_does(action);
                } else {
                    self.source_busy = true;
                    self.agenda.add(self.now.saturating_add(cost), Happening::SourceDid(action));
                }
            } else if let Some(event) = self.source_inbox.pop_front() {
                self.source.handle(self.now, event);
            } else {
                break;
            }
        }
        while !self.target_busy {
            if let Some(action) = self.target.poll_action() {
                let costs = &self.replay.model.costs;
                let cost = match &action {
                    target::Action::Prepare { .. } => costs.prepare,
                    target::Action::Build(_) => costs.build,
                    target::Action::Run => costs.run,
                    _ => Duration::ZERO,
                };
                if cost.is_zero() {
                    self.target_does(action);
                } else {
                    self.target_busy = true;
                    self.agenda.add(self.now.saturating_add(cost), Happening::TargetDid(action));
                }
            } else if let Some(event) = self.target_inbox.pop_front() {
                self.target.handle(self.now, event);
            } else {
                break;
            }
        }
    }

    fn source_cost(&self, action: &source::Action) -> Duration {
        let costs = &self.replay.model.costs;
        match action {
            // A round trip for each connection, one after another.
            source::Action::OpenLanes(count) => self.replay.model.link.latency * 2 * u32::from(*count),
            source::Action::StartTracking(_) => costs.start_tracking,
            source::Action::Harvest => costs.harvest,
            source::Action::Pause => costs.pause,
            source::Action::Save => costs.save,
            source::Action::Undo => costs.undo,
            _ => Duration::ZERO,
        }
    }

    fn source_does(&mut self, action: source::Action) {
        use source::{Action, Event};
        let event = match action {
            Action::Send(message) => return self.say(message),
            Action::OpenLanes(_) => {
                self.later(self.replay.model.link.latency, Happening::TargetHears(target::Event::LanesOpen));
                Event::LanesOpen
            }
            Action::StartTracking(arming) => Event::Tracking(self.guest.begin_tracking(self.now, arming)),
            Action::Harvest => {
                let dirty = self.guest.harvest(self.now);
                self.written.union(&dirty);
                Event::Harvested(dirty)
            }
            Action::SendRound { round, plan, last } => return self.send_round(round, plan, last),
            Action::Throttle(throttle) => return self.guest.throttle(self.now, throttle),
            Action::Pause => {
                self.guest.pause(self.now);
                self.paused_at = Some(self.now);
                Event::Paused
            }
            Action::Save => Event::Saved(Sections::default()),
            Action::Undo => {
                self.round = None;
                self.guest.end_tracking();
                self.guest.resume(self.now);
                Event::Undone(Ok(()))
            }
            Action::Finish(report) => {
                self.report = Some(*report);
                return;
            }
            // The right to run is not what a replay is about.
            Action::GiveUp => Event::GivenUp,
            Action::TakeBack | Action::Ask => return,
        };
        self.source.handle(self.now, event);
    }

    fn target_does(&mut self, action: target::Action) {
        use target::{Action, Event};
        let event = match action {
            Action::Send(message) => return self.answer(message),
            Action::Prepare { .. } => Event::Prepared(Ok(())),
            Action::Check(_) => Event::Checked(vec![]),
            Action::Build(_) => Event::Built(Ok(())),
            Action::Run => {
                self.started_at = Some(self.now);
                Event::Started(Ok(Duration::ZERO))
            }
            Action::AcceptLanes { .. } | Action::Answered | Action::Discard | Action::Finish(_) => return,
        };
        self.target.handle(self.now, event);
    }

    fn later(&mut self, after: Duration, happening: Happening) {
        self.agenda.add(self.now.saturating_add(after), happening);
    }

    /// Control messages do not wait for lanes; only the state is long enough to count.
    fn say(&mut self, message: SourceMessage) {
        let link = self.replay.model.link;
        let bytes = match &message {
            SourceMessage::State(_) => self.replay.model.state_bytes as usize,
            _ => 0,
        };
        let after = link.time_of(bytes).saturating_add(link.latency);
        self.later(after, Happening::TargetHears(target::Event::Message(message)));
    }

    fn answer(&mut self, message: TargetMessage) {
        let latency = self.replay.model.link.latency;
        self.later(latency, Happening::SourceHears(source::Event::Message(message)));
    }

    fn send_round(&mut self, number: u32, plan: Arc<Plan>, last: bool) {
        let arms = self.guest.arm_others(&plan.pages);
        let groups = if (plan.skip_redirtied || arms) && !last {
            let blocks: Vec<_> = plan
                .blocks(0, 1)
                .filter(|&block| plan.pages.runs_in(Plan::block_range(block)).next().is_some())
                .collect();
            let size = blocks.len().div_ceil(PEEKS).max(1);
            blocks.chunks(size).map(<[u32]>::to_vec).collect()
        } else {
            VecDeque::new()
        };
        let whole = groups.is_empty();
        self.kept.round_begins();
        self.round = Some(Round {
            number,
            last,
            plan: Arc::clone(&plan),
            began: self.now,
            arms,
            groups,
            totals: LaneTotals::default(),
        });
        if whole {
            let seconds = self.send(&plan.pages);
            self.round_ends(seconds);
        } else {
            self.lanes_go_on();
        }
    }

    /// The next blocks of a round whose lanes peek, or arm.
    fn lanes_go_on(&mut self) {
        let Some(round) = &mut self.round else { return };
        let Some(blocks) = round.groups.pop_front() else { return self.round_ends(Duration::ZERO) };
        self.guest.play(self.now);
        if round.arms {
            round.arms = arming::pays(round.totals.pages, self.now.saturating_sub(round.began));
            let rest = round.groups.iter().filter(|_| !round.arms);
            for &block in blocks.iter().chain(rest.flatten()) {
                self.guest.arm(&round.plan.pages, Plan::block_range(block));
            }
            self.written.union(&self.guest.take_unseen());
        }
        let skips = round.plan.skip_redirtied && !round.arms;
        let mut pages = PageSet::empty(self.written.pages());
        const WORDS: usize = BLOCK_PAGES as usize / 64;
        for block in blocks {
            let first = block as usize * WORDS;
            let (plan, log) = (round.plan.pages.words(), self.guest.log().words());
            let end = (first + WORDS).min(plan.len());
            let left_out = |log: &u64| if skips { *log } else { 0 };
            let go = plan[first..end].iter().zip(&log[first..end]).map(|(plan, log)| plan & !left_out(log));
            pages.union_words(first as u32 * 64, &go.collect::<Vec<_>>());
        }
        let seconds = self.send(&pages);
        self.later(seconds, Happening::LanesGoOn);
    }

    /// Sends these pages of the round; how long that takes.
    fn send(&mut self, pages: &PageSet) -> Duration {
        let Some(round) = &mut self.round else { return Duration::ZERO };
        let mut batch = Batch::default();
        let mut content = pages.clone();
        if !self.tape.zeros().is_empty() {
            let mut zeros = self.tape.zeros().clone();
            zeros.subtract(&self.written);
            content.subtract(&zeros);
            batch.zeros = u64::from(pages.count() - content.count());
        }
        batch.again = self.kept.sends(&content);
        batch.new = u64::from(content.count()) - batch.again;
        let content = &self.tape.trace().about.content;
        let Coded { totals, cpu_s, seconds } =
            self.replay.model.code(&batch, round.last, &self.encode, content, self.replay.lanes);
        round.totals.add(&totals);
        self.cpu_s += cpu_s;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 4)
    }

    /// The lanes have written the round after so long; a little later the target has it.
    fn round_ends(&mut self, after: Duration) {
        let Some(round) = self.round.take() else { return };
        let arrives = after.saturating_add(self.replay.model.link.latency);
        for lane in 0..self.replay.lanes {
            let pages = if lane == 0 { round.totals.pages } else { 0 };
            let event = LaneEvent::RoundEnd { round: round.number, pages, last: round.last };
            self.later(arrives, Happening::TargetHears(target::Event::Lane(event)));
        }
        let word = after.saturating_add(self.replay.model.costs.lane_word);
        self.later(word, Happening::SourceHears(source::Event::RoundSent(round.totals)));
    }

    fn end(self) -> Played {
        let mut report = self.report.expect("a replay plays until there is a report");
        report.cpu_s.source = self.cpu_s;
        let stood_still = match (self.paused_at, self.started_at) {
            (Some(paused), Some(started)) => started.saturating_sub(paused),
            _ => Duration::ZERO,
        };
        Played { report, stood_still, kept: self.guest.kept() }
    }
}
