//! The source's machine, as the model tells it things and hears of it.

use std::{collections::VecDeque, time::Duration};

use godwit_migration::{
    cancellation::Cancellation,
    convergence::ladder::Escalation,
    host::HostError,
    limits::ASK_FOR,
    page::{PageSet, Plan},
    preset::{self, Scheme},
    report::Outcome,
    shape::{CpuShape, MachineShape, MemoryShape, Region},
    source::{Action, Event, OnTimeout, Source, SourceConfig},
    wire::{LaneTotals, SourceMessage},
};
use godwit_state::{Section, Sections};

use super::{
    automaton::Machine,
    bug::Bug,
    messages::{Messages, Word},
};

/// Pages of the model that the guest has ever touched, one in each of two blocks, so that two lanes carry one each.
pub const TOUCHED: [u32; 2] = [0, 512];
/// Pages of the guest.
const PAGES: u32 = 576;

/// Some of [`TOUCHED`]: bit `i` is `TOUCHED[i]`.
pub type Mask = u8;

/// How a source is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The preset.
    pub preset: &'static str,
    /// Number of lanes.
    pub lanes: u8,
    /// What is wrong with it.
    pub bug: Option<Bug>,
}

/// What a source can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Told {
    Message(Word),
    LanesOpen,
    Tracking,
    Harvested(Mask),
    /// So many pages went.
    RoundSent(u8),
    Paused,
    Saved,
    GivenUp,
    /// Whether it worked.
    Undone(bool),
    LinkLost,
    HostFailed,
    Cancel,
    Tick,
    /// Its process was stopped for so long that it has asked for long enough.
    LateTick,
}

/// How a migration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    Completed,
    Failed,
    Cancelled,
    Unknown,
}

/// What a source can want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wants {
    Say(Word),
    OpenLanes,
    StartTracking,
    Harvest,
    SendRound { pages: Mask, last: bool, skip_redirtied: bool },
    Throttle,
    Pause,
    Save,
    GiveUp,
    Ask,
    TakeBack,
    Undo,
    Finish(End),
}

/// The machine.
pub struct Leaving {
    source: Source,
    bug: Option<Bug>,
    paused: bool,
    gone: bool,
    /// What a wrong machine wants besides.
    wrong: VecDeque<Wants>,
}

/// The page set of a mask.
fn pages(mask: Mask) -> PageSet {
    let mut pages = PageSet::empty(PAGES);
    TOUCHED
        .iter()
        .enumerate()
        .filter(|(bit, _)| mask >> bit & 1 == 1)
        .for_each(|(_, &page)| pages.insert(page));
    pages
}

/// The mask of a page set. A page that was never touched must not be in it.
fn mask(pages: &PageSet) -> Mask {
    pages.iter().fold(0, |mask, page| {
        mask | 1 << TOUCHED.iter().position(|&touched| touched == page).expect("a page that was touched")
    })
}

/// The lane that carries a page of [`TOUCHED`].
pub fn lane_of(page: usize, lanes: u8) -> usize {
    usize::from(Plan::lane_of(TOUCHED[page] / Plan::block_range(0).end, lanes))
}

/// The state of everything but memory: one section.
fn state() -> Sections {
    let section = Section { kind: "cpu".into(), instance: "vcpu0".into(), version: 1, payload: vec![1] };
    Sections::checked(vec![section]).expect("a section within the limits")
}

impl Machine for Leaving {
    type Told = Told;
    type Wants = Wants;
    type Setting = Setting;

    const FORGETS: &str = "handover";

    fn begin(setting: &Setting) -> Self {
        let region = Region { gpa: 0, bytes: u64::from(PAGES) * 4096 };
        let config = SourceConfig {
            session: 7,
            replaces: 0,
            scheme: Scheme::of(preset::by_name(setting.preset).expect("a preset")),
            lanes: setting.lanes,
            downtime: Duration::from_millis(100),
            timeout: Some(Duration::from_secs(30)),
            on_timeout: OnTimeout::Cancel,
            bandwidth_cap: None,
            escalate: Escalation::default(),
            tracking: "model".into(),
            shape: MachineShape {
                memory: MemoryShape { regions: vec![region] },
                cpus: CpuShape { count: 1, ..CpuShape::default() },
                devices: vec![],
            },
        };
        let source = Source::new(Duration::ZERO, config);
        Self { source, bug: setting.bug, paused: false, gone: false, wrong: VecDeque::new() }
    }

    fn tell(&mut self, now: Duration, told: Told, messages: &Messages) {
        let lost = matches!(told, Told::LinkLost | Told::Tick | Told::LateTick);
        let told = match (self.bug, told) {
            (Some(Bug::ResumesAfterGo), Told::LinkLost | Told::Tick) if self.gone => {
                return self.wrong.extend([Wants::TakeBack, Wants::Undo]);
            }
            (Some(Bug::ResumesAfterGo), Told::Undone(_)) if self.gone => {
                return self.wrong.push_back(Wants::Finish(End::Failed));
            }
            (Some(Bug::TakesSilenceForSuccess), _) if self.gone && lost => {
                return self.wrong.push_back(Wants::Finish(End::Completed));
            }
            (Some(Bug::WaitsForEver), _) if self.paused && (lost || told == Told::Cancel) => return,
            (Some(Bug::ForgetsDirtyPages), Told::Harvested(_)) => Told::Harvested(0),
            (_, told) => told,
        };
        let event = match told {
            Told::Message(word) => Event::Message(messages.target(word)),
            Told::LanesOpen => Event::LanesOpen,
            Told::Tracking => Event::Tracking(pages(!0)),
            Told::Harvested(mask) => Event::Harvested(pages(mask)),
            Told::RoundSent(count) => Event::RoundSent(totals(count)),
            Told::Paused => Event::Paused,
            Told::Saved => Event::Saved(state()),
            Told::GivenUp => Event::GivenUp,
            Told::Undone(true) => Event::Undone(Ok(())),
            Told::Undone(false) => Event::Undone(Err(HostError("it does not run on".into()))),
            Told::LinkLost => Event::LinkLost("the link was lost".into()),
            Told::HostFailed => Event::HostFailed(HostError("the host failed".into())),
            Told::Cancel => Event::Cancel(Cancellation::Request),
            Told::Tick | Told::LateTick => Event::Tick,
        };
        self.source.handle(now, event);
    }

    fn wants(&mut self, messages: &mut Messages) -> Option<Wants> {
        if let Some(wrong) = self.wrong.pop_front() {
            return Some(wrong);
        }
        Some(match self.source.poll_action()? {
            Action::Send(message) => {
                self.gone |= message == SourceMessage::Go;
                Wants::Say(messages.of_source(&message))
            }
            Action::OpenLanes(_) => Wants::OpenLanes,
            Action::StartTracking(_) => Wants::StartTracking,
            Action::Harvest => Wants::Harvest,
            Action::SendRound { plan, last, .. } => {
                Wants::SendRound { pages: mask(&plan.pages), last, skip_redirtied: plan.skip_redirtied }
            }
            Action::Throttle(_) => Wants::Throttle,
            Action::Pause => {
                self.paused = true;
                Wants::Pause
            }
            Action::Save => Wants::Save,
            Action::GiveUp => Wants::GiveUp,
            Action::Ask => Wants::Ask,
            Action::TakeBack => Wants::TakeBack,
            Action::Undo => Wants::Undo,
            Action::Finish(report) => Wants::Finish(match report.outcome {
                Outcome::Completed => End::Completed,
                Outcome::Failed => End::Failed,
                Outcome::Cancelled => End::Cancelled,
                Outcome::Unknown => End::Unknown,
            }),
        })
    }

    fn deadline(&self) -> Option<Duration> {
        self.source.poll_deadline()
    }

    fn passes(told: Told) -> Option<Duration> {
        match told {
            Told::Tick => Some(Duration::ZERO),
            Told::LateTick => Some(ASK_FOR),
            _ => None,
        }
    }

    fn phase(&self) -> String {
        self.source.progress(Duration::ZERO, 0).phase
    }
}

fn totals(count: u8) -> LaneTotals {
    let pages = u64::from(count);
    let mut by_codec = LaneTotals::default().by_codec;
    by_codec[0] = pages;
    LaneTotals { pages, free: 0, wire_bytes: 32 + pages * 4128, by_codec }
}
