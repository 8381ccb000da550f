//! System calls of a disk: reads and writes between a file and guest memory without a copy of ours, aligned buffers,
//! locks of open file descriptions, holes.

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    fs::File,
    io,
    mem::zeroed,
    ops::{Deref, DerefMut},
    os::fd::AsRawFd,
    ptr::NonNull,
    slice,
};

use vm_memory::{GuestMemoryBackend, bitmap::Bitmap};

use super::request::Range;
use crate::GuestMemory;

/// Most buffers of one call (UIO_MAXIOV).
const MAX_BUFFERS: usize = 1024;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the file into guest memory.
    Read,
    /// From guest memory into the file.
    Write,
}

/// Moves the bytes of `ranges`, which follow each other in `file` from `offset` on. Pages of guest memory that may have
/// been written are marked.
///
/// # Errors
/// What preadv(2) or pwritev(2) said; `UnexpectedEof` where the file ends before; `InvalidInput` for ranges outside of
/// memory.
pub fn transfer(
    way: Way,
    file: &File,
    offset: u64,
    memory: &GuestMemory,
    ranges: &[Range],
) -> io::Result<()> {
    with_buffers(way, memory, ranges, |buffers| {
        // SAFETY: `with_buffers` promises it.
        unsafe { move_all(way, file, offset, buffers) }
    })
}

/// Fills `ranges` from `file` at `offset` on, as far as the host has it in its page cache; the bytes that it had. Pages of
/// guest memory that may have been written are marked.
///
/// # Errors
/// `WouldBlock` where it has none of it; what else preadv2(2) said: `EOPNOTSUPP` where it never says; `InvalidInput` for ranges
/// outside of memory.
pub fn read_cached(file: &File, offset: u64, memory: &GuestMemory, ranges: &[Range]) -> io::Result<u64> {
    let offset = libc::off_t::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    with_buffers(Way::Read, memory, ranges, |buffers| {
        // At most MAX_BUFFERS; less than everything is read where there are more.
        let count = buffers.len().min(MAX_BUFFERS) as libc::c_int;
        // SAFETY: `count` buffers, which are memory as `with_buffers` promises.
        let read =
            unsafe { libc::preadv2(file.as_raw_fd(), buffers.as_ptr(), count, offset, libc::RWF_NOWAIT) };
        u64::try_from(read).map_err(|_| io::Error::last_os_error())
    })
}

/// Has `work` move bytes by `way` between `ranges` of guest memory, as buffers, and something else. The buffers are writable
/// memory until it returns, and nobody holds a reference to what is in them. Pages that may have been written are marked.
fn with_buffers<T>(
    way: Way,
    memory: &GuestMemory,
    ranges: &[Range],
    work: impl FnOnce(&mut [libc::iovec]) -> io::Result<T>,
) -> io::Result<T> {
    let mut slices = Vec::with_capacity(ranges.len());
    for range in ranges {
        for slice in memory.get_slices(range.at, range.len) {
            slices.push(slice.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?);
        }
    }
    // Memory of the guest's mapping, which `memory` and the guards keep. The kernel writes to it as the guest itself may at any
    // time.
    let guards: Vec<_> = slices.iter().map(|slice| slice.ptr_guard_mut()).collect();
    let mut buffers: Vec<_> = guards
        .iter()
        .map(|guard| libc::iovec { iov_base: guard.as_ptr().cast(), iov_len: guard.len() })
        .collect();
    let moved = work(&mut buffers);
    if way == Way::Read {
        // After the write: a mark that came before it could be harvested, and the page sent, too early.
        slices.iter().for_each(|slice| slice.bitmap().mark_dirty(0, slice.len()));
    }
    moved
}

/// Moves all bytes of `buffers`.
///
/// # Safety
/// Each buffer must be writable memory for the time of the call, and nobody may hold a reference to what is in it.
unsafe fn move_all(way: Way, file: &File, offset: u64, buffers: &mut [libc::iovec]) -> io::Result<()> {
    let overflow = || io::Error::from(io::ErrorKind::InvalidInput);
    let mut offset = libc::off_t::try_from(offset).map_err(|_| overflow())?;
    let mut rest = buffers;
    while !rest.is_empty() {
        let (fd, first) = (file.as_raw_fd(), rest.as_ptr());
        // At most MAX_BUFFERS.
        let count = rest.len().min(MAX_BUFFERS) as libc::c_int;
        let moved = match way {
            // SAFETY: `first` is `count` buffers, which are memory as the caller promises.
            Way::Read => unsafe { libc::preadv(fd, first, count, offset) },
            // SAFETY: as above; the kernel only reads it.
            Way::Write => unsafe { libc::pwritev(fd, first, count, offset) },
        };
        let mut moved = match usize::try_from(moved) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(moved) => moved,
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => continue,
                error => return Err(error),
            },
        };
        // No more than was asked for, which fits.
        offset = offset.checked_add(moved as libc::off_t).ok_or_else(overflow)?;
        while let Some(buffer) = rest.first_mut() {
            if moved < buffer.iov_len {
                // SAFETY: still within the buffer.
                buffer.iov_base = unsafe { buffer.iov_base.cast::<u8>().add(moved) }.cast();
                buffer.iov_len -= moved;
                break;
            }
            moved -= buffer.iov_len;
            rest = &mut rest[1..];
        }
    }
    Ok(())
}

/// Whether every range of `ranges` begins, and ends, where direct I/O by blocks of `align` bytes needs it to.
pub fn is_aligned(memory: &GuestMemory, ranges: &[Range], align: usize) -> bool {
    ranges.iter().all(|range| {
        memory.get_slices(range.at, range.len).all(|slice| {
            slice.is_ok_and(|slice| {
                (slice.ptr_guard().as_ptr() as usize).is_multiple_of(align)
                    && slice.len().is_multiple_of(align)
            })
        })
    })
}

/// Zeroed bytes of ours at an address that direct I/O can use.
pub struct AlignedBuffer {
    bytes: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it owns its bytes, as a Box does.
unsafe impl Send for AlignedBuffer {}

impl AlignedBuffer {
    /// `len` bytes (at least one) at a multiple of 4 KiB.
    pub fn new(len: usize) -> io::Result<Self> {
        let layout = Layout::from_size_align(len.max(1), 4096)
            .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        // SAFETY: the layout is not of zero bytes.
        let bytes = NonNull::new(unsafe { alloc_zeroed(layout) });
        Ok(Self { bytes: bytes.unwrap_or_else(|| handle_alloc_error(layout)), layout })
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and not freed before.
        unsafe { dealloc(self.bytes.as_ptr(), self.layout) };
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: as many bytes as the layout says, all set, and ours.
        unsafe { slice::from_raw_parts(self.bytes.as_ptr(), self.layout.size()) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as many bytes as the layout says, all set, ours, and borrowed by nobody else.
        unsafe { slice::from_raw_parts_mut(self.bytes.as_ptr(), self.layout.size()) }
    }
}

/// Changes the lock that the open file description of `file` has on the whole file: `F_RDLCK`, `F_WRLCK`, `F_UNLCK`.
/// Does not wait.
///
/// # Errors
/// `WouldBlock` or `PermissionDenied` where another has it, or what fcntl(2) said.
pub fn set_lock(file: &File, kind: libc::c_int) -> io::Result<()> {
    // SAFETY: flock is plain data, for which all zeroes is a value.
    let mut lock: libc::flock = unsafe { zeroed() };
    // The kinds are 0, 1 and 2; start and length of zero are the whole file.
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: F_OFD_SETLK reads one flock, which `lock` is.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether a lock of `kind` could be had, and where not, the process that is in the way, if it is one of POSIX locks:
/// those of open file descriptions belong to no process.
pub fn process_in_the_way(file: &File, kind: libc::c_int) -> Option<libc::pid_t> {
    // SAFETY: flock is plain data, for which all zeroes is a value.
    let mut lock: libc::flock = unsafe { zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: F_OFD_GETLK reads and writes one flock, which `lock` is.
    let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    (asked == 0 && lock.l_pid > 0).then_some(lock.l_pid)
}

/// Has the host forget what it has cached of `file` and can read again.
pub fn forget_cached(file: &File) {
    // It is advice: what cannot be done is not.
    // SAFETY: no memory is passed.
    let _ = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
}

/// Changes what `len` bytes of `file` at `offset` are, as fallocate(2) with `mode`.
///
/// # Errors
/// What fallocate(2) said.
pub fn allocate(file: &File, mode: libc::c_int, offset: u64, len: u64) -> io::Result<()> {
    let wrong = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let (offset, len) = (offset.try_into().map_err(wrong)?, len.try_into().map_err(wrong)?);
    loop {
        // SAFETY: no memory is passed.
        match unsafe { libc::fallocate(file.as_raw_fd(), mode, offset, len) } {
            0 => return Ok(()),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}
