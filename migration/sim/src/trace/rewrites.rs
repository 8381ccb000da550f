//! What of the pages found dirty was written, and what a difference to it comes to, by keeping copies of some of them.
//!
//! KVM calls a page dirty when it makes it writable for the guest, and without two-dimensional paging it does so also for a
//! guest that only reads: where one write to a huge page has split it, each other page of it is found dirty by whoever
//! looks at it next, once. A scheme meets that once, too; a record that is played again and again would meet it for ever. So
//! a trace holds such pages apart.

use godwit_migration::{
    codec::{self, Codec, Coded},
    host::{PageBytes, PageSource},
    limits::PAGE_BYTES,
    page::PageSet,
};

use super::{Trace, tape::mix};

/// Pages of which copies are kept, evenly spread.
const PAGES: u32 = 2048;
/// The most differences that are looked at after one harvest.
const MOST_DELTAS: usize = 128;
/// Pages found dirty so often, or more often, were written the first time, too: told apart are those found once, twice, and so on.
const OFTEN: usize = 16;
/// Bytes of differences that are compressed together.
const MOST_TOGETHER: usize = 1 << 20;
/// Bytes that a page with differences takes beside these: its length.
const LENGTH_BYTES: usize = 2;

/// Copies of some pages, and what became of them.
pub struct Rewrites<'a> {
    source: &'a dyn PageSource,
    copies: Vec<Copy>,
    coder: Box<dyn Codec>,
    /// Pages that were written, and what they came to as differences.
    deltas: u64,
    delta_bytes: u64,
    /// The first of these differences, one after the other, to be compressed together.
    together: Vec<u8>,
}

struct Copy {
    page: u32,
    bytes: Box<PageBytes>,
    /// Harvests that found it dirty, and whether the first of them found anything else in it.
    found: usize,
    was_written: bool,
}

impl<'a> Rewrites<'a> {
    /// Copies some of the `resident` pages of `source`. Tracking has begun.
    #[must_use]
    pub fn new(source: &'a dyn PageSource, resident: &PageSet) -> Self {
        let every = (resident.count() / PAGES).max(1) as usize;
        let copy = |page| {
            let mut bytes = Box::new([0; PAGE_BYTES]);
            source.read(page, &mut bytes);
            Copy { page, bytes, found: 0, was_written: false }
        };
        let copies = resident.iter().step_by(every).take(PAGES as usize).map(copy).collect();
        let row = codec::by_name("xbzrle").expect("a codec of this build");
        Self { source, copies, coder: (row.make)(), deltas: 0, delta_bytes: 0, together: vec![] }
    }

    /// These pages were found dirty.
    pub fn harvested(&mut self, dirty: &PageSet) {
        let (mut now, mut out, mut looks) = ([0; PAGE_BYTES], vec![], MOST_DELTAS);
        for copy in self.copies.iter_mut().filter(|copy| dirty.contains(copy.page)) {
            copy.found += 1;
            if copy.found > 1 && looks == 0 {
                continue;
            }
            self.source.read(copy.page, &mut now);
            let was_written = now != *copy.bytes;
            copy.was_written |= was_written && copy.found == 1;
            let had_content = copy.bytes.iter().any(|&byte| byte != 0);
            if was_written && had_content && looks > 0 {
                looks -= 1;
                self.coder.sent(copy.page, &copy.bytes, codec::RAW, true);
                out.clear();
                let coded = self.coder.encode(copy.page, &now, &mut out);
                let bytes = if coded == Coded::Declined { PAGE_BYTES } else { out.len() + LENGTH_BYTES };
                self.deltas += 1;
                self.delta_bytes += bytes as u64;
                if coded != Coded::Declined && self.together.len() < MOST_TOGETHER {
                    self.together.extend((out.len() as u16).to_le_bytes());
                    self.together.extend_from_slice(&out);
                }
            }
            *copy.bytes = now;
        }
    }

    /// How many times smaller than a page its differences are, on average; `None` where nothing was written.
    #[must_use]
    pub fn delta_ratio(&self) -> Option<f64> {
        let pages = (self.deltas * PAGE_BYTES as u64) as f64;
        (self.deltas > 0).then(|| (pages / self.delta_bytes as f64).clamp(1.0, 4096.0))
    }

    /// How many times smaller such differences become together by zstd, at the level that lanes begin with.
    #[must_use]
    pub fn packed_deltas(&self) -> f64 {
        let packed = zstd::bulk::compress(&self.together, 1).map_or(usize::MAX, |packed| packed.len());
        (self.together.len() as f64 / packed.max(1) as f64).clamp(1.0, 4096.0)
    }

    /// Sets apart in `trace`, in which all harvests are, as many of the first times that a page was found dirty as were only
    /// reads among the copies.
    pub fn set_reads_apart(&self, trace: &mut Trace) {
        let mut reads = [0.0; OFTEN];
        for (found, share) in reads.iter_mut().enumerate().skip(1) {
            let such = || self.copies.iter().filter(|copy| copy.found == found);
            *share = such().filter(|copy| !copy.was_written).count() as f64 / such().count().max(1) as f64;
        }
        trace.firsts_are_reads(|page, found| {
            let share = reads.get(found as usize).copied().unwrap_or_default();
            (mix(u64::from(page) ^ 0x0EAD) as f64) < share * u64::MAX as f64
        });
    }
}
