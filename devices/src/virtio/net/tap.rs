//! A tap: the interface of the host that the guest's network card is the other end of.
//!
//! Frames come and go behind the header that virtio itself uses, so checksums and segmentation pass through untouched.
//! Neighbours: [`super::sys`] has the system calls, the device moves the frames.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::OpenOptionsExt,
    },
};

use libc::{IFF_MULTI_QUEUE, IFF_NO_PI, IFF_TAP, IFF_VNET_HDR};
use thiserror::Error;
use vm_memory::{VolatileSlice, bitmap::BitmapSlice};

use super::{features::HEADER_BYTES, sys};

const DEVICE: &str = "/dev/net/tun";
/// Ethernet frames, without a header of the tap's own, behind a virtio header.
const KIND: libc::c_int = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;

/// Why a tap cannot be used.
#[derive(Debug, Error)]
pub enum TapError {
    /// The host has no taps, or not for us.
    #[error("{DEVICE} cannot be opened for a tap: {0}")]
    Device(io::Error),
    /// It cannot be had.
    #[error("tap '{name}' {why}")]
    Refused {
        /// Name of the interface.
        name: String,
        /// Why.
        why: String,
    },
    /// The descriptor is not a tap that fits.
    #[error("descriptor {fd} {why}")]
    Descriptor {
        /// The number given.
        fd: RawFd,
        /// Why.
        why: String,
    },
}

/// An open tap, or one of the queues of a tap that has several.
#[derive(Debug)]
pub struct Tap {
    file: File,
    name: String,
    /// There are others, so the host may be told which of them to use.
    is_one_of_several: bool,
    is_used: bool,
}

impl Tap {
    /// Opens `queues` queues of the tap `name` and sets it up, with packets of up to `mtu` bytes where that is given.
    /// Where there is none, it is made, and goes away with the process.
    ///
    /// # Errors
    /// [`TapError`], with what stands in the way.
    pub fn open(name: &str, mtu: Option<u16>, queues: usize) -> Result<Vec<Self>, TapError> {
        let refused = |why: String| TapError::Refused { name: name.into(), why };
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
        let kind = if queues > 1 { KIND | IFF_MULTI_QUEUE } else { KIND };
        let open = |_| {
            let file = options.open(DEVICE).map_err(TapError::Device)?;
            sys::attach(&file, name, kind).map_err(|error| refused(why_not_attached(&error, queues)))?;
            Self::set_up(file, name.into(), queues > 1).map_err(refused)
        };
        let taps = (0..queues).map(open).collect::<Result<_, _>>()?;
        if let Some(mtu) = mtu {
            sys::set_mtu(name, mtu)
                .map_err(|error| refused(format!("does not take an MTU of {mtu}: {error}")))?;
        }
        sys::bring_up(name).map_err(|error| refused(format!("is down and cannot be set up: {error}")))?;
        Ok(taps)
    }

    /// Takes the queues of a tap that the process was given as `fds`. It may belong to another network namespace, so it is
    /// not set up.
    ///
    /// # Errors
    /// [`TapError`], with what stands in the way.
    pub fn given(fds: &[RawFd]) -> Result<Vec<Self>, TapError> {
        let taps = fds.iter().map(|fd| Self::given_one(*fd, fds.len() > 1)).collect::<Result<Vec<_>, _>>()?;
        match taps.iter().zip(fds).find(|(tap, _)| tap.name != taps[0].name) {
            Some((tap, fd)) => {
                let why = format!("is interface '{}', and the others are '{}'", tap.name, taps[0].name);
                Err(TapError::Descriptor { fd: *fd, why })
            }
            None => Ok(taps),
        }
    }

    fn given_one(fd: RawFd, is_one_of_several: bool) -> Result<Self, TapError> {
        let wrong = |why: String| TapError::Descriptor { fd, why };
        let file = sys::duplicate(fd).map_err(|error| wrong(format!("is not open: {error}")))?;
        let (name, flags) = sys::identify(&file).map_err(|_| wrong("is not a tap".into()))?;
        if flags & KIND != KIND {
            let why = format!(
                "is interface '{name}' of flags {flags:#x}, which must have IFF_TAP, IFF_NO_PI and IFF_VNET_HDR ({KIND:#x})"
            );
            return Err(wrong(why));
        }
        if is_one_of_several && flags & IFF_MULTI_QUEUE == 0 {
            return Err(wrong(format!("is interface '{name}' of one queue; it must have IFF_MULTI_QUEUE")));
        }
        sys::set_nonblocking(&file).map_err(|error| wrong(error.to_string()))?;
        Self::set_up(file, name, is_one_of_several).map_err(wrong)
    }

    fn set_up(file: File, name: String, is_one_of_several: bool) -> Result<Self, String> {
        sys::set_header_bytes(&file, HEADER_BYTES as libc::c_int)
            .map_err(|error| format!("has no headers of {HEADER_BYTES} bytes: {error}"))?;
        sys::set_offload(&file, 0).map_err(|error| format!("cannot be told its offloads: {error}"))?;
        Ok(Self { file, name, is_one_of_several, is_used: true })
    }

    /// Any descriptor that keeps frames apart stands in for a tap here.
    #[cfg(test)]
    pub fn of_file(file: File) -> Self {
        Self { file, name: "test".into(), is_one_of_several: false, is_used: true }
    }

    /// Name of the interface.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which frames (`TUN_F_*`) the guest is able to finish by itself. A host that knows fewer hands out finished ones.
    pub fn set_offload(&self, flags: libc::c_uint) {
        if let Err(error) = sys::set_offload(&self.file, flags) {
            tracing::debug!("tap '{}' finishes every frame itself: {error}", self.name);
        }
    }

    /// Has the host send frames here, or by the tap's other queues only; what waits here then is lost.
    ///
    /// # Errors
    /// When the host cannot, or the interface is gone.
    pub fn set_used(&mut self, is_used: bool) -> io::Result<()> {
        if self.is_one_of_several && self.is_used != is_used {
            sys::use_queue(&self.file, is_used)?;
        }
        self.is_used = is_used;
        Ok(())
    }

    /// Reads a header and its frame; `None` when there is none.
    ///
    /// # Errors
    /// When the interface is gone.
    pub fn read(&self, frame: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match (&self.file).read(frame) {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes a header and its frame that lie in guest memory.
    ///
    /// # Errors
    /// When the host does not take it: a header that makes no sense, no room, the interface is down or gone.
    pub fn write<B: BitmapSlice>(&self, slices: &[VolatileSlice<'_, B>]) -> io::Result<()> {
        sys::write_frame(&self.file, slices)
    }

    /// Writes a header and its frame of our own.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_own(&self, frame: &[u8]) -> io::Result<()> {
        (&self.file).write(frame).map(drop)
    }

    /// Throws away the frames that wait.
    pub fn drain(&self) {
        let mut scratch = [0; HEADER_BYTES];
        // A frame that is read in part is gone as a whole. A tap keeps a thousand; somebody may be filling it.
        for _ in 0..MOST_DRAINED {
            match self.read(&mut scratch) {
                Ok(Some(1..)) => {}
                _ => break,
            }
        }
    }
}

/// Most frames that are thrown away at a time.
const MOST_DRAINED: usize = 4096;

impl AsRawFd for Tap {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

fn why_not_attached(error: &io::Error, queues: usize) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM) => {
            "is not there, or not for this user; 'ip tuntap add NAME mode tap user USER' as root makes one".into()
        }
        Some(libc::EBUSY) => "is in use by another process".into(),
        Some(libc::EINVAL) if queues > 1 => format!(
            "cannot be a tap of {queues} queues: it was made for one ('ip tuntap add NAME mode tap multi_queue' makes it for several), its name is taken by another kind of interface, or is no name of up to 15 characters"
        ),
        Some(libc::EINVAL) => {
            "cannot be a tap of one queue: it was made for several ('multi_queue'), its name is taken by another kind of interface, or is no name of up to 15 characters"
                .into()
        }
        Some(libc::E2BIG) => format!("has no {queues} queues left"),
        _ if error.kind() == ErrorKind::InvalidInput => "has no name of up to 15 characters".into(),
        _ => format!("cannot be had: {error}"),
    }
}
