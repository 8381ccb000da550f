//! Reads a disk past the page cache, several requests at a time, and counts them.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    time::{Duration, Instant},
};

use crate::{Rate, sys::Reads};

/// Of open(2), on x86-64.
const O_DIRECT: i32 = 0x4000;
/// Any odd number: the order is the same in every run.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where the next request reads.
#[derive(Clone, Copy)]
pub enum Pattern {
    /// Anywhere.
    Random,
    /// Behind the one before, and from the beginning after the end.
    Sequential,
}

/// A disk.
pub struct Disk {
    file: File,
    bytes: u64,
}

impl Disk {
    /// Opens it to be read.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn open(path: &str) -> io::Result<Self> {
        let mut file = File::options().read(true).custom_flags(O_DIRECT).open(path)?;
        let bytes = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, bytes })
    }

    /// Reads pieces of `bytes`, `depth` at a time, for as long as `time`; how many there were a second, whole ones only.
    ///
    /// # Errors
    /// What the kernel says, of a read too.
    pub fn read(&self, bytes: usize, depth: usize, pattern: Pattern, time: Duration) -> io::Result<Rate> {
        let pieces = self.bytes / bytes as u64;
        let (mut random, mut next) = (SEED, 0);
        let mut place = move || {
            let piece = match pattern {
                Pattern::Random => {
                    // Marsaglia's xorshift.
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    random % pieces
                }
                Pattern::Sequential => {
                    next = (next + 1) % pieces;
                    next
                }
            };
            piece * bytes as u64
        };
        let mut reads = Reads::new(&self.file, bytes, depth)?;
        let (start, mut done) = (Instant::now(), 0);
        for slot in 0..depth {
            reads.begin(slot, place())?;
        }
        while start.elapsed() < time {
            for slot in reads.ended()? {
                done += 1;
                reads.begin(slot, place())?;
            }
        }
        Ok(Rate::since(start, done))
    }
}
