//! What a process holds beside its guest: memory and file descriptors, as the host counts them.

use std::fs;

use rustix::process::Pid;

/// Bytes in a unit of /proc's.
const KIB: u64 = 1024;

/// What it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// File descriptors.
    pub descriptors: usize,
    /// Resident memory in bytes, without what is mapped in one piece at least as large as the guest's memory.
    pub resident_bytes: u64,
}

impl Footprint {
    /// Of the process `id`, whose guest has `guest_bytes`.
    ///
    /// # Panics
    /// Where it has ended.
    #[must_use]
    pub fn of(id: Pid, guest_bytes: u64) -> Self {
        let place = format!("/proc/{}", id.as_raw_nonzero());
        let descriptors = fs::read_dir(format!("{place}/fd")).map(Iterator::count);
        let maps = fs::read_to_string(format!("{place}/smaps")).unwrap_or_else(|e| panic!("{place}: {e}"));
        Self {
            descriptors: descriptors.unwrap_or_else(|e| panic!("{place}: {e}")),
            resident_bytes: resident(&maps, guest_bytes),
        }
    }
}

fn resident(maps: &str, guest_bytes: u64) -> u64 {
    let (mut sum, mut counts) = (0, true);
    for line in maps.lines() {
        if let Some((from, to)) = line.split(' ').next().and_then(|range| range.split_once('-')) {
            let address = |text| u64::from_str_radix(text, 16).ok();
            if let (Some(from), Some(to)) = (address(from), address(to)) {
                counts = to - from < guest_bytes;
            }
        } else if let Some(rss) = line.strip_prefix("Rss:")
            && counts
        {
            let kib = rss.trim().strip_suffix(" kB").and_then(|number| number.parse::<u64>().ok());
            sum += kib.unwrap_or(0) * KIB;
        }
    }
    sum
}
