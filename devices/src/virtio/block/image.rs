//! The image under a disk: a raw file or a block device, opened, measured, locked, and read and written at offsets.
//!
//! It knows bytes, not requests. Shared by the worker threads; `lock` has who may use it, `sys` the system calls.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom},
    os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use thiserror::Error;
use vm_memory::Bytes;

use super::{
    config::DiskConfig,
    request::{Range, length},
    sys::{self, AlignedBuffer, Way},
};
use crate::GuestMemory;

/// Bytes of a sector, whatever the disk's blocks are (virtio 1.2 §5.2.4).
pub const SECTOR_BYTES: u64 = 512;
/// Bytes moved at a time where guest memory is not aligned as direct I/O needs it, and of zeroes that are written.
const PORTION_BYTES: usize = 1 << 20;
/// Formats that are not raw, by what their images begin with.
const OTHER_FORMATS: [(&[u8], &str); 4] =
    [(b"QFI\xfb", "qcow2"), (b"KDMV", "vmdk"), (b"vhdxfile", "vhdx"), (b"QED\0", "qed")];

/// Why an image cannot be a disk.
#[derive(Debug, Error)]
pub enum ImageError {
    /// It cannot be opened or read.
    #[error("'{path}' cannot be {what}: {source}")]
    Io {
        /// The image.
        path: PathBuf,
        /// Opened, read, resized.
        what: &'static str,
        /// What the host said.
        source: io::Error,
    },
    /// It is a directory, a socket, or the like.
    #[error("'{0}' is neither a file nor a block device")]
    NotAnImage(PathBuf),
    /// It has no block.
    #[error("'{path}' has {bytes} bytes, which is not one block of {block}")]
    TooSmall {
        /// The image.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// Bytes of a block.
        block: u64,
    },
    /// It is of a format that is not read.
    #[error(
        "'{path}' is a {format} image, and disks are raw; convert it: qemu-img convert -O raw {path} disk.raw (or say \
         image_type=raw, if its bytes are the disk's)"
    )]
    Format {
        /// The image.
        path: PathBuf,
        /// Its format.
        format: &'static str,
    },
    /// A new size that cannot be.
    #[error("'{path}' has {is} bytes and cannot become a disk of {wanted}: {why}")]
    Resize {
        /// The image.
        path: PathBuf,
        /// Its size.
        is: u64,
        /// What was asked for.
        wanted: u64,
        /// Why not.
        why: &'static str,
    },
}

/// An open image.
#[derive(Debug)]
pub struct Image {
    path: PathBuf,
    pub(super) file: File,
    pub(super) is_file: bool,
    pub(super) read_only: bool,
    /// Bytes of a block, to which direct I/O is aligned; none without it.
    direct: Option<usize>,
    bytes: AtomicU64,
    /// The host may say of this image what it has in its page cache.
    caches: AtomicBool,
    pub(super) locked: AtomicBool,
}

impl Image {
    /// Opens and measures the image of `config`. It is not locked yet.
    ///
    /// # Errors
    /// [`ImageError`].
    pub fn open(config: &DiskConfig) -> Result<Self, ImageError> {
        let path = &config.path;
        let failed = |what| move |source| ImageError::Io { path: path.clone(), what, source };
        // Before it is opened: opening a pipe would wait for its other end.
        let kind = fs::metadata(path).map_err(failed("opened"))?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(ImageError::NotAnImage(path.clone()));
        }
        let flags = if config.direct { libc::O_DIRECT } else { 0 };
        let mut options = OpenOptions::new();
        options.read(true).write(!config.readonly).custom_flags(flags);
        let what = match (config.readonly, config.direct) {
            (true, false) => "opened to read",
            (false, false) => "opened to read and write (readonly=on needs less)",
            (_, true) => "opened with direct=on",
        };
        let mut file = options.open(path).map_err(failed(what))?;
        let is = file.seek(SeekFrom::End(0)).map_err(failed("measured"))?;
        let direct =
            config.direct.then(|| block_bytes(&file)).transpose().map_err(failed("read directly"))?;
        let block = direct.map_or(SECTOR_BYTES, |bytes| bytes as u64);
        let bytes = is / block * block;
        if bytes == 0 {
            return Err(ImageError::TooSmall { path: path.clone(), bytes: is, block });
        }
        let image = Self {
            path: path.clone(),
            direct,
            file,
            is_file: kind.is_file(),
            read_only: config.readonly,
            bytes: bytes.into(),
            caches: true.into(),
            locked: false.into(),
        };
        if config.image_type.is_none() {
            image.check_format()?;
        }
        Ok(image)
    }

    fn check_format(&self) -> Result<(), ImageError> {
        let failed = |source| ImageError::Io { path: self.path.clone(), what: "read", source };
        let mut begin = AlignedBuffer::new(4096).map_err(failed)?;
        let read = self.file.read_at(&mut begin, 0).map_err(failed)?;
        let found = OTHER_FORMATS.iter().find(|(magic, _)| begin[..read].starts_with(magic));
        found.map_or(Ok(()), |(_, format)| Err(ImageError::Format { path: self.path.clone(), format }))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in sectors; what is left of the last one is not used.
    pub fn sectors(&self) -> u64 {
        self.bytes.load(Ordering::Acquire) / SECTOR_BYTES
    }

    /// Bytes of a block: what is written in smaller pieces is read first by somebody.
    pub fn block_bytes(&self) -> u32 {
        // A block is a page at most.
        self.direct.map_or(SECTOR_BYTES as u32, |bytes| bytes as u32)
    }

    /// Whether `sectors` sectors from `sector` on are within the image.
    pub fn has(&self, sector: u64, sectors: u64) -> bool {
        sector.checked_add(sectors).is_some_and(|end| end <= self.sectors())
    }

    /// Moves `ranges`, whole sectors, from or to `sector` and on.
    ///
    /// # Errors
    /// What the host said.
    pub fn transfer(&self, way: Way, sector: u64, memory: &GuestMemory, ranges: &[Range]) -> io::Result<()> {
        let offset = sector * SECTOR_BYTES;
        match self.direct {
            Some(align) if !sys::is_aligned(memory, ranges, align) => {
                self.transfer_by_copy(way, offset, memory, ranges)
            }
            _ => sys::transfer(way, &self.file, offset, memory, ranges),
        }
    }

    /// Fills `ranges`, whole sectors, from `sector` on, where the host has all of it in its page cache. What is in the ranges
    /// is undefined where it has not: they must be filled by [`transfer`](Self::transfer).
    pub fn read_cached(&self, sector: u64, memory: &GuestMemory, ranges: &[Range]) -> bool {
        // Past the cache a read waits for the device, whatever it is told.
        if self.direct.is_some() || !self.caches.load(Ordering::Relaxed) {
            return false;
        }
        match sys::read_cached(&self.file, sector * SECTOR_BYTES, memory, ranges) {
            Ok(read) => read == length(ranges),
            Err(error) => {
                // A file system that cannot say what it has will not learn it.
                if is_unsupported(&error) {
                    self.caches.store(false, Ordering::Relaxed);
                }
                false
            }
        }
    }

    /// Whether the host has not refused to say what it has in its page cache.
    #[cfg(test)]
    pub fn tells_what_is_cached(&self) -> bool {
        self.caches.load(Ordering::Relaxed)
    }

    /// As [`transfer`](Self::transfer), through memory of ours that is aligned.
    fn transfer_by_copy(
        &self,
        way: Way,
        mut offset: u64,
        memory: &GuestMemory,
        ranges: &[Range],
    ) -> io::Result<()> {
        let total = length(ranges);
        let mut buffer = AlignedBuffer::new(total.min(PORTION_BYTES as u64) as usize)?;
        let mut ranges = ranges.iter().copied();
        let mut open = None;
        let end = offset + total;
        while offset < end {
            let portion = &mut buffer[..(end - offset).min(PORTION_BYTES as u64) as usize];
            if way == Way::Read {
                self.file.read_exact_at(portion, offset)?;
            }
            let mut rest = &mut *portion;
            while !rest.is_empty() {
                let Some(Range { at, len }) = open.take().or_else(|| ranges.next()) else { break };
                let (now, later) = rest.split_at_mut(len.min(rest.len()));
                let copied = match way {
                    Way::Read => memory.write_slice(now, at),
                    Way::Write => memory.read_slice(now, at),
                };
                copied.map_err(io::Error::other)?;
                if now.len() < len {
                    open = Some(Range {
                        at: vm_memory::GuestAddress(at.0 + now.len() as u64),
                        len: len - now.len(),
                    });
                }
                rest = later;
            }
            if way == Way::Write {
                self.file.write_all_at(portion, offset)?;
            }
            offset += portion.len() as u64;
        }
        Ok(())
    }

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// What the host said.
    pub fn flush(&self) -> io::Result<()> {
        if self.read_only { Ok(()) } else { self.file.sync_data() }
    }

    /// Gives the room of `sectors` sectors from `sector` on back, where the host can; what they hold is then undefined.
    ///
    /// # Errors
    /// What the host said.
    pub fn discard(&self, sector: u64, sectors: u64) -> io::Result<()> {
        const HOLE: libc::c_int = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        match sys::allocate(&self.file, HOLE, sector * SECTOR_BYTES, sectors * SECTOR_BYTES) {
            // It was a hint.
            Err(error) if is_unsupported(&error) => Ok(()),
            done => done,
        }
    }

    /// Makes `sectors` sectors from `sector` on zeroes, by giving their room back where it may be unmapped.
    ///
    /// # Errors
    /// What the host said.
    pub fn write_zeroes(&self, sector: u64, sectors: u64, unmap: bool) -> io::Result<()> {
        let how = if unmap { libc::FALLOC_FL_PUNCH_HOLE } else { libc::FALLOC_FL_ZERO_RANGE };
        let (mut offset, mut left) = (sector * SECTOR_BYTES, sectors * SECTOR_BYTES);
        match sys::allocate(&self.file, how | libc::FALLOC_FL_KEEP_SIZE, offset, left) {
            Err(error) if is_unsupported(&error) => {}
            done => return done,
        }
        let zeroes = AlignedBuffer::new(left.min(PORTION_BYTES as u64) as usize)?;
        while left > 0 {
            let portion = &zeroes[..left.min(PORTION_BYTES as u64) as usize];
            self.file.write_all_at(portion, offset)?;
            offset += portion.len() as u64;
            left -= portion.len() as u64;
        }
        Ok(())
    }

    /// Takes a new size: that of `bytes`, to which a file grows, or that which the image has by now.
    ///
    /// # Errors
    /// [`ImageError::Resize`] for less than it has, or more than a block device has; [`ImageError::Io`].
    pub fn resize(&self, bytes: Option<u64>) -> Result<(), ImageError> {
        let failed = |what| move |source| ImageError::Io { path: self.path.clone(), what, source };
        // Nobody uses the position, and another thread's measuring would give the same.
        let is = (&self.file).seek(SeekFrom::End(0)).map_err(failed("measured"))?;
        let block = u64::from(self.block_bytes());
        let wanted = bytes.unwrap_or(is / block * block);
        let refused = |why| Err(ImageError::Resize { path: self.path.clone(), is, wanted, why });
        if wanted < self.sectors() * SECTOR_BYTES {
            return refused("a disk can only grow while its guest runs");
        }
        if !wanted.is_multiple_of(block) {
            return refused("it is not a whole number of blocks");
        }
        if wanted > is {
            if self.read_only || !self.is_file {
                return refused(
                    "only a file that can be written grows by itself; make the image larger first",
                );
            }
            self.file.set_len(wanted).map_err(failed("resized"))?;
        }
        self.bytes.store(wanted, Ordering::Release);
        Ok(())
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::ENODEV))
}

/// The least that can be read directly.
fn block_bytes(file: &File) -> io::Result<usize> {
    let mut buffer = AlignedBuffer::new(4096)?;
    match file.read_at(&mut buffer[..SECTOR_BYTES as usize], 0) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            file.read_at(&mut buffer, 0).map(|_| 4096)
        }
        read => read.map(|_| SECTOR_BYTES as usize),
    }
}
