//! Sockets of the family vsock, which the standard library does not know.

use std::{
    ffi::c_int,
    fs::File,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

const AF_VSOCK: u16 = 40;
const SOCK_STREAM: c_int = 1;
const ANY: u32 = u32::MAX;
const BACKLOG: c_int = 16;

/// `struct sockaddr_vm`.
#[repr(C)]
struct Address {
    family: u16,
    reserved: u16,
    port: u32,
    cid: u32,
    zero: [u8; 4],
}

const ADDRESS_BYTES: u32 = size_of::<Address>() as u32;

unsafe extern "C" {
    fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn bind(fd: c_int, address: *const Address, len: u32) -> c_int;
    fn listen(fd: c_int, backlog: c_int) -> c_int;
    fn accept(fd: c_int, address: *mut Address, len: *mut u32) -> c_int;
    fn connect(fd: c_int, address: *const Address, len: u32) -> c_int;
}

fn checked(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(fd: c_int) -> OwnedFd {
    // SAFETY: only called with a descriptor that was made just now and is nobody else's.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn stream_socket() -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    checked(unsafe { socket(AF_VSOCK.into(), SOCK_STREAM, 0) }).map(owned)
}

fn address(cid: u32, port: u32) -> Address {
    Address { family: AF_VSOCK, reserved: 0, port, cid, zero: [0; 4] }
}

/// A socket that listens at this port of the guest.
pub struct Listener(OwnedFd);

impl Listener {
    /// Begins to listen.
    ///
    /// # Errors
    /// Where there is no vsock, or another listens there.
    pub fn at(port: u32) -> io::Result<Self> {
        let (socket, address) = (stream_socket()?, address(ANY, port));
        // SAFETY: reads one address of that size.
        checked(unsafe { bind(socket.as_raw_fd(), &raw const address, ADDRESS_BYTES) })?;
        // SAFETY: takes numbers only.
        checked(unsafe { listen(socket.as_raw_fd(), BACKLOG) })?;
        Ok(Self(socket))
    }

    /// The next stream.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn accept(&self) -> io::Result<File> {
        // SAFETY: asked for no address, so nothing is written.
        let stream =
            checked(unsafe { accept(self.0.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut()) });
        stream.map(|fd| owned(fd).into())
    }
}

/// A stream to a port of who has the address `cid`.
///
/// # Errors
/// Where nobody is there, or refuses.
pub fn connect_to(cid: u32, port: u32) -> io::Result<File> {
    let (socket, address) = (stream_socket()?, address(cid, port));
    // SAFETY: reads one address of that size.
    checked(unsafe { connect(socket.as_raw_fd(), &raw const address, ADDRESS_BYTES) })?;
    Ok(socket.into())
}
