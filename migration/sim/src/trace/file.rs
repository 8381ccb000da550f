//! The trace file: `docs/traces.md` describes it. Written and read in one pass; nothing in it is trusted.

use std::{
    io::{self, ErrorKind, Read, Write},
    time::Duration,
};

use godwit_migration::{limits::REGION_ALIGN_PAGES, page::PageSet};
use serde::{Deserialize, Serialize};

use super::{About, Interval, Span, Trace};

/// First bytes of every trace file.
pub const MAGIC: [u8; 8] = *b"gwtrace\n";
/// Version of the format that this build writes, and the only one it reads.
pub const VERSION: u32 = 4;
/// Shortest and longest interval.
pub const INTERVALS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(60));
/// Most pages of a guest: 1 TiB.
pub const MAX_PAGES: u32 = 1 << 28;
/// Most intervals.
pub const MAX_INTERVALS: u32 = 1 << 20;
/// Most bytes of bitmaps in memory, all intervals together.
pub const MAX_BITMAP_BYTES: u64 = 1 << 30;
/// Most bytes of the header.
const MAX_HEADER_BYTES: u32 = 64 << 10;
/// Compression of the bitmaps: fast, and they are mostly zeros.
const LEVEL: i32 = 3;
/// The largest window that a reader allocates for decompression, as a power of two: 8 MiB.
const WINDOW_LOG: u32 = 23;
/// Bitmap words read at a time: what a file announces is allocated only as it comes.
const CHUNK_WORDS: usize = 8192;

/// Why a trace cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// Something else.
    #[error(
        "it is no dirty trace of godwit's: it does not begin with the eight bytes 'gwtrace' and line feed"
    )]
    NotATrace,
    /// Written by another build.
    #[error("it is a trace of version {found}; this build reads version {VERSION}")]
    Version {
        /// What it says.
        found: u32,
    },
    /// It ends early.
    #[error("it is cut short: it ends within {within}")]
    Truncated {
        /// Where.
        within: &'static str,
    },
    /// It says what cannot be.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// The host failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

#[derive(Serialize, Deserialize)]
struct Header {
    pages: u32,
    interval_us: u64,
    intervals: u32,
    about: About,
}

/// Whether an interval can be so long.
pub(super) fn check_interval(interval: Duration) -> Result<(), String> {
    if (INTERVALS.0..=INTERVALS.1).contains(&interval) {
        return Ok(());
    }
    Err(format!("'interval' is {interval:?}; it must be from {:?} to {:?}", INTERVALS.0, INTERVALS.1))
}

/// Whether a guest can have so many pages.
pub(super) fn check_pages(pages: u32) -> Result<(), String> {
    if (1..=MAX_PAGES).contains(&pages) && pages.is_multiple_of(REGION_ALIGN_PAGES) {
        return Ok(());
    }
    Err(format!(
        "'pages' is {pages}; it must be a multiple of {REGION_ALIGN_PAGES} from {REGION_ALIGN_PAGES} to {MAX_PAGES}"
    ))
}

impl Trace {
    /// Writes it.
    ///
    /// # Errors
    /// Where `to` fails, or the trace is beyond the limits of a file.
    pub fn write(&self, mut to: impl Write) -> Result<(), TraceError> {
        let intervals = u32::try_from(self.intervals.len()).ok().filter(|n| *n <= MAX_INTERVALS);
        let intervals = intervals.ok_or_else(|| {
            TraceError::Damaged(format!(
                "'intervals' is {}; at most {MAX_INTERVALS} fit",
                self.intervals.len()
            ))
        })?;
        let interval_us = u64::try_from(self.interval.as_micros()).unwrap_or(u64::MAX);
        let header = Header { pages: self.pages(), interval_us, intervals, about: self.about.clone() };
        let header = postcard::to_stdvec(&header).map_err(|e| TraceError::Damaged(e.to_string()))?;
        if header.len() > MAX_HEADER_BYTES as usize {
            return Err(TraceError::Damaged(format!("a header of {} bytes", header.len())));
        }
        to.write_all(&MAGIC)?;
        to.write_all(&VERSION.to_le_bytes())?;
        let mut body = zstd::stream::write::Encoder::new(to, LEVEL)?;
        body.include_checksum(true)?;
        body.window_log(WINDOW_LOG)?;
        body.write_all(&(header.len() as u32).to_le_bytes())?;
        body.write_all(&header)?;
        put_span(&mut body, &Span::of(self.resident.words()))?;
        for Interval { written, read } in &self.intervals {
            put_span(&mut body, written)?;
            put_span(&mut body, read)?;
        }
        body.finish()?.flush()?;
        Ok(())
    }

    /// Reads one. Memory is bounded by [`MAX_BITMAP_BYTES`], and by what the file really holds.
    ///
    /// # Errors
    /// What is wrong with the file, by name.
    pub fn read(mut from: impl Read) -> Result<Self, TraceError> {
        let mut magic = [0; 8];
        match from.read_exact(&mut magic) {
            Ok(()) if magic == MAGIC => {}
            Ok(()) => return Err(TraceError::NotATrace),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(TraceError::NotATrace),
            Err(error) => return Err(error.into()),
        }
        let version = take_u32(&mut from, "the version")?;
        if version != VERSION {
            return Err(TraceError::Version { found: version });
        }
        let mut body = zstd::stream::read::Decoder::new(from)?;
        body.window_log_max(WINDOW_LOG)?;
        let bytes = take_u32(&mut body, "the header")?;
        if bytes > MAX_HEADER_BYTES {
            return Err(TraceError::Damaged(format!(
                "a header of {bytes} bytes; at most {MAX_HEADER_BYTES} are possible"
            )));
        }
        let mut header = vec![0; bytes as usize];
        take(&mut body, &mut header, "the header")?;
        let header = match postcard::take_from_bytes::<Header>(&header) {
            Ok((header, [])) => header,
            Ok(_) => return Err(TraceError::Damaged("the header has bytes left over".into())),
            Err(error) => return Err(TraceError::Damaged(format!("the header does not decode: {error}"))),
        };
        check_pages(header.pages).map_err(TraceError::Damaged)?;
        if header.intervals > MAX_INTERVALS {
            return Err(TraceError::Damaged(format!(
                "'intervals' is {}; at most {MAX_INTERVALS} are possible",
                header.intervals
            )));
        }
        let mut room = MAX_BITMAP_BYTES;
        let resident = take_span(&mut body, header.pages, &mut room, "the resident pages")?;
        let mut pages = PageSet::empty(header.pages);
        pages.union_words(resident.first_page(), &resident.words);
        let interval = Duration::from_micros(header.interval_us);
        let mut trace = Self::new(header.about, interval, pages).map_err(TraceError::Damaged)?;
        for _ in 0..header.intervals {
            let mut span = || take_span(&mut body, header.pages, &mut room, "the intervals");
            trace.intervals.push(Interval { written: span()?, read: span()? });
        }
        match body.read(&mut [0; 1]) {
            Ok(0) => Ok(trace),
            Ok(_) => Err(TraceError::Damaged("there is more after the last interval".into())),
            Err(error) => Err(body_error(error, "the end of the intervals")),
        }
    }
}

fn put_span(to: &mut impl Write, span: &Span) -> io::Result<()> {
    to.write_all(&span.first.to_le_bytes())?;
    to.write_all(&(span.words.len() as u32).to_le_bytes())?;
    let bytes: Vec<u8> = span.words.iter().flat_map(|word| word.to_le_bytes()).collect();
    to.write_all(&bytes)
}

fn take_span(
    from: &mut impl Read,
    pages: u32,
    room: &mut u64,
    within: &'static str,
) -> Result<Span, TraceError> {
    let first = take_u32(from, within)?;
    let count = take_u32(from, within)?;
    let most = pages / 64;
    if first.checked_add(count).is_none_or(|end| end > most) {
        return Err(TraceError::Damaged(format!(
            "{within} name the words {first}+{count} of a bitmap of {most}"
        )));
    }
    *room = room.checked_sub(u64::from(count) * 8).ok_or_else(|| {
        TraceError::Damaged(format!("bitmaps of more than {MAX_BITMAP_BYTES} bytes; that is the most"))
    })?;
    let mut words = vec![];
    let mut bytes = vec![0; CHUNK_WORDS.min(count as usize) * 8];
    while words.len() < count as usize {
        let chunk = &mut bytes[..(count as usize - words.len()).min(CHUNK_WORDS) * 8];
        take(from, chunk, within)?;
        words.extend(chunk.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)));
    }
    Ok(Span { first, words })
}

fn take_u32(from: &mut impl Read, within: &'static str) -> Result<u32, TraceError> {
    let mut bytes = [0; 4];
    take(from, &mut bytes, within)?;
    Ok(u32::from_le_bytes(bytes))
}

fn take(from: &mut impl Read, bytes: &mut [u8], within: &'static str) -> Result<(), TraceError> {
    from.read_exact(bytes).map_err(|error| body_error(error, within))
}

/// An error while reading: the end of the file, what the decompressor says of what it was given, or the host's.
fn body_error(error: io::Error, within: &'static str) -> TraceError {
    match (error.kind(), error.raw_os_error()) {
        (ErrorKind::UnexpectedEof, _) => TraceError::Truncated { within },
        (_, Some(_)) => TraceError::Io(error),
        _ => TraceError::Damaged(format!("{within} cannot be decompressed: {error}")),
    }
}
