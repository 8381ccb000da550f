//! A connection to a Unix socket that never makes the caller wait: the standard library's does, where whoever listens
//! has as many clients waiting as it allows.

use std::{
    ffi::c_int,
    io, mem,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::{ffi::OsStrExt, net::UnixStream},
    },
    path::Path,
};

/// Most bytes of a socket's path, for `sockaddr_un` ends it with a zero.
pub const PATH_BYTES: usize = mem::size_of::<libc::sockaddr_un>() - mem::size_of::<libc::sa_family_t>() - 1;

/// Connects to `path`; the stream does not block either.
///
/// # Errors
/// Where nobody listens, or is not able to take one more client now.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() > PATH_BYTES || bytes.contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: takes numbers only.
    let fd = unsafe { libc::socket(libc::AF_UNIX, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` was made just now and is nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: sockaddr_un is plain data, for which all zeroes is a value.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (place, byte) in address.sun_path.iter_mut().zip(bytes) {
        *place = *byte as libc::c_char;
    }
    let len = mem::size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: connect reads one sockaddr_un, which `address` is, with a zero behind its path.
    let connected: c_int = unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), len) };
    if connected < 0 { Err(io::Error::last_os_error()) } else { Ok(socket.into()) }
}
