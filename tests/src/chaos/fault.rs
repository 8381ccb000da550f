//! What can be done to a migration at a step, by name.

use super::point::{Point, Side};

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One lane is cut.
    CutLane,
    /// The control link is cut.
    CutControl,
    /// Every connection is cut; new ones can be made.
    CutAll,
    /// Every connection is cut, and none can be made until the network is mended.
    Outage,
    /// What passes, and all behind it on its connection, is late.
    Delay,
    /// One bit of what passes is another.
    Flip,
    /// Only the beginning of what passes arrives, and then its connection ends.
    Truncate,
    /// What passes arrives twice.
    Duplicate,
    /// Nothing passes any more, either way, and nobody is told, until the network is mended.
    Stall,
    /// `kill -9` of a process.
    Kill(Side),
    /// SIGSTOP of a process, and SIGCONT a second later.
    Stop(Side),
    /// SIGSTOP of a process, until the other side has given up or an operator goes on.
    Freeze(Side),
    /// The target gets no more memory from its host.
    OutOfMemory,
    /// The disk under that side's `--state-dir` is full.
    FullDisk(Side),
    /// An operator of that side cancels the migration.
    Cancel(Side),
}

/// All faults, and their names.
pub const FAULTS: [(&str, Fault); 20] = [
    ("cut-lane", Fault::CutLane),
    ("cut-control", Fault::CutControl),
    ("cut-all", Fault::CutAll),
    ("outage", Fault::Outage),
    ("delay", Fault::Delay),
    ("flip", Fault::Flip),
    ("truncate", Fault::Truncate),
    ("duplicate", Fault::Duplicate),
    ("stall", Fault::Stall),
    ("kill-source", Fault::Kill(Side::Source)),
    ("kill-target", Fault::Kill(Side::Target)),
    ("stop-source", Fault::Stop(Side::Source)),
    ("stop-target", Fault::Stop(Side::Target)),
    ("freeze-source", Fault::Freeze(Side::Source)),
    ("freeze-target", Fault::Freeze(Side::Target)),
    ("out-of-memory", Fault::OutOfMemory),
    ("full-disk-source", Fault::FullDisk(Side::Source)),
    ("full-disk-target", Fault::FullDisk(Side::Target)),
    ("cancel-source", Fault::Cancel(Side::Source)),
    ("cancel-target", Fault::Cancel(Side::Target)),
];

impl Fault {
    /// Whether it can be at `point`.
    #[must_use]
    pub fn fits(self, point: Point) -> bool {
        self != Self::CutLane || point.has_lanes()
    }

    /// Whether a migration gets over it.
    #[must_use]
    pub fn is_survivable(self) -> bool {
        matches!(self, Self::Delay | Self::Stop(_))
    }

    /// Whether the target is as good as before, and may be tried again.
    #[must_use]
    pub fn spares_target(self) -> bool {
        !matches!(self, Self::OutOfMemory | Self::Kill(Side::Target) | Self::Cancel(Side::Target))
    }
}
