//! Faults that are done to a process or its host, and not to the bytes between them.

use std::{fs, path::PathBuf};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use super::{disk, fault::Fault, point::Side};
use crate::api;

/// Bytes in a unit of /proc's.
const KIB: u64 = 1024;

/// What a fault needs of one side.
pub struct End {
    /// Its process.
    pub id: Pid,
    /// Its API's socket.
    pub api: PathBuf,
    /// Where its records are, on a disk of their own.
    pub disk: Option<PathBuf>,
}

/// What the fault does to a process, called by the wire at the step.
pub fn strike(fault: Fault, [source, target]: &[End; 2]) {
    let of = |side| if side == Side::Source { source } else { target };
    // One that has ended by itself needs no signal.
    let _ = match fault {
        Fault::Kill(side) => kill_process(of(side).id, Signal::KILL),
        Fault::Stop(side) | Fault::Freeze(side) => kill_process(of(side).id, Signal::STOP),
        Fault::OutOfMemory => {
            let all = Some(address_space(target.id));
            prlimit(Some(target.id), Resource::As, Rlimit { current: all, maximum: all }).map(drop)
        }
        Fault::FullDisk(side) => {
            of(side).disk.as_deref().map(disk::fill);
            Ok(())
        }
        Fault::Cancel(side) => {
            // It may be too late, and is then refused.
            let _ = api::put(&of(side).api, "vm.cancel-migration", "");
            Ok(())
        }
        _ => Ok(()),
    };
}

/// Bytes of address space of a process; none where it has ended.
fn address_space(process: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).unwrap_or_default();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB"));
    size.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * KIB
}
