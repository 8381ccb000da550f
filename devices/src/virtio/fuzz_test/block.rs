use vmm_sys_util::tempfile::TempFile;

use super::{
    SEQUENCES,
    hostile::{Request, Subject, attack, take_every_size},
};
use crate::{
    fuzz_test::Mutator,
    virtio::{
        Block, DiskConfig, VirtioMmio,
        driver_test::{BUFFERS, Driver, WRITE},
    },
};

const SECTORS: u64 = 256;
const SECTOR_BYTES: usize = 512;
/// In, out, flush, identify, discard, write-zeroes, and what is none.
const TYPES: [u32; 8] = [0, 1, 4, 8, 11, 13, 0, 1];

struct Disk {
    image: TempFile,
    queues: u16,
    readonly: bool,
    queue_size: u16,
}

fn image() -> TempFile {
    let image = TempFile::new().unwrap();
    image.as_file().set_len(SECTORS * SECTOR_BYTES as u64).unwrap();
    image
}

fn header(kind: u32, sector: u64) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &[0; 4], &sector.to_le_bytes()].concat()
}

impl Subject for Disk {
    type Device = Block;

    fn fresh(&mut self) -> Block {
        let mut config = DiskConfig::new(self.image.as_path());
        (config.num_queues, config.readonly) = (self.queues, self.readonly);
        config.queue_size = self.queue_size;
        Block::open(&config).unwrap()
    }

    fn request(&mut self, _: usize, mutator: &mut Mutator) -> Request {
        let kind = TYPES[mutator.below(TYPES.len())];
        let sector = [mutator.below(SECTORS as usize) as u64, mutator.next()][mutator.below(16) / 15];
        let bytes = SECTOR_BYTES * mutator.below(9);
        let mut says = header(kind, sector);
        let room = match kind {
            1 => {
                says.resize(says.len() + bytes, 0xd0);
                1
            }
            0 => bytes + 1,
            8 => 21,
            11 | 13 => {
                for _ in 0..1 + mutator.below(18) {
                    says.extend((mutator.below(SECTORS as usize) as u64).to_le_bytes());
                    says.extend((mutator.below(16) as u32).to_le_bytes());
                    says.extend((mutator.below(2) as u32).to_le_bytes());
                }
                1
            }
            _ => 1,
        };
        Request { says, room }
    }

    /// The image grows.
    fn host(&mut self, device: &mut VirtioMmio<Block>, mutator: &mut Mutator) {
        let bytes = device.device().bytes() + (mutator.below(2) * SECTOR_BYTES) as u64;
        let _ = device.update(|disk| disk.resize(Some(bytes)));
    }

    fn serves(&mut self, driver: &mut Driver<Block>) {
        let mut ask = |kind, data: (u64, u32, u16)| {
            driver.put(BUFFERS, &header(kind, 3));
            driver.put(BUFFERS + 0x800, &[0x55]);
            driver.offer(0, &[(BUFFERS, 16, 0), data, (BUFFERS + 0x800, 1, WRITE)]);
            driver.notify(0);
            driver.turn_until(|driver| Some(driver.used(0)).filter(|used| !used.is_empty()));
            (driver.bytes(BUFFERS + 0x800, 1)[0], driver.bytes(BUFFERS + 0x2000, SECTOR_BYTES))
        };
        let written = ask(1, (BUFFERS + 0x1000, SECTOR_BYTES as u32, 0)).0;
        assert_eq!(written, u8::from(self.readonly), "of a write");
        let (status, read) = ask(0, (BUFFERS + 0x2000, SECTOR_BYTES as u32, WRITE));
        assert_eq!(status, 0, "of a read");
        if !self.readonly {
            assert_eq!(read, driver.bytes(BUFFERS + 0x1000, SECTOR_BYTES));
        }
    }
}

#[test]
fn a_hostile_driver_of_a_disk() {
    attack(22, SEQUENCES, |mutator| {
        let (queues, readonly) = (1 + mutator.below(3) as u16, mutator.below(8) == 0);
        Disk { image: image(), queues, readonly, queue_size: 128 }
    });
}

#[test]
fn a_disk_works_with_queues_of_every_size() {
    take_every_size(Disk { image: image(), queues: 2, readonly: false, queue_size: 1024 });
}
