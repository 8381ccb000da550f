//! Whatever a migration could do to a page, its version or both, the next write or sweep finds it, once.

use crate::content::{Content, Generator, PAGE_BYTES};
use crate::ledger::{Ledger, Mismatch, Pages, VERSION_TABLE};

const PAGES: u64 = 8;
const FIRST_NUMBER: u64 = 100;

/// Memory that a test can put back to an earlier state behind the ledger's back.
#[derive(Clone)]
struct Memory {
    pages: Vec<[u8; PAGE_BYTES]>,
    versions: Vec<u32>,
}

impl Pages for &mut Memory {
    fn pages(&self) -> u64 {
        PAGES
    }
    fn number(&self, page: u64) -> u64 {
        FIRST_NUMBER + page
    }
    fn address(&self, page: u64) -> u64 {
        page * PAGE_BYTES as u64
    }
    fn page(&self, page: u64) -> &[u8; PAGE_BYTES] {
        &self.pages[page as usize]
    }
    fn page_mut(&mut self, page: u64) -> &mut [u8; PAGE_BYTES] {
        &mut self.pages[page as usize]
    }
    fn version(&self, page: u64) -> u32 {
        self.versions[page as usize]
    }
    fn set_version(&mut self, page: u64, version: u32) {
        self.versions[page as usize] = version;
    }
}

type TestLedger<'a> = Ledger<'a, &'a mut Memory>;

/// Runs `test` with a filled ledger for each content and some sizes of writes.
fn with_ledgers(test: impl Fn(&mut TestLedger<'_>)) {
    for content in [Content::Zero, Content::Text, Content::Random] {
        for write_bytes in [8, 64, 4096] {
            let mut generator = Box::new(Generator::empty());
            generator.prepare(content, 1, write_bytes);
            let mut memory =
                Memory { pages: vec![[0xee; PAGE_BYTES]; PAGES as usize], versions: vec![9; PAGES as usize] };
            test(&mut Ledger::fill(&mut memory, &generator));
        }
    }
}

/// All that one sweep finds.
fn sweep(ledger: &mut TestLedger<'_>) -> Vec<Mismatch> {
    (0..PAGES).filter_map(|_| ledger.sweep().err()).collect()
}

fn write_all(ledger: &mut TestLedger<'_>) {
    (0..PAGES).for_each(|page| ledger.write(page).unwrap());
}

#[test]
fn undamaged_memory_is_right_at_every_moment() {
    with_ledgers(|ledger| {
        for round in 0..50 {
            // The writes fall before, at and behind the sweep's cursor.
            ledger.write(round * 5 % PAGES).unwrap();
            ledger.sweep().unwrap();
            ledger.write(round * 3 % PAGES).unwrap();
        }
        assert_eq!(ledger.sweeps(), 50 / PAGES);
    });
}

#[test]
fn a_flipped_bit_anywhere_is_found_once() {
    with_ledgers(|ledger| {
        write_all(ledger);
        for (page, byte, bit) in [(0, 0, 0), (1, 7, 7), (2, 8, 1), (3, 63, 2), (4, 64, 3), (7, 4095, 6)] {
            ledger.pages_mut().pages[page][byte] ^= 1 << bit;
            let found = sweep(ledger);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].page, FIRST_NUMBER + page as u64);
            assert_eq!(found[0].address, (page * PAGE_BYTES + byte / 8 * 8) as u64);
            assert_eq!(found[0].expected ^ found[0].found, 1 << (byte % 8 * 8 + bit));
            assert_eq!(sweep(ledger), []);
        }
    });
}

#[test]
fn a_lost_write_is_found_by_the_sweep() {
    with_ledgers(|ledger| {
        let before = ledger.pages_mut().clone();
        write_all(ledger);
        ledger.pages_mut().pages[5] = before.pages[5];
        assert_eq!(sweep(ledger).iter().map(|bad| bad.page).collect::<Vec<_>>(), [FIRST_NUMBER + 5]);
        assert_eq!(sweep(ledger), []);
    });
}

#[test]
fn a_lost_write_is_found_by_the_next_write_too() {
    with_ledgers(|ledger| {
        write_all(ledger);
        let before = ledger.pages_mut().clone();
        write_all(ledger);
        ledger.pages_mut().pages[5] = before.pages[5];
        assert_eq!(ledger.write(5).unwrap_err().page, FIRST_NUMBER + 5);
        assert_eq!(sweep(ledger), []);
    });
}

#[test]
fn a_page_in_the_place_of_another_is_found() {
    with_ledgers(|ledger| {
        write_all(ledger);
        ledger.pages_mut().pages[2] = ledger.pages_mut().pages[3];
        assert_eq!(sweep(ledger).iter().map(|bad| bad.page).collect::<Vec<_>>(), [FIRST_NUMBER + 2]);
    });
}

#[test]
fn an_old_version_table_is_found() {
    with_ledgers(|ledger| {
        let before = ledger.pages_mut().clone();
        write_all(ledger);
        ledger.pages_mut().versions = before.versions;
        assert!(sweep(ledger).len() >= PAGES as usize - 1);
    });
}

#[test]
fn an_old_page_with_its_old_version_is_found_by_the_sum() {
    with_ledgers(|ledger| {
        let before = ledger.pages_mut().clone();
        write_all(ledger);
        ledger.pages_mut().pages[4] = before.pages[4];
        ledger.pages_mut().versions[4] = before.versions[4];
        let expected = Mismatch { page: VERSION_TABLE, address: 0, expected: 8, found: 7 };
        assert_eq!(sweep(ledger), [expected]);
        assert_eq!(sweep(ledger), []);
    });
}

#[test]
fn the_deliberate_damages_are_found() {
    with_ledgers(|ledger| {
        ledger.flip_bit();
        assert_eq!(sweep(ledger).iter().map(|bad| bad.page).collect::<Vec<_>>(), [FIRST_NUMBER + PAGES - 1]);
        ledger.lose_write().unwrap();
        assert_eq!(sweep(ledger).iter().map(|bad| bad.page).collect::<Vec<_>>(), [FIRST_NUMBER]);
        assert_eq!(sweep(ledger), []);
    });
}

#[test]
fn versions_may_wrap() {
    with_ledgers(|ledger| {
        ledger.pages_mut().versions.fill(u32::MAX - 1);
        assert!(!sweep(ledger).is_empty());
        for _ in 0..3 {
            write_all(ledger);
        }
        assert_eq!(sweep(ledger), []);
        assert_eq!(ledger.pages_mut().versions, [2; PAGES as usize]);
    });
}
