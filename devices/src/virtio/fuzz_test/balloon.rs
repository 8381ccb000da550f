use std::ops::Range;

use super::{
    SEQUENCES,
    guard::{Buffer, REGIONS},
    hostile::{Request, Subject, attack, take_every_size},
};
use crate::{
    fuzz_test::Mutator,
    virtio::{
        Balloon, VirtioMmio,
        driver_test::{BUFFERS, Driver},
    },
};

const PAGE: u64 = 4096;
const INFLATE: usize = 0;
const REPORTS: usize = 4;

struct Memory;

impl Subject for Memory {
    type Device = Balloon;

    fn fresh(&mut self) -> Balloon {
        Balloon::new(&"size=64K,deflate_on_oom=on,free_page_reporting=on".parse().unwrap())
    }

    fn request(&mut self, queue: usize, mutator: &mut Mutator) -> Request {
        let page = |mutator: &mut Mutator| {
            let (first, pages) = (REGIONS[1].start / PAGE, (REGIONS[1].end - REGIONS[1].start) / PAGE);
            let page = first as u32 + mutator.below(pages as usize) as u32;
            [page, mutator.next() as u32 & 0xfff][mutator.below(64) / 63]
        };
        let count = 1 + mutator.below(20);
        match queue {
            0 | 1 => {
                Request { says: (0..count).flat_map(|_| page(mutator).to_le_bytes()).collect(), room: 0 }
            }
            2 => Request { says: (0..10 * count).map(|at| at as u8).collect(), room: 0 },
            3 if mutator.below(2) == 0 => {
                Request { says: (mutator.below(6) as u32).to_le_bytes().into(), room: 0 }
            }
            _ => Request { says: vec![], room: PAGE as usize * (1 + mutator.below(16)) },
        }
    }

    fn host(&mut self, device: &mut VirtioMmio<Balloon>, mutator: &mut Mutator) {
        let bytes = PAGE * mutator.below(64) as u64;
        device.update(|balloon| match mutator.below(6) {
            0 => balloon.set_target_bytes(bytes),
            1 => drop(balloon.ask_statistics()),
            2 => balloon.ask_free(),
            3 => drop(balloon.more_free()),
            4 => drop(balloon.take_free()),
            _ => balloon.end_free(),
        });
    }

    fn released(queue: usize, buffer: &Buffer) -> Vec<Range<u64>> {
        let numbers = buffer.holds.as_chunks().0.iter().map(|number| u64::from(u32::from_le_bytes(*number)));
        // A released page of numbers names the first one.
        let pages = numbers.chain([0]).map(|page| page * PAGE..(page + 1) * PAGE);
        match queue {
            INFLATE => pages.collect(),
            REPORTS => vec![buffer.at.clone()],
            _ => vec![],
        }
    }

    fn serves(&mut self, driver: &mut Driver<Balloon>) {
        let given = BUFFERS + 8 * PAGE;
        driver.put(given, &[0x77; 16]);
        driver.put(BUFFERS, &((given / PAGE) as u32).to_le_bytes());
        let head = driver.offer(INFLATE, &[(BUFFERS, 4, 0)]);
        driver.notify(INFLATE);
        assert_eq!(driver.used(INFLATE), [(head, 0)]);
        assert_eq!(driver.bytes(given, 16), [0; 16], "the page is given back");
    }
}

#[test]
fn a_hostile_driver_of_a_balloon() {
    attack(24, SEQUENCES, |_| Memory);
}

#[test]
fn a_balloon_works_with_queues_of_every_size() {
    take_every_size(Memory);
}
