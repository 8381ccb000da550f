//! What is measured of pages is what they hold.

use godwit_migration::{
    host::{HostError, PageBytes, PageSource},
    page::PageSet,
};

use super::{Content, Sampler};

const PAGES: u32 = 4096;

/// Every other page holds zeros, the others words that repeat themselves, or noise.
struct Guest {
    noise: bool,
}

impl PageSource for Guest {
    fn pages(&self) -> u32 {
        PAGES
    }

    fn read(&self, page: u32, into: &mut PageBytes) {
        into.fill(0);
        let mut state = u64::from(page) + 1;
        for word in into.chunks_exact_mut(8).filter(|_| page.is_multiple_of(2)) {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            word.copy_from_slice(&if self.noise { state } else { (state >> 33) % 1000 }.to_le_bytes());
        }
    }

    fn touched(&self, _: &mut PageSet) -> Result<(), HostError> {
        Ok(())
    }
}

fn content(noise: bool, resident: impl Iterator<Item = u32>) -> Content {
    let mut set = PageSet::empty(PAGES);
    resident.for_each(|page| set.insert(page));
    let content = Sampler::new(&Guest { noise }, &set).content();
    content.check().unwrap();
    content
}

#[test]
fn zeros_ratio_and_speed_are_found() {
    let words = content(false, 0..PAGES);
    // Every second page is looked at, from the first on.
    assert!(words.zero_share.abs() < f64::EPSILON, "{words:?}");
    let seen = content(false, 1..PAGES - 1000);
    assert!((seen.zero_share - 0.5).abs() < 0.1, "{seen:?}");
    // Zeros are not among what shrinks.
    assert!((seen.ratio / words.ratio - 1.0).abs() < 0.2, "{seen:?}, {words:?}");
    assert!(seen.ratio > 1.5, "{seen:?}");
    for slower in seen.slower {
        assert!(slower.ratio > 1.5 && slower.bytes_per_s > 1e5, "{seen:?}");
        assert!(seen.zstd_bytes_per_s > slower.bytes_per_s, "{seen:?}");
    }
}

#[test]
fn noise_does_not_shrink_and_nothing_says_nothing() {
    let seen = content(true, (0..PAGES).filter(|page| page.is_multiple_of(2)));
    assert!(seen.ratio < 1.01 && seen.zero_share.abs() < f64::EPSILON, "{seen:?}");
    let seen = content(false, 0..0);
    assert!(
        (seen.ratio - 1.0).abs() < f64::EPSILON && seen.zstd_bytes_per_s.abs() < f64::EPSILON,
        "{seen:?}"
    );
}
