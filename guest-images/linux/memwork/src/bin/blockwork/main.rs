//! Works on a disk by direct I/O from several threads, so that requests are in flight at all times: each thread writes its
//! own blocks and reads them back, and what stands in them follows from the number of the write.
//!
//! The disk may go at any moment, with the driver that has it, and come back under another name: it is found by its serial
//! number again. A write that failed may have been made, in part or not at all; a write that was answered stands.
//!
//! `blockwork SERIAL THREADS` prints a line each second, which begins with `linux: block`.

#![warn(missing_docs)]

mod blocks;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use blocks::{Aligned, BLOCK_BYTES, Block};

/// Blocks of a thread.
const BLOCKS: u64 = 16;
/// `O_DIRECT` on x86-64.
const DIRECT: i32 = 0o40000;
/// How long a disk that is not there is not looked for.
const AGAIN: Duration = Duration::from_millis(20);
/// Complaints that are printed.
const COMPLAINTS: u64 = 8;

/// What all threads did.
#[derive(Default)]
struct Count {
    writes: AtomicU64,
    reads: AtomicU64,
    bad: AtomicU64,
    /// Times that a thread had found the disk, and lost it.
    lost: AtomicU64,
    /// Threads that have it now.
    working: AtomicU64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (serial, threads) = match &arguments[..] {
        [serial, threads] if threads.parse::<u64>().is_ok() => (serial.clone(), threads.parse().unwrap_or(1)),
        _ => {
            println!("linux: ERROR blockwork wants SERIAL THREADS");
            return ExitCode::from(2);
        }
    };
    let count = Arc::new(Count::default());
    for number in 0..threads {
        let (serial, count) = (serial.clone(), Arc::clone(&count));
        thread::spawn(move || work(&serial, number, &count));
    }
    loop {
        thread::sleep(Duration::from_secs(1));
        let [writes, reads, bad, lost, working] =
            [&count.writes, &count.reads, &count.bad, &count.lost, &count.working]
                .map(|number| number.load(Ordering::Relaxed));
        println!("linux: block writes={writes} reads={reads} bad={bad} lost={lost} working={working}");
    }
}

/// What thread `number` does, for ever.
fn work(serial: &str, number: u64, count: &Count) {
    let mut blocks: Vec<Block> = (0..BLOCKS).map(|at| Block::new(number * BLOCKS + at)).collect();
    let mut buffer = Aligned::new();
    loop {
        let Some(disk) = find(serial).and_then(|path| open(&path).ok()) else {
            thread::sleep(AGAIN);
            continue;
        };
        count.working.fetch_add(1, Ordering::Relaxed);
        // Whatever the disk says, it has gone.
        let _ = rounds(&disk, &mut blocks, &mut buffer, count);
        count.working.fetch_sub(1, Ordering::Relaxed);
        count.lost.fetch_add(1, Ordering::Relaxed);
    }
}

/// Writes a block and reads another, until the disk goes.
fn rounds(disk: &File, blocks: &mut [Block], buffer: &mut Aligned, count: &Count) -> io::Result<()> {
    for turn in (0..blocks.len()).cycle() {
        let block = &mut blocks[turn];
        block.fill_next(buffer.bytes());
        let written = disk.write_all_at(buffer.bytes(), block.number * BLOCK_BYTES as u64);
        block.was_written(written.is_ok());
        written?;
        count.writes.fetch_add(1, Ordering::Relaxed);
        // The one that was written longest ago.
        let other = &blocks[(turn + 1) % blocks.len()];
        disk.read_exact_at(buffer.bytes(), other.number * BLOCK_BYTES as u64)?;
        count.reads.fetch_add(1, Ordering::Relaxed);
        if let Err(wrong) = other.check(buffer.bytes())
            && count.bad.fetch_add(1, Ordering::Relaxed) < COMPLAINTS
        {
            println!("linux: BAD {wrong}");
        }
    }
    Ok(())
}

/// The disk with that serial number, whatever it is called now.
fn find(serial: &str) -> Option<PathBuf> {
    let disks = fs::read_dir("/sys/block").ok()?.flatten();
    let mut named = disks.filter(|disk| {
        fs::read_to_string(disk.path().join("serial")).is_ok_and(|said| said.trim_end() == serial)
    });
    named.next().map(|disk| Path::new("/dev").join(disk.file_name()))
}

fn open(path: &Path) -> io::Result<File> {
    let disk = OpenOptions::new().read(true).write(true).custom_flags(DIRECT).open(path)?;
    if disk.metadata()?.file_type().is_block_device() { Ok(disk) } else { Err(ErrorKind::NotFound.into()) }
}
