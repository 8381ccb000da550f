//! What a guest's pages hold, by looking at some of them.

use std::{
    array,
    time::{Duration, Instant},
};

use godwit_migration::{
    codec::{self, Encoding},
    host::PageSource,
    limits::PAGE_BYTES,
    page::PageSet,
    wire::{LEVELS, LaneOut},
};

use super::{Content, SLOWER, Slower};

/// Pages that are looked at, evenly spread.
const PAGES: u32 = 2048;
/// Most pages of a look: a lane's batch, also where most hold zeros.
const LOOK_PAGES: usize = 256;
/// Bytes of pages in a batch.
const BATCH_BYTES: f64 = 128.0 * 1024.0;
/// Looks when it begins, and between any two later: what a core does in a moment says little.
const FIRST_LOOKS: usize = 2 * SLOWER;
const BETWEEN: Duration = Duration::from_millis(100);

/// Looks at pages again and again: how many hold zeros, and what a lane with zstd makes of the others, how fast.
pub struct Sampler<'a> {
    source: &'a dyn PageSource,
    pages: Vec<u32>,
    /// Level 1, as everybody does.
    fast: Lane,
    /// As one does for a slow link. Each look is of one of them, in turn.
    slower: [Lane; SLOWER],
    looks: usize,
    looked: Instant,
}

/// A lane that leads nowhere, leaves zeros out and compresses all else.
struct Lane {
    out: LaneOut,
    next: usize,
    /// Bytes of pages in a second, of each full batch.
    rates: Vec<f64>,
}

impl<'a> Sampler<'a> {
    /// Looks at some of the `resident` pages of `source`.
    #[must_use]
    pub fn new(source: &'a dyn PageSource, resident: &PageSet) -> Self {
        let every = (resident.count() / PAGES).max(1) as usize;
        let pages = resident.iter().step_by(every).take(PAGES as usize).collect();
        let (fast, slower) = (Lane::new(LEVELS[0]), array::from_fn(|n| Lane::new(LEVELS[n + 1])));
        let mut sampler = Self { source, pages, fast, slower, looks: 0, looked: Instant::now() };
        (0..FIRST_LOOKS).for_each(|_| sampler.look());
        sampler
    }

    /// Looks once more, unless it has just done so.
    pub fn look_again(&mut self) {
        if self.looked.elapsed() >= BETWEEN {
            self.look();
        }
    }

    /// The first lane and another take a batch.
    fn look(&mut self) {
        self.fast.take(&self.pages, self.source);
        self.slower[self.looks % SLOWER].take(&self.pages, self.source);
        self.looks += 1;
        self.looked = Instant::now();
    }

    /// What was seen; what differences to pages come to is not seen here.
    #[must_use]
    pub fn content(self) -> Content {
        let (zero_share, ratio, zstd_bytes_per_s) = self.fast.saw();
        let slower = self.slower.map(|lane| {
            let (_, ratio, bytes_per_s) = lane.saw();
            Slower { ratio, bytes_per_s }
        });
        Content { zero_share, ratio, zstd_bytes_per_s, slower, ..Content::default() }
    }
}

impl Lane {
    fn new(level: i32) -> Self {
        let encoding =
            Encoding::parse(&format!("zero,zstd,level={level}")).expect("an encoding of this build");
        let mut out = LaneOut::new(&encoding);
        out.begin_round(1, false);
        Self { out, next: 0, rates: vec![] }
    }

    /// Takes a batch of these pages, from where it has come to.
    fn take(&mut self, pages: &[u32], source: &dyn PageSource) {
        let began = Instant::now();
        for _ in 0..LOOK_PAGES.min(pages.len()) {
            let page = pages[self.next % pages.len()];
            self.next += 1;
            if self.out.page(page, source) {
                self.rates.push(BATCH_BYTES / began.elapsed().as_secs_f64());
                break;
            }
        }
        self.out.take();
    }

    /// Share of zeros, ratio of the others, and bytes of these in a second.
    fn saw(mut self) -> (f64, f64, f64) {
        let totals = self.out.end_round(true);
        let zeros = totals.by_codec[usize::from(codec::ZERO)];
        let others = (totals.pages - zeros) as f64 * PAGE_BYTES as f64;
        let ratio = if others > 0.0 { (others / totals.wire_bytes as f64).clamp(1.0, 4096.0) } else { 1.0 };
        // A batch in which the thread lost its CPU says nothing of the coder: the best tenth begins here.
        self.rates.sort_by(f64::total_cmp);
        let rate = self.rates.get(self.rates.len() * 9 / 10).copied().unwrap_or_default();
        (zeros as f64 / (totals.pages as f64).max(1.0), ratio, rate)
    }
}
