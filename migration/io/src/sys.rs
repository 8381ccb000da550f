//! What the standard library does not offer: the CPU time of this process, how a thread is scheduled, a look at what a
//! socket holds on either way.

use std::{
    io, mem,
    os::fd::{AsRawFd, BorrowedFd},
    sync::atomic::AtomicU8,
    time::Duration,
};

/// CPU time that this process has used, on all threads, the guest's included.
pub(crate) fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer, and the clock exists on every Linux.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    if result != 0 {
        return Duration::ZERO;
    }
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Schedules the calling thread as one that computes (`SCHED_BATCH`, sched(7)): with its full share of the CPU, but when it
/// wakes up it waits until others have used up their turn. A host that declines loses nothing else.
pub(crate) fn compute_in_batches() {
    let priority = libc::sched_param { sched_priority: 0 };
    // SAFETY: `priority` is a valid place to read from; 0 is this thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const priority) };
}

/// Bytes that were written to a socket and that the peer's host has not acknowledged (TCP) or the peer not read (Unix
/// sockets); 0 where the socket does not say.
pub(crate) fn queued(socket: BorrowedFd<'_>) -> u64 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open, and `bytes` is a valid place for the `int` that this request writes (tcp(7)).
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { u64::try_from(bytes).unwrap_or(0) } else { 0 }
}

/// For how long, in all, a TCP socket had something to send and its peer no room for it: the peer did not read. Nothing
/// of other sockets, which do not say.
pub(crate) fn peer_was_full(socket: BorrowedFd<'_>) -> Duration {
    // SAFETY: `tcp_info` holds nothing but integers, for which zeros are valid.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    let mut bytes = mem::size_of_val(&info) as libc::socklen_t;
    // SAFETY: the descriptor is open, and `info` is a valid place for `bytes` bytes; the kernel writes no more (tcp(7)).
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut bytes,
        )
    };
    // What an older kernel leaves out stays zero.
    if result == 0 { Duration::from_micros(info.tcpi_rwnd_limited) } else { Duration::ZERO }
}

/// The next byte of a socket, which stays there; nothing where the peer says no more.
pub(crate) fn peek(socket: BorrowedFd<'_>) -> io::Result<Option<u8>> {
    let mut byte = 0u8;
    // SAFETY: `byte` is a valid place for the one byte that may be written, and the descriptor is open.
    let read = unsafe { libc::recv(socket.as_raw_fd(), (&raw mut byte).cast(), 1, libc::MSG_PEEK) };
    match read {
        0 => Ok(None),
        1.. => Ok(Some(byte)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Reads from a socket into `place`, and what comes behind that into `then`; how many bytes came (readv(2)).
pub(crate) fn read_placed(socket: BorrowedFd<'_>, place: &[AtomicU8], then: &mut [u8]) -> io::Result<usize> {
    let pieces = [
        libc::iovec { iov_base: place.as_ptr().cast_mut().cast(), iov_len: place.len() },
        libc::iovec { iov_base: then.as_mut_ptr().cast(), iov_len: then.len() },
    ];
    // SAFETY: the descriptor is open. The kernel writes to `then`, which is borrowed for that, and to `place`, which may
    // change under its reference as it holds atomics; to no more than their bytes.
    let read = unsafe { libc::readv(socket.as_raw_fd(), pieces.as_ptr(), pieces.len() as libc::c_int) };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}
