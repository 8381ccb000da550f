//! The cells of the comparison: a guest, a link, what it may stand still, and who takes part.

use std::time::Duration;

use crate::{guest::Workload, qemu::Extras};

/// A cell.
pub struct Cell {
    pub name: &'static str,
    pub work: Workload,
    /// Downtime asked for.
    pub budget: Duration,
    /// Bytes per second that the migration may use.
    pub cap: Option<u64>,
    /// Counted runs of each contestant; one more goes before them and is not counted.
    pub runs: usize,
    /// godwit's contestants: a name, and what it adds to `godwit migrate`.
    pub godwit: &'static [(&'static str, &'static [&'static str])],
    /// QEMU's contestants.
    pub qemu: &'static [(&'static str, Extras)],
}

const fn text(working_set_mib: u32, rate: u32, write: u32) -> Workload {
    Workload { memory_mib: 1024, resident_mib: 512, working_set_mib, rate, write }
}

const DEFAULT: &[(&str, &[&str])] = &[("godwit", &[])];
const PLAIN: (&str, Extras) = ("qemu", Extras::NONE);
const MULTIFD: (&str, Extras) = ("qemu, multifd", Extras { multifd: Some(2), ..Extras::NONE });
const MULTIFD_ZSTD: (&str, Extras) =
    ("qemu, multifd+zstd", Extras { multifd: Some(2), zstd: true, ..Extras::NONE });
const XBZRLE: (&str, Extras) = ("qemu, xbzrle", Extras { xbzrle: true, ..Extras::NONE });
const AUTO_CONVERGE: (&str, Extras) = ("qemu, auto-converge", Extras { auto_converge: true, ..Extras::NONE });
const ALL: &[(&str, Extras)] = &[PLAIN, MULTIFD, MULTIFD_ZSTD, XBZRLE];

const GIGABIT: Option<u64> = Some(125_000_000);
const HUNDRED_MEGABIT: Option<u64> = Some(12_500_000);
/// More than a vCPU can write.
const UNLIMITED: u32 = 10_000_000;

pub const CELLS: &[Cell] = &[
    Cell {
        name: "idle",
        work: text(512, 0, 64),
        budget: Duration::from_millis(300),
        cap: None,
        runs: 5,
        godwit: DEFAULT,
        qemu: &[PLAIN, MULTIFD],
    },
    Cell {
        name: "dirty",
        work: text(128, 50_000, 64),
        budget: Duration::from_millis(30),
        cap: None,
        runs: 10,
        godwit: DEFAULT,
        qemu: &[PLAIN, MULTIFD],
    },
    // What a stop costs that reckons with every page of the guest.
    Cell {
        name: "large",
        work: Workload { memory_mib: 16_384, ..text(64, 1000, 64) },
        budget: Duration::from_millis(300),
        cap: None,
        runs: 5,
        godwit: DEFAULT,
        qemu: &[PLAIN, MULTIFD],
    },
    Cell {
        name: "idle-125",
        work: text(512, 0, 64),
        budget: Duration::from_millis(300),
        cap: GIGABIT,
        runs: 5,
        godwit: DEFAULT,
        qemu: &[PLAIN, MULTIFD_ZSTD],
    },
    Cell {
        name: "dirty-125",
        work: text(128, 50_000, 8),
        budget: Duration::from_millis(30),
        cap: GIGABIT,
        runs: 5,
        godwit: DEFAULT,
        qemu: ALL,
    },
    // Four times what a core compresses: as much as there is time for goes small, beside what goes raw.
    Cell {
        name: "idle-500",
        work: text(512, 0, 64),
        budget: Duration::from_millis(300),
        cap: Some(500_000_000),
        runs: 5,
        godwit: DEFAULT,
        qemu: &[PLAIN, MULTIFD],
    },
    Cell {
        name: "idle-12",
        work: text(512, 0, 64),
        budget: Duration::from_millis(300),
        cap: HUNDRED_MEGABIT,
        runs: 5,
        godwit: DEFAULT,
        qemu: &[PLAIN, MULTIFD_ZSTD],
    },
    Cell {
        name: "unlimited-125",
        work: text(256, UNLIMITED, 64),
        budget: Duration::from_millis(300),
        cap: GIGABIT,
        runs: 5,
        godwit: DEFAULT,
        qemu: &[AUTO_CONVERGE],
    },
];
