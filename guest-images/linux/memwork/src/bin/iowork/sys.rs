//! Reads under way, by the kernel's own asynchronous I/O (io_submit(2)), which the standard library does not know.

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    ffi::{c_int, c_long},
    fs::File,
    io,
    os::fd::AsRawFd,
    ptr::null_mut,
};

// Of x86-64.
const SYS_IO_SETUP: c_long = 206;
const SYS_IO_DESTROY: c_long = 207;
const SYS_IO_GETEVENTS: c_long = 208;
const SYS_IO_SUBMIT: c_long = 209;
const IOCB_CMD_PREAD: u16 = 0;
/// What direct I/O needs of an address.
const ALIGN: usize = 4096;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

/// `struct iocb` of a little-endian machine.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Request {
    data: u64,
    key: u32,
    rw_flags: c_int,
    opcode: u16,
    priority: i16,
    fd: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    event_fd: u32,
}

/// `struct io_event`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Event {
    data: u64,
    request: u64,
    result: i64,
    result2: i64,
}

fn checked(result: c_long) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Reads of a file into memory of their own, in slots. Nobody looks at what was read.
pub struct Reads<'a> {
    file: &'a File,
    bytes: usize,
    context: u64,
    buffers: *mut u8,
    layout: Layout,
    requests: Vec<Request>,
    events: Vec<Event>,
}

impl<'a> Reads<'a> {
    /// `slots` reads of `bytes` each, of which none has begun.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new(file: &'a File, bytes: usize, slots: usize) -> io::Result<Self> {
        let layout = Layout::from_size_align(bytes * slots, ALIGN).map_err(io::Error::other)?;
        let mut context = 0_u64;
        // SAFETY: writes one context.
        checked(unsafe { syscall(SYS_IO_SETUP, slots, &raw mut context) })?;
        // SAFETY: the layout is not empty: there is a slot, and it has bytes.
        let buffers = unsafe { alloc_zeroed(layout) };
        if buffers.is_null() {
            handle_alloc_error(layout);
        }
        let requests = vec![Request::default(); slots];
        Ok(Self { file, bytes, context, buffers, layout, requests, events: vec![Event::default(); slots] })
    }

    /// Begins a read at `offset` in a slot in which none is under way.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn begin(&mut self, slot: usize, offset: u64) -> io::Result<()> {
        let request = &mut self.requests[slot];
        *request = Request {
            data: slot as u64,
            opcode: IOCB_CMD_PREAD,
            fd: self.file.as_raw_fd().cast_unsigned(),
            // `slot` was checked a moment ago, so this is within the buffers.
            buffer: self.buffers.wrapping_add(slot * self.bytes) as u64,
            bytes: self.bytes as u64,
            offset: offset.cast_signed(),
            ..Request::default()
        };
        let mut list = [&raw mut *request];
        // SAFETY: the list is one request, which the kernel copies; its buffer is this slot's own, which lives until
        // every read has ended, and which nothing refers to.
        checked(unsafe { syscall(SYS_IO_SUBMIT, self.context, 1_usize, list.as_mut_ptr()) }).map(drop)
    }

    /// Waits for reads that have ended, at least one; their slots.
    ///
    /// # Errors
    /// What the kernel says; and that a read failed, or was of less than was asked for.
    pub fn ended(&mut self) -> io::Result<Vec<usize>> {
        let most = self.events.len();
        // SAFETY: writes at most so many events; no time-out.
        let count = checked(unsafe {
            syscall(SYS_IO_GETEVENTS, self.context, 1_usize, most, self.events.as_mut_ptr(), null_mut::<u8>())
        })?;
        let slot = |event: &Event| match usize::try_from(event.result) {
            Ok(read) if read == self.bytes => Ok(event.data as usize),
            _ => Err(io::Error::other(format!("a read gave {} of {} bytes", event.result, self.bytes))),
        };
        self.events[..count].iter().map(slot).collect()
    }
}

impl Drop for Reads<'_> {
    fn drop(&mut self) {
        // SAFETY: waits for the end of every read that is under way, and takes no memory.
        let _ = unsafe { syscall(SYS_IO_DESTROY, self.context) };
        // SAFETY: allocated with this layout, and no read is under way any more.
        unsafe { dealloc(self.buffers, self.layout) };
    }
}
