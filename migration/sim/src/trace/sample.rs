//! What a guest's pages hold, by looking at some of them.

use std::time::{Duration, Instant};

use godwit_migration::{
    codec::{self, Encoding},
    host::PageSource,
    limits::PAGE_BYTES,
    page::PageSet,
    wire::LaneOut,
};

use super::Content;

/// Pages that are looked at, evenly spread.
const PAGES: u32 = 2048;
/// Most pages of a look: a lane's batch, also where most hold zeros.
const LOOK_PAGES: usize = 256;
/// Bytes of pages in a batch.
const BATCH_BYTES: f64 = 128.0 * 1024.0;
/// Looks when it begins, and between any two later: what a core does in a moment says little.
const FIRST_LOOKS: usize = 4;
const BETWEEN: Duration = Duration::from_millis(100);
/// Lanes that leave zeros out and compress all else: as everybody does, and as one does for a slow link.
const ENCODINGS: [&str; 2] = ["zero,zstd", "zero,zstd,level=3"];

/// Looks at pages again and again: how many hold zeros, and what a lane with zstd makes of the others, how fast.
pub struct Sampler<'a> {
    source: &'a dyn PageSource,
    pages: Vec<u32>,
    lanes: [Lane; 2],
    looked: Instant,
}

/// A lane that leads nowhere.
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
        let lanes = ENCODINGS.map(|encoding| {
            let encoding = Encoding::parse(encoding).expect("an encoding of this build");
            let mut out = LaneOut::new(&encoding);
            out.begin_round(1, false);
            Lane { out, next: 0, rates: vec![] }
        });
        let pages = resident.iter().step_by(every).take(PAGES as usize).collect();
        let mut sampler = Self { source, pages, lanes, looked: Instant::now() };
        (0..FIRST_LOOKS).for_each(|_| sampler.look());
        sampler
    }

    /// Looks once more, unless it has just done so.
    pub fn look_again(&mut self) {
        if self.looked.elapsed() >= BETWEEN {
            self.look();
        }
    }

    /// Each lane takes a batch.
    fn look(&mut self) {
        for lane in &mut self.lanes {
            let began = Instant::now();
            for _ in 0..LOOK_PAGES.min(self.pages.len()) {
                let page = self.pages[lane.next % self.pages.len()];
                lane.next += 1;
                if lane.out.page(page, self.source) {
                    lane.rates.push(BATCH_BYTES / began.elapsed().as_secs_f64());
                    break;
                }
            }
            lane.out.take();
        }
        self.looked = Instant::now();
    }

    /// What was seen; what differences to pages come to is not seen here.
    #[must_use]
    pub fn content(self) -> Content {
        let [(zero_share, ratio, zstd_bytes_per_s), (_, slow_ratio, slow_bytes_per_s)] =
            self.lanes.map(Lane::saw);
        Content { zero_share, ratio, zstd_bytes_per_s, slow_ratio, slow_bytes_per_s, ..Content::default() }
    }
}

impl Lane {
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
