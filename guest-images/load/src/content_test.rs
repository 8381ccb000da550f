//! Content is what its name says, differs from page to page, and is the same each time.

use crate::content::{Content, Generator, PAGE_BYTES, Random, Scratch};

fn generator(content: Content, seed: u64, write_bytes: usize) -> Box<Generator> {
    let mut generator = Box::new(Generator::empty());
    generator.prepare(content, seed, write_bytes);
    generator
}

fn page(generator: &Generator, number: u64, version: u32) -> Vec<u8> {
    let mut scratch = Scratch::new();
    generator.page(number, version, &mut scratch);
    scratch.page().to_vec()
}

fn compressed_bytes(bytes: &[u8]) -> usize {
    zstd::bulk::compress(bytes, 1).unwrap().len()
}

#[test]
fn text_compresses_as_text_does() {
    let generator = generator(Content::Text, 1, 64);
    let pages: Vec<u8> = (0..256).flat_map(|number| page(&generator, number, 0)).collect();
    let alone: usize = pages.chunks(PAGE_BYTES).map(compressed_bytes).sum();
    let alone = pages.len() as f64 / alone as f64;
    assert!((2.3..2.7).contains(&alone), "page by page: {alone}");
    let together = pages.len() as f64 / compressed_bytes(&pages) as f64;
    assert!((2.5..3.1).contains(&together), "256 pages together: {together}");
}

#[test]
fn random_does_not_compress() {
    let generator = generator(Content::Random, 1, 64);
    for number in 0..8 {
        assert!(compressed_bytes(&page(&generator, number, 0)) >= PAGE_BYTES);
    }
}

#[test]
fn zero_is_zero_until_it_is_written() {
    let generator = generator(Content::Zero, 1, 64);
    assert_eq!(page(&generator, 5, 0), vec![0; PAGE_BYTES]);
    let written = page(&generator, 5, 1);
    assert!(written[8..64].iter().all(|&byte| byte != 0));
    assert!(written[64..].iter().all(|&byte| byte == 0));
}

#[test]
fn seed_page_and_version_each_make_a_difference_and_nothing_else_does() {
    for content in [Content::Text, Content::Random] {
        let one = generator(content, 1, 64);
        let first = page(&one, 7, 3);
        assert_eq!(first, page(&one, 7, 3));
        assert_ne!(first, page(&one, 8, 3));
        assert_ne!(first, page(&one, 7, 4));
        assert_ne!(first, page(&generator(content, 2, 64), 7, 3));
    }
}

#[test]
fn a_write_replaces_exactly_its_bytes() {
    for content in [Content::Zero, Content::Text, Content::Random] {
        for write_bytes in [8, 16, 64, 4088, 4096] {
            let generator = generator(content, 1, write_bytes);
            let (before, after) = (page(&generator, 3, 0), page(&generator, 3, 9));
            assert_eq!(before[write_bytes..], after[write_bytes..], "{content:?} {write_bytes}");
            let mut expected = Scratch::new();
            generator.written(3, 9, &mut expected);
            assert_eq!(expected.page()[..write_bytes], after[..write_bytes], "{content:?} {write_bytes}");
            let changed =
                (0..write_bytes / 8).filter(|&word| before[8 * word..][..8] != after[8 * word..][..8]);
            assert_eq!(changed.count(), write_bytes / 8, "{content:?} {write_bytes}");
        }
    }
}

#[test]
fn neighbouring_pages_and_versions_have_different_stamps() {
    let generator = generator(Content::Text, 1, 8);
    let mut stamps: Vec<u64> = (0..1000)
        .flat_map(|page| [0, 1, 2, u32::MAX].map(|version| generator.stamp(page, version)))
        .collect();
    stamps.sort_unstable();
    stamps.dedup();
    assert_eq!(stamps.len(), 4000);
}

#[test]
fn numbers_below_a_limit_stay_below_and_reach_all() {
    let mut random = Random::new(1);
    let mut seen = [false; 10];
    (0..1000).for_each(|_| seen[random.below(10) as usize] = true);
    assert_eq!(seen, [true; 10]);
    assert_eq!(random.below(0), 0);
}
