//! Everything there is at one moment: the guest at home, and each attempt to move it, with both sides and the link.

use super::{
    automaton::Node,
    messages::Word,
    source::{End, Mask, TOUCHED, Wants as SourceWants},
    target::Wants as TargetWants,
};

/// Most lanes of the model.
pub const LANES: usize = 2;
/// Versions of the pages of [`TOUCHED`]; 0 is a page of fresh memory.
pub type Memory = [u8; TOUCHED.len()];

/// A moment.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub guest: Guest,
    /// The attempts to move it, one after the other; a target of an earlier one may still be there.
    pub attempts: Vec<Attempt>,
    /// Faults that may still happen.
    pub faults: u8,
    /// Pages that the guest may still write.
    pub writes: u8,
    /// Times that people may still decide.
    pub decisions: u8,
    /// The promise that has been broken.
    pub broken: Option<&'static str>,
}

/// The guest and the process that it comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guest {
    /// Whether the process lives.
    pub alive: bool,
    /// Whether the guest runs there.
    pub runs: bool,
    /// Whether the right to run is there.
    pub right: bool,
    /// Whether its memory is kept there.
    pub kept: bool,
    /// Whether it is there because a person said so.
    pub decided: bool,
    /// Whether dirty tracking is on.
    pub tracked: bool,
    /// Whether pages are in the dirty log because they are not armed: up to the first round or harvest.
    pub unarmed: bool,
    /// Pages in the dirty log.
    pub dirty: Mask,
    pub memory: Memory,
}

/// An attempt to move the guest: two machines and what is between them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Attempt {
    pub source: SourceSide,
    pub target: TargetSide,
    pub to_target: Queue,
    pub to_source: Queue,
    pub lanes: [Lane; LANES],
    /// Times that the source has connected anew to ask, or tried.
    pub asks: u8,
    /// What it said on a link before that, and is still on its way.
    pub late: Option<Word>,
    /// Its question is on its way.
    pub question: bool,
    /// Whether its target is the process that was the one before it's.
    pub same_target: bool,
}

/// A source's machine and what its driver knows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SourceSide {
    pub node: Node,
    /// What the machine wants and has not got yet.
    pub wants: Vec<SourceWants>,
    /// Whether it has asked for the guest to be stopped.
    pub paused: bool,
    /// What it has been told once and is not told again.
    pub told: ToldOnce,
    pub end: Option<End>,
}

/// A target's machine and what its driver and its host know.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TargetSide {
    /// Whether the process lives.
    pub alive: bool,
    /// Whether a source has come.
    pub begun: bool,
    pub node: Node,
    pub wants: Vec<TargetWants>,
    pub told: ToldOnce,
    pub memory: Option<Memory>,
    pub accepts: bool,
    pub lanes: [LaneEnd; LANES],
    pub built: bool,
    /// Whether the guest runs here.
    pub runs: bool,
    /// Whether it ever did.
    pub ran: bool,
    /// How it ended.
    pub end: Option<bool>,
}

/// What a driver tells its machine a limited number of times, so that a machine that ignores it does not hear it for
/// ever: no machine that works needs more.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ToldOnce {
    pub cancel: bool,
    pub lost: bool,
    pub ticks: u8,
}

/// Messages on their way in one direction of a control link.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Queue {
    pub words: Vec<Word>,
    /// Nothing more comes after these.
    pub closed: bool,
    /// The reader is never told so.
    pub silent: bool,
}

/// A lane as its source sees it, and what is on its way.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Lane {
    pub frames: Vec<Frame>,
    pub closed: bool,
    pub silent: bool,
    pub open: bool,
    pub job: Job,
}

/// A round with a lane.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Job {
    #[default]
    None,
    /// Pages are being sent.
    Sending { left: Mask, last: bool, skip_redirtied: bool, arms: Arms, sent: u8 },
    /// So many were; the driver does not yet know.
    Sent(u8),
}

/// How a lane does with pages that are not armed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arms {
    /// All of its pages are.
    Nothing,
    /// None that is left is.
    Next,
    /// The next is, the others are not.
    Others,
}

/// A frame on a lane.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Frame {
    Hello,
    Page { page: u8, version: u8 },
    End { pages: u8, last: bool },
}

/// A lane as its target sees it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct LaneEnd {
    pub joined: bool,
    pub rounds: u8,
    pub pages: u8,
    /// The last round has ended, or the loss of the lane has been told.
    pub over: bool,
}

impl Queue {
    /// Nothing more comes; the last `words` of what is on its way do not arrive either.
    pub fn close(&mut self, keep: usize, silent: bool) {
        self.words.truncate(keep);
        self.silent |= silent && !self.closed;
        self.closed = true;
    }
}

impl Lane {
    /// Nothing more comes after `keep` frames.
    pub fn close(&mut self, keep: usize, silent: bool) {
        self.frames.truncate(keep);
        self.silent |= silent && !self.closed;
        self.closed = true;
    }
}

impl Attempt {
    /// A new attempt, with machines that have heard nothing yet.
    pub fn new(wants: &[SourceWants]) -> Self {
        let source =
            SourceSide { node: 0, wants: wants.into(), paused: false, told: ToldOnce::default(), end: None };
        let target = TargetSide {
            alive: true,
            begun: false,
            node: 0,
            wants: vec![],
            told: ToldOnce::default(),
            memory: None,
            accepts: false,
            lanes: [LaneEnd::default(); LANES],
            built: false,
            runs: false,
            ran: false,
            end: None,
        };
        Self {
            source,
            target,
            to_target: Queue::default(),
            to_source: Queue::default(),
            lanes: Default::default(),
            asks: 0,
            late: None,
            question: false,
            same_target: false,
        }
    }

    /// The source's process lets go of its connections. What is on its way arrives.
    pub fn source_hangs_up(&mut self) {
        self.source_lets_lanes_go();
        self.to_target.close(usize::MAX, false);
        self.to_source.close(0, false);
    }

    /// The source's lanes are stopped and closed.
    pub fn source_lets_lanes_go(&mut self) {
        for lane in &mut self.lanes {
            lane.job = Job::None;
            lane.close(usize::MAX, false);
        }
    }

    /// The source, which is about to ask, lets go of the link that it had. It hears no more of that, and may be told again
    /// what it was told about it.
    pub fn source_lets_link_go(&mut self) {
        self.source_hangs_up();
        self.asks += 1;
        self.source.told = ToldOnce { lost: true, ..ToldOnce::default() };
    }

    /// The target's process lets go of its connections. One on which it has not yet been asked is not among them.
    pub fn target_hangs_up(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.close(0, false));
        if self.question {
            return;
        }
        self.to_source.close(usize::MAX, false);
        self.to_target.close(0, false);
    }

    /// The source's machine is no longer there.
    pub fn forget_source(&mut self) {
        self.source = SourceSide { end: self.source.end, ..Self::new(&[]).source };
        self.asks = 0;
    }

    /// The target's machine is no longer there.
    pub fn forget_target(&mut self) {
        let TargetSide { alive, begun, runs, ran, end, .. } = self.target;
        self.target = TargetSide { alive, begun, runs, ran, end, ..Self::new(&[]).target };
        self.late = None;
    }
}

impl State {
    /// The guest runs at home, and is about to be moved.
    pub fn first(wants: &[SourceWants], faults: u8, writes: u8, decisions: u8) -> Self {
        let guest = Guest {
            alive: true,
            runs: true,
            right: true,
            kept: true,
            decided: false,
            tracked: false,
            unarmed: false,
            dirty: 0,
            memory: [1; TOUCHED.len()],
        };
        Self { guest, attempts: vec![Attempt::new(wants)], faults, writes, decisions, broken: None }
    }

    /// The attempt that is under way, or was the last.
    pub fn latest(&mut self) -> &mut Attempt {
        self.attempts.last_mut().expect("there is always one")
    }
}
