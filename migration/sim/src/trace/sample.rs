//! What a guest's pages hold, by looking at some of them.

use std::time::Instant;

use godwit_migration::{
    codec::{self, Encoding},
    host::PageSource,
    limits::PAGE_BYTES,
    page::PageSet,
    wire::LaneOut,
};

use super::Content;

/// Pages that are looked at.
const PAGES: u32 = 512;
/// A lane that leaves zeros out and compresses all else.
const ENCODING: &str = "zero,zstd";
/// What a delta is taken to save until somebody measures it: small writes to many pages.
const DELTA_RATIO: f64 = 20.0;

/// Looks at up to 512 of the `resident` pages, evenly spread: how many hold zeros, and what a lane with zstd at level 1 makes
/// of the others, how fast. The delta ratio is not measured.
#[must_use]
pub fn sample(source: &dyn PageSource, resident: &PageSet) -> Content {
    let every = (resident.count() / PAGES).max(1) as usize;
    let encoding = Encoding::parse(ENCODING).expect("an encoding of this build");
    let mut lane = LaneOut::new(&encoding);
    lane.begin_round(1, false);
    let (mut pages_before, mut rates) = (0, vec![]);
    let mut began = Instant::now();
    for page in resident.iter().step_by(every).take(PAGES as usize) {
        if lane.page(page, source) {
            lane.take();
            let pages = lane.round_pages();
            rates.push((pages - pages_before) as f64 * PAGE_BYTES as f64 / began.elapsed().as_secs_f64());
            (pages_before, began) = (pages, Instant::now());
        }
    }
    let totals = lane.end_round(true);
    let zeros = totals.by_codec[usize::from(codec::ZERO)];
    let (others, wire) = ((totals.pages - zeros) as f64 * PAGE_BYTES as f64, totals.wire_bytes as f64);
    // A batch in which the thread lost its CPU says nothing of the coder: of four, the best but one counts.
    rates.sort_by(f64::total_cmp);
    Content {
        zero_share: zeros as f64 / (totals.pages as f64).max(1.0),
        ratio: if others > 0.0 { (others / wire).clamp(1.0, 4096.0) } else { 1.0 },
        delta_ratio: DELTA_RATIO,
        zstd_bytes_per_s: rates.get(rates.len() * 3 / 4).copied().unwrap_or_default(),
    }
}
