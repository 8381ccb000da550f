//! What a guest's pages hold, by looking at some of them.

use godwit_migration::{host::PageSource, limits::PAGE_BYTES, page::PageSet};

use super::Content;

/// Pages that are looked at.
const PAGES: u32 = 512;
/// What a delta is taken to save until somebody measures it: small writes to many pages.
const DELTA_RATIO: f64 = 20.0;

/// Looks at up to 512 of the `resident` pages, evenly spread: how many hold zeros, and how well zstd at level 1 does with
/// 16 of the others at a time. The delta ratio is not measured.
#[must_use]
pub fn sample(source: &dyn PageSource, resident: &PageSet) -> Content {
    let every = (resident.count() / PAGES).max(1) as usize;
    let (mut seen, mut zeros, mut before, mut after) = (0u32, 0u32, 0usize, 0usize);
    let mut batch = Vec::with_capacity(16 * PAGE_BYTES);
    let mut page = [0; PAGE_BYTES];
    let mut compress = |batch: &mut Vec<u8>| {
        if let Ok(small) = zstd::bulk::compress(batch, 1) {
            before += batch.len();
            after += small.len();
        }
        batch.clear();
    };
    for number in resident.iter().step_by(every).take(PAGES as usize) {
        source.read(number, &mut page);
        seen += 1;
        if page == [0; PAGE_BYTES] {
            zeros += 1;
            continue;
        }
        batch.extend_from_slice(&page);
        if batch.len() >= 16 * PAGE_BYTES {
            compress(&mut batch);
        }
    }
    if !batch.is_empty() {
        compress(&mut batch);
    }
    let ratio = if after > 0 { (before as f64 / after as f64).clamp(1.0, 4096.0) } else { 1.0 };
    Content { zero_share: f64::from(zeros) / f64::from(seen.max(1)), ratio, delta_ratio: DELTA_RATIO }
}
