//! The one system call that the standard library lacks: pinning a thread to a CPU.

use std::{ffi::c_int, io};

/// Words of the CPU mask: enough for 1024 CPUs, as in the C library's `cpu_set_t`.
const MASK_WORDS: usize = 16;

unsafe extern "C" {
    fn sched_setaffinity(pid: c_int, size: usize, mask: *const u64) -> c_int;
}

/// Pins the calling thread to `cpu`.
///
/// # Errors
/// What the kernel says, or `InvalidInput` for a CPU above 1023.
pub fn pin_to(cpu: usize) -> io::Result<()> {
    let mut mask = [0u64; MASK_WORDS];
    let word = mask.get_mut(cpu / 64).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    *word = 1 << (cpu % 64);
    // SAFETY: the mask is as long as the size says, and the call only reads it. 0 is the calling thread.
    match unsafe { sched_setaffinity(0, size_of_val(&mask), mask.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
