//! What a target does, action by action: how it goes when all goes well, what it makes of each thing that does not,
//! and what it never does, whatever it is told.

mod any_order;
mod failing;
mod happy;
mod ready;

use std::time::Duration;

use godwit_state::Section;

use super::*;
use crate::{
    limits::{PAGE_BYTES, PROTOCOL, SOFTWARE},
    shape::{CpuShape, MemoryShape, Region},
    wire::{Hello, Prepare},
};

const NOTHING: [&str; 0] = [];

fn shape() -> MachineShape {
    MachineShape {
        memory: MemoryShape { regions: vec![Region { gpa: 0, bytes: 128 * PAGE_BYTES as u64 }] },
        cpus: CpuShape { count: 1, ..CpuShape::default() },
        devices: vec![],
    }
}

fn hello() -> Event {
    hello_of(PROTOCOL.0, PROTOCOL.1)
}

fn hello_of(oldest: u16, newest: u16) -> Event {
    said(SourceMessage::Hello(Hello {
        oldest,
        newest,
        capabilities: !0,
        session: 7,
        replaces: 0,
        software: SOFTWARE.into(),
    }))
}

fn prepare(lanes: u8) -> Event {
    said(SourceMessage::Prepare(Box::new(Prepare { shape: shape(), lanes })))
}

fn said(message: SourceMessage) -> Event {
    Event::Message(message)
}

/// A lane ends a round.
fn ended(round: u32, pages: u64, last: bool) -> Event {
    Event::Lane(LaneEvent::RoundEnd { round, pages, last })
}

fn section(instance: &str) -> Section {
    Section { kind: "counter".into(), instance: instance.into(), version: 1, payload: vec![1] }
}

fn state() -> Event {
    said(SourceMessage::State(vec![section("a")]))
}

fn started() -> Event {
    Event::Started(Ok(Duration::from_millis(4)))
}

/// An action in a few words.
fn words(action: &Action) -> String {
    match action {
        Action::Send(TargetMessage::RoundDone { round, pages }) => format!("say RoundDone {round}: {pages}"),
        Action::Send(TargetMessage::Running { cpu_us }) => format!("say Running: {cpu_us}"),
        Action::Send(TargetMessage::Refused(reasons)) => format!("say Refused: {}", reasons.join("; ")),
        Action::Send(TargetMessage::Abort(why)) => format!("say Abort: {why}"),
        Action::Send(TargetMessage::Answer(answer)) => format!("answer {answer:?}"),
        Action::Send(message) => format!("say {}", message.name()),
        Action::Prepare { shape, .. } => format!("prepare {} pages", shape.memory.pages()),
        Action::Check(shape) => format!("check {} pages", shape.memory.pages()),
        Action::Answered => "answered".into(),
        Action::AcceptLanes { session, lanes } => format!("accept {lanes} lanes of {session}"),
        Action::Build(sections) => format!("build of {} sections", sections.len()),
        Action::Run => "run".into(),
        Action::Discard => "discard".into(),
        Action::Finish(Ok(arrival)) => {
            format!("finish: {} pages in {} rounds", arrival.pages, arrival.rounds)
        }
        Action::Finish(Err(error)) => format!("finish: {:?}, {error}", error.class),
    }
}

/// A target being told things. Time is in milliseconds.
struct Script {
    target: Target,
}

impl Script {
    fn new() -> Self {
        Self { target: Target::new(Duration::ZERO) }
    }

    /// What the target wants done after `event` at `ms`.
    fn at(&mut self, ms: u64, event: Event) -> Vec<String> {
        self.target.handle(Duration::from_millis(ms), event);
        std::iter::from_fn(|| self.target.poll_action()).map(|action| words(&action)).collect()
    }

    fn after(mut self, ms: u64, event: Event) -> Self {
        self.at(ms, event);
        self
    }

    /// The events of a migration until two lanes are open, at 6 ms.
    fn open(self) -> Self {
        self.after(1, hello())
            .after(2, prepare(2))
            .after(5, Event::Prepared(Ok(())))
            .after(6, Event::LanesOpen)
    }

    /// And until everything has come, at 12 ms.
    fn complete(self) -> Self {
        self.open().after(10, ended(1, 3, true)).after(11, ended(1, 0, true)).after(12, state())
    }

    /// And until it is ready, at 14 ms.
    fn ready(self) -> Self {
        self.complete().after(14, Event::Built(Ok(())))
    }

    /// And until the guest is being started, at 15 ms.
    fn starting(self) -> Self {
        self.ready().after(15, said(SourceMessage::Go))
    }

    fn deadline(&self) -> Option<Duration> {
        self.target.poll_deadline()
    }
}

/// A target in each phase before it is ready, by what it waits for.
fn everywhere() -> Vec<(&'static str, Script)> {
    let greeted = || Script::new().after(1, hello());
    vec![
        ("hello", Script::new()),
        ("prepare", greeted()),
        ("preparing", greeted().after(2, prepare(2))),
        ("lanes", greeted().after(2, prepare(2)).after(5, Event::Prepared(Ok(())))),
        ("receiving", Script::new().open()),
        ("building", Script::new().complete()),
    ]
}
