//! System calls on taps: which interface a descriptor is, its headers and offloads, and frames written straight from
//! guest memory.

use std::{
    ffi::c_short,
    fs::File,
    io, mem,
    net::{Ipv4Addr, UdpSocket},
    os::fd::{AsRawFd, FromRawFd, RawFd},
};

use libc::{c_int, c_uint, ifreq};
use vm_memory::{VolatileSlice, bitmap::BitmapSlice};

/// An ioctl's or fcntl's answer.
fn checked(answer: c_int) -> io::Result<c_int> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// A request about the interface `name`.
fn request(name: &str) -> io::Result<ifreq> {
    // SAFETY: ifreq is plain data, for which all zeroes is a value.
    let mut request: ifreq = unsafe { mem::zeroed() };
    // One byte stays zero, the end of the name.
    if name.len() >= request.ifr_name.len() || name.contains('\0') {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte.cast_signed();
    }
    Ok(request)
}

/// Makes `file`, a fresh `/dev/net/tun`, the interface `name` of kind `flags`; it is made where it is not there.
pub fn attach(file: &File, name: &str, flags: c_int) -> io::Result<()> {
    let mut request = request(name)?;
    request.ifr_ifru.ifru_flags = flags as c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq, which `request` is.
    checked(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) }).map(drop)
}

/// Name and flags of the interface that `file` is.
pub fn identify(file: &File) -> io::Result<(String, c_int)> {
    let mut request = request("")?;
    // SAFETY: TUNGETIFF writes one ifreq, which `request` is.
    checked(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNGETIFF, &raw mut request) })?;
    let name = request.ifr_name.iter().take_while(|byte| **byte != 0).map(|byte| byte.cast_unsigned());
    // SAFETY: TUNGETIFF has written the flags.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok((String::from_utf8_lossy(&name.collect::<Vec<_>>()).into_owned(), c_int::from(flags.cast_unsigned())))
}

/// Has the interface of several queues that `file` is one of use it from here on, or leave it alone.
pub fn use_queue(file: &File, is_used: bool) -> io::Result<()> {
    let mut request = request("")?;
    let flags = if is_used { libc::IFF_ATTACH_QUEUE } else { libc::IFF_DETACH_QUEUE };
    request.ifr_ifru.ifru_flags = flags as c_short;
    // SAFETY: TUNSETQUEUE reads one ifreq, which `request` is.
    checked(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETQUEUE, &raw const request) }).map(drop)
}

/// Frames come and go behind a virtio header of `bytes`.
pub fn set_header_bytes(file: &File, bytes: c_int) -> io::Result<()> {
    // SAFETY: TUNSETVNETHDRSZ reads one int.
    checked(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const bytes) }).map(drop)
}

/// Which frames (`TUN_F_*`) the reader of `file` is able to finish by itself.
pub fn set_offload(file: &File, flags: c_uint) -> io::Result<()> {
    let flags = libc::c_ulong::from(flags);
    // SAFETY: TUNSETOFFLOAD takes its argument by value.
    checked(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, flags) }).map(drop)
}

/// Sets the interface `name` of this network namespace up.
pub fn bring_up(name: &str) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let mut request = request(name)?;
    // SAFETY: SIOCGIFFLAGS reads and writes one ifreq, which `request` is.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) })?;
    // SAFETY: SIOCGIFFLAGS has written the flags.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    if c_int::from(flags) & libc::IFF_UP != 0 {
        return Ok(());
    }
    request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which `request` is.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }).map(drop)
}

/// Sets the largest packet of the interface `name` of this network namespace.
pub fn set_mtu(name: &str, mtu: u16) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let mut request = request(name)?;
    request.ifr_ifru.ifru_mtu = mtu.into();
    // SAFETY: SIOCSIFMTU reads one ifreq, which `request` is.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFMTU, &raw const request) }).map(drop)
}

/// A descriptor of our own for what the process was given as `fd`.
pub fn duplicate(fd: RawFd) -> io::Result<File> {
    // SAFETY: F_DUPFD_CLOEXEC takes any number; it fails for one that is no open descriptor.
    let own = checked(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: `own` was made just now and is nobody else's.
    Ok(unsafe { File::from_raw_fd(own) })
}

/// Reads and writes of `file` never wait.
pub fn set_nonblocking(file: &File) -> io::Result<()> {
    // SAFETY: F_GETFL and F_SETFL take and give numbers only.
    let flags = checked(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) })?;
    // SAFETY: as above.
    checked(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) }).map(drop)
}

/// Writes `slices` of guest memory as one frame.
pub fn write_frame<B: BitmapSlice>(file: &File, slices: &[VolatileSlice<'_, B>]) -> io::Result<()> {
    let guards: Vec<_> = slices.iter().map(VolatileSlice::ptr_guard).collect();
    let vectors: Vec<libc::iovec> = guards
        .iter()
        .map(|guard| libc::iovec { iov_base: guard.as_ptr().cast_mut().cast(), iov_len: guard.len() })
        .collect();
    let count = c_int::try_from(vectors.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: each vector is a piece of mapped guest memory that the guards keep there during the call; the kernel only
    // reads it, and copes with a guest that writes meanwhile.
    let written = unsafe { libc::writev(file.as_raw_fd(), vectors.as_ptr(), count) };
    if written < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives the calling thread, and the processes that it starts, a network of its own.
#[cfg(test)]
pub fn own_network() -> io::Result<()> {
    // SAFETY: concerns this thread's view of the network only.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNET) }).map(drop)
}
