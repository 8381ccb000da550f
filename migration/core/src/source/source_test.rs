//! What a source does, action by action: how it goes when all goes well, what it makes of each thing that does not,
//! and what it never does, whatever it is told.

mod any_order;
mod asking;
mod failing;
mod happy;

use std::time::Duration;

use godwit_state::Sections;

use super::*;
use crate::{
    error::Class,
    limits::{PAGE_BYTES, PROTOCOL, SOFTWARE},
    report::{Outcome, Report},
    shape::{CpuShape, MemoryShape, Region},
    wire::HelloReply,
};

const PAGES: u32 = 128;

fn config() -> SourceConfig {
    let bytes = u64::from(PAGES) * PAGE_BYTES as u64;
    SourceConfig {
        session: 7,
        replaces: 0,
        scheme: crate::preset::Scheme::of(crate::preset::by_name("precopy").unwrap()),
        lanes: 2,
        downtime: Duration::from_millis(15),
        timeout: None,
        on_timeout: OnTimeout::Cancel,
        bandwidth_cap: None,
        escalate: Escalation::default(),
        tracking: "test".into(),
        shape: MachineShape {
            memory: MemoryShape { regions: vec![Region { gpa: 0, bytes }] },
            cpus: CpuShape { count: 1, ..CpuShape::default() },
            devices: vec![],
        },
    }
}

fn set(pages: &[u32]) -> PageSet {
    let mut set = PageSet::empty(PAGES);
    pages.iter().for_each(|&page| set.insert(page));
    set
}

/// So many pages, sent raw: 4 KiB each.
fn sent(pages: u64) -> Event {
    Event::RoundSent(LaneTotals { pages, wire_bytes: pages * PAGE_BYTES as u64, ..LaneTotals::default() })
}

fn hello() -> Event {
    Event::Message(TargetMessage::Hello(HelloReply {
        version: PROTOCOL.1,
        capabilities: 0,
        software: SOFTWARE.into(),
    }))
}

fn round_done(round: u32, pages: u64) -> Event {
    Event::Message(TargetMessage::RoundDone { round, pages })
}

fn said(message: TargetMessage) -> Event {
    Event::Message(message)
}

/// An action in a few words.
fn words(action: &Action) -> String {
    match action {
        Action::Send(SourceMessage::Abort(why)) => format!("say Abort: {why}"),
        Action::Send(message) => format!("say {}", message.name()),
        Action::OpenLanes(count) => format!("open {count} lanes"),
        Action::StartTracking(Arming::AtOnce) => "track".into(),
        Action::StartTracking(Arming::AsSent) => "track what is sent".into(),
        Action::Harvest => "harvest".into(),
        Action::SendRound { round, plan, last: false } => format!("round {round}: {:?}", plan.pages),
        Action::SendRound { round, plan, last: true } => format!("last round {round}: {:?}", plan.pages),
        Action::Throttle(throttle) => format!("throttle {throttle:?}"),
        Action::Pause => "pause".into(),
        Action::Save => "save".into(),
        Action::GiveUp => "give up".into(),
        Action::Ask => "ask".into(),
        Action::TakeBack => "take back".into(),
        Action::Undo => "undo".into(),
        Action::Finish(report) => format!("finish: {:?}", report.outcome),
    }
}

/// A source being told things. Time is in milliseconds.
struct Script {
    source: Source,
    report: Option<Report>,
}

impl Script {
    fn new(config: SourceConfig) -> Self {
        let mut script = Self { source: Source::new(Duration::ZERO, config), report: None };
        assert_eq!(script.actions(), ["say Hello"]);
        script
    }

    fn actions(&mut self) -> Vec<String> {
        let mut all = vec![];
        while let Some(action) = self.source.poll_action() {
            all.push(words(&action));
            if let Action::Finish(report) = action {
                self.report = Some(*report);
            }
        }
        all
    }

    /// What the source wants done after `event` at `ms`.
    fn at(&mut self, ms: u64, event: Event) -> Vec<String> {
        self.source.handle(Duration::from_millis(ms), event);
        self.actions()
    }

    /// The events of a migration up to the first round, of pages 0, 1 and 2. It is 12 ms.
    fn set_up(mut self) -> Self {
        self.at(1, hello());
        self.at(5, said(TargetMessage::Prepared));
        self.at(6, Event::LanesOpen);
        self.at(7, said(TargetMessage::LanesOpen));
        assert_eq!(self.at(12, Event::Tracking(set(&[0, 1, 2]))), ["round 1: [0..3]"]);
        self
    }

    /// And up to the pause, at 23 ms, with pages 0 and 9 owed.
    fn paused(mut self) -> Self {
        self.at(20, sent(3));
        assert_eq!(self.at(22, round_done(1, 3)), ["harvest"]);
        assert_eq!(self.at(23, Event::Harvested(set(&[0, 9]))), ["pause"]);
        self
    }

    /// And up to the last round, at 26 ms, of pages 0, 9 and 50, with the state saved at 27 ms.
    fn last_round(mut self) -> Self {
        assert_eq!(self.at(25, Event::Paused), ["harvest"]);
        let actions = self.at(26, Event::Harvested(set(&[9, 50])));
        assert_eq!(actions, ["last round 2: [0..1, 9..10, 50..51]", "save"]);
        assert_eq!(self.at(27, Event::Saved(Sections::default())), ["say State"]);
        self
    }

    /// And up to `Go`, at 30 ms.
    fn handed_over(mut self) -> Self {
        assert_eq!(self.at(28, sent(3)), [] as [&str; 0]);
        assert_eq!(self.at(30, said(TargetMessage::Ready)), ["give up"]);
        assert_eq!(self.at(30, Event::GivenUp), ["say Go"]);
        self
    }

    fn deadline(&self) -> Option<Duration> {
        self.source.poll_deadline()
    }

    /// Undone at `ms`: the report of what went wrong.
    fn undone(&mut self, ms: u64) -> Report {
        let last = self.at(ms, Event::Undone(Ok(()))).pop().expect("an end");
        let report = self.report.take().expect("a report");
        assert_eq!(last, format!("finish: {:?}", report.outcome));
        report
    }
}

/// A source just before each thing that it waits for, by what that is.
fn everywhere(config: &SourceConfig) -> Vec<(&'static str, Script)> {
    let new = || Script::new(config.clone());
    let after = |mut script: Script, ms: u64, event: Event| {
        script.at(ms, event);
        script
    };
    let greeted = || after(new(), 1, hello());
    let prepared = || after(greeted(), 5, said(TargetMessage::Prepared));
    let joining = || after(prepared(), 6, Event::LanesOpen);
    let draining = || after(new().set_up(), 20, sent(3));
    vec![
        ("hello", new()),
        ("prepare", greeted()),
        ("lanes", prepared()),
        ("joining", joining()),
        ("tracking", after(joining(), 7, said(TargetMessage::LanesOpen))),
        ("sending", new().set_up()),
        ("draining", draining()),
        ("harvesting", after(draining(), 22, round_done(1, 3))),
        ("pausing", new().set_up().paused()),
        ("final harvest", after(new().set_up().paused(), 25, Event::Paused)),
        ("final", new().set_up().paused().last_round()),
    ]
}

fn class_of(report: &Report) -> Class {
    report.error.as_ref().expect("an error").class
}

fn outcome_of(class: Class) -> Outcome {
    if class == Class::Cancelled { Outcome::Cancelled } else { Outcome::Failed }
}
