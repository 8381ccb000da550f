//! The disk does what its driver asks, honestly, and lets no driver make it panic, spin or lose a request.

use godwit_state::Save;
use proptest::prelude::*;
use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_RO, VIRTIO_BLK_F_WRITE_ZEROES,
    VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
    VIRTIO_BLK_T_WRITE_ZEROES,
};
use vm_memory::{GuestAddress, GuestMemoryBackend, bitmap::Bitmap};

use super::{
    DiskConfig,
    test_disk::{Buffer, DATA, Disk, SIZE, WRITE},
    work::AT_ONCE_BYTES,
};
use crate::{
    Lifecycle, MmioDevice,
    rate_limiter::{RateLimiterConfig, TokenBucketConfig},
    virtio::registers::*,
};

const OK: u8 = 0;
const IOERR: u8 = 1;
const UNSUPP: u8 = 2;
const FLUSH: u64 = 1 << VIRTIO_BLK_F_FLUSH;
const SECTORS: u64 = 64;

fn disk() -> Disk {
    Disk::ready(SECTORS, FLUSH, |_| {})
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

#[test]
fn what_is_written_is_in_the_image_and_read_back() {
    let mut disk = disk();
    let bytes = pattern(1024);
    disk.put(DATA, &bytes);
    let halves: [Buffer; 2] = [(DATA, 700, 0), (DATA + 700, 324, 0)];
    assert_eq!(disk.request(VIRTIO_BLK_T_OUT, 3, &halves), OK);
    assert_eq!(disk.answer(0), [0, 1], "only the status was written");
    assert_eq!(disk.image_bytes()[3 * 512..][..1024], bytes);
    assert_eq!(disk.request(VIRTIO_BLK_T_IN, 3, &[(DATA + 0x4001, 1024, WRITE)]), OK);
    assert_eq!(disk.answer(1), [0, 1025]);
    assert_eq!(disk.get(DATA + 0x4001, 1024), bytes);
    assert!(disk.irq.event().read().is_ok());
    assert_eq!(disk.read(INTERRUPT_STATUS), INTERRUPT_USED);
    assert_eq!(disk.request(VIRTIO_BLK_T_FLUSH, 0, &[]), OK);
}

#[test]
fn header_and_status_may_lie_in_any_descriptor() {
    let mut disk = disk();
    disk.put(DATA, &[VIRTIO_BLK_T_OUT as u8, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
    disk.put(DATA + 16, &pattern(512));
    disk.offer(0, 0, &[(DATA, 9, 0), (DATA + 9, 100, 0), (DATA + 109, 419, 0), (DATA + 0x1000, 1, WRITE)]);
    disk.turn_until(|disk| disk.used(0) == 1);
    assert_eq!(disk.image_bytes()[5 * 512..][..512], pattern(512));
    // Data and status in one.
    disk.put(DATA, &[VIRTIO_BLK_T_IN as u8]);
    disk.put(DATA + 0x2200, &[0x55]);
    disk.offer(0, 0, &[(DATA, 16, 0), (DATA + 0x2000, 513, WRITE)]);
    disk.turn_until(|disk| disk.used(0) == 2);
    assert_eq!(disk.get(DATA + 0x2000, 512), pattern(512));
    assert_eq!(disk.get(DATA + 0x2200, 1), [OK]);
}

#[test]
fn every_page_that_is_read_into_is_marked_dirty() {
    // At once from the page cache, and by a thread.
    for len in [0x600, AT_ONCE_BYTES + 0x1000] {
        let mut disk = Disk::ready(2 * AT_ONCE_BYTES / 512, FLUSH, |_| {});
        let region = disk.memory.find_region(GuestAddress(0)).unwrap().get_mmap();
        disk.ask(0, 0, VIRTIO_BLK_T_IN, 0, &[(DATA + 0xf00, len as u32, WRITE)]);
        region.bitmap().reset();
        disk.turn_until(|disk| disk.used(0) == 1);
        let dirty: Vec<u64> =
            (0..0x80_0000 >> 12_u64).filter(|page| region.bitmap().dirty_at((page << 12) as usize)).collect();
        let wanted = DATA >> 12..=(DATA + 0xf00 + len - 1) >> 12;
        assert!(wanted.clone().all(|page| dirty.contains(&page)), "{dirty:x?}");
        // Besides them the status and the used ring.
        assert_eq!(dirty.len(), wanted.count() + 2, "{dirty:x?}");
    }
}

#[test]
fn an_image_that_became_shorter_is_no_success() {
    let mut disk = disk();
    disk.image.as_file().set_len(700).unwrap();
    for (sector, data) in [(0, 1024), (1, 512), (8, 512)] {
        assert_eq!(
            disk.request(VIRTIO_BLK_T_IN, sector, &[(DATA, data, WRITE)]),
            IOERR,
            "{data} at {sector}"
        );
    }
    assert_eq!(disk.request(VIRTIO_BLK_T_IN, 0, &[(DATA, 512, WRITE)]), OK);
}

#[test]
fn what_cannot_be_is_answered_with_an_error_and_changes_nothing() {
    let mut disk = disk();
    disk.put(DATA, &[0xff; 4096]);
    let whole: &[Buffer] = &[(DATA, 1024, 0)];
    let cases: [(&str, u32, u64, &[Buffer], u8); 12] = [
        ("beyond the end", VIRTIO_BLK_T_OUT, SECTORS - 1, whole, IOERR),
        ("at the end of numbers", VIRTIO_BLK_T_OUT, u64::MAX, whole, IOERR),
        ("a sector whose byte overflows", VIRTIO_BLK_T_OUT, u64::MAX / 512, whole, IOERR),
        ("part of a sector", VIRTIO_BLK_T_OUT, 0, &[(DATA, 513, 0)], IOERR),
        ("read beyond the end", VIRTIO_BLK_T_IN, SECTORS, &[(DATA, 512, WRITE)], IOERR),
        ("an unknown type", 99, 0, whole, UNSUPP),
        ("a serial number into too little", VIRTIO_BLK_T_GET_ID, 0, &[(DATA, 19, WRITE)], IOERR),
        ("a discard of nothing", VIRTIO_BLK_T_DISCARD, 0, &[], IOERR),
        ("half a segment", VIRTIO_BLK_T_DISCARD, 0, &[(DATA, 8, 0)], IOERR),
        ("a segment with flags that there are not", VIRTIO_BLK_T_WRITE_ZEROES, 0, &[(DATA, 16, 0)], UNSUPP),
        ("too many segments", VIRTIO_BLK_T_DISCARD, 0, &[(DATA, 17 * 16, 0)], IOERR),
        (
            "a read into one buffer again and again",
            VIRTIO_BLK_T_IN,
            0,
            &[(DATA, 64 * 512, WRITE), (DATA, 512, WRITE)],
            IOERR,
        ),
    ];
    for (case, kind, sector, data, status) in cases {
        assert_eq!(disk.request(kind, sector, data), status, "{case}");
    }
    assert!(disk.image_bytes().iter().all(|byte| *byte == 0));
    assert!(!disk.needs_reset());
}

/// A segment, as it stands in memory.
fn segment(sector: u64, sectors: u32, flags: u32) -> Vec<u8> {
    [&sector.to_le_bytes()[..], &sectors.to_le_bytes(), &flags.to_le_bytes()].concat()
}

#[test]
fn discard_and_zeroes_touch_their_segments_only() {
    let features = FLUSH | 1 << VIRTIO_BLK_F_DISCARD | 1 << VIRTIO_BLK_F_WRITE_ZEROES;
    let mut disk = Disk::ready(SECTORS, features, |_| {});
    disk.put(DATA, &[0xee; 64 * 512]);
    assert_eq!(disk.request(VIRTIO_BLK_T_OUT, 0, &[(DATA, 64 * 512, 0)]), OK);
    let segments = [segment(2, 3, 0), segment(10, 1, 1)].concat();
    disk.put(DATA, &segments);
    // Across descriptors, at no boundary of theirs.
    assert_eq!(disk.request(VIRTIO_BLK_T_WRITE_ZEROES, 0, &[(DATA, 7, 0), (DATA + 7, 25, 0)]), OK);
    let image = disk.image_bytes();
    for (sector, bytes) in image.chunks(512).enumerate() {
        let expected = if [2, 3, 4, 10].contains(&sector) { 0 } else { 0xee };
        assert!(bytes.iter().all(|byte| *byte == expected), "sector {sector}");
    }
    disk.put(DATA, &segment(32, 16, 0));
    assert_eq!(disk.request(VIRTIO_BLK_T_DISCARD, 0, &[(DATA, 16, 0)]), OK);
    disk.put(DATA, &segment(60, 5, 0));
    assert_eq!(disk.request(VIRTIO_BLK_T_DISCARD, 0, &[(DATA, 16, 0)]), IOERR, "beyond the end");
    assert_eq!(disk.image_bytes()[..32 * 512], image[..32 * 512]);
}

#[test]
fn a_disk_that_can_only_be_read_says_so_and_holds_to_it() {
    let mut disk = Disk::ready(SECTORS, FLUSH | 1 << VIRTIO_BLK_F_RO, |config| config.readonly = true);
    disk.put(DATA, &[0xff; 512]);
    assert_eq!(disk.request(VIRTIO_BLK_T_OUT, 0, &[(DATA, 512, 0)]), IOERR);
    disk.put(DATA, &segment(0, 1, 0));
    for kind in [VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES] {
        assert_eq!(disk.request(kind, 0, &[(DATA, 16, 0)]), IOERR);
    }
    assert_eq!(disk.request(VIRTIO_BLK_T_IN, 0, &[(DATA, 512, WRITE)]), OK);
    assert_eq!(disk.request(VIRTIO_BLK_T_FLUSH, 0, &[]), OK);
}

#[test]
fn the_serial_number_is_told() {
    let mut disk = Disk::ready(SECTORS, FLUSH, |config| config.serial = Some("GW-0001".into()));
    disk.put(DATA, &[0xff; 20]);
    assert_eq!(disk.request(VIRTIO_BLK_T_GET_ID, 0, &[(DATA, 5, WRITE), (DATA + 5, 15, WRITE)]), OK);
    assert_eq!(disk.get(DATA, 20), b"GW-0001\0\0\0\0\0\0\0\0\0\0\0\0\0");
}

#[test]
fn the_configuration_space_tells_size_and_limits_at_any_width() {
    let disk = Disk::fresh(SECTORS, |config| config.num_queues = 3);
    let word = |offset| disk.read(CONFIG + offset);
    assert_eq!([0, 4, 12, 20, 36, 40, 48].map(word), [64, 0, 14, 512, 1 << 22, 16, 1 << 15]);
    assert_eq!(word(32) >> 16, 3, "queues");
    let mut whole = [0xff; 80];
    disk.device.lock().unwrap().read(CONFIG, &mut whole);
    assert!(whole[60..].iter().all(|byte| *byte == 0));
    for offset in 0..70 {
        let mut byte = [0xff];
        disk.device.lock().unwrap().read(CONFIG + offset, &mut byte);
        assert_eq!(byte[0], whole[offset as usize]);
    }
    let mut far = [0xff; 8];
    disk.device.lock().unwrap().read(u64::MAX - 3, &mut far);
    assert_eq!(far, [0; 8]);
}

#[test]
fn requests_of_several_queues_are_all_answered() {
    let mut disk = Disk::ready(SECTORS, FLUSH, |config| config.num_queues = 3);
    for round in 0..8_u16 {
        for queue in 0..3 {
            for head in [0, 4, 8] {
                disk.ask(
                    queue,
                    head,
                    VIRTIO_BLK_T_IN,
                    head.into(),
                    &[(DATA + u64::from(head) * 512, 512, WRITE)],
                );
            }
        }
        disk.turn_until(|disk| (0..3).all(|queue| disk.used(queue) == 3 * (round + 1)));
        assert!((0..3).all(|queue| [0, 4, 8].iter().all(|head| disk.status(queue, *head) == OK)));
    }
}

#[test]
fn what_is_in_flight_at_a_pause_has_ended_and_is_answered_after_it() {
    let mut disk = disk();
    disk.put(DATA, &pattern(512 * 3));
    for head in [0, 4, 8] {
        disk.ask(0, head, VIRTIO_BLK_T_OUT, head.into(), &[(DATA, 512 * 3, 0)]);
    }
    // The loop takes them in; whether they have ended by then is for the threads to say.
    disk.turn();
    disk.device.lock().unwrap().pause();
    assert_eq!(disk.used(0), 3);
    assert_eq!([0, 4, 8].map(|head| disk.status(0, head)), [OK; 3]);
    disk.ask(0, 0, VIRTIO_BLK_T_OUT, 20, &[(DATA, 512, 0)]);
    disk.turn();
    let saved = disk.device.lock().unwrap().save().unwrap();
    assert_eq!((disk.used(0), saved.transport.queues[0].next_avail), (3, 3), "nothing new is taken");
    disk.device.lock().unwrap().resume();
    disk.turn_until(|disk| disk.used(0) == 4);
}

#[test]
fn a_guest_goes_on_where_it_moves_to() {
    let source = {
        let mut disk = Disk::ready(SECTORS, FLUSH, |config| config.serial = Some("s1".into()));
        disk.put(DATA, &pattern(512));
        assert_eq!(disk.request(VIRTIO_BLK_T_OUT, 1, &[(DATA, 512, 0)]), OK);
        disk.device.lock().unwrap().pause();
        // Asked for, and not taken here any more.
        disk.ask(0, 0, VIRTIO_BLK_T_IN, 1, &[(DATA + 0x1000, 512, WRITE)]);
        disk
    };
    let saved = source.device.lock().unwrap().save().unwrap();
    let config = DiskConfig { queue_size: SIZE, ..DiskConfig::new(source.image.as_path()) };
    let Disk { memory, image, device, .. } = source;
    drop(device);
    let mut target = Disk::over(image, memory, &config);
    target.device.lock().unwrap().pause();
    target.device.lock().unwrap().restore(&saved).unwrap();
    assert_eq!(target.device.lock().unwrap().save().unwrap(), saved, "the serial number, too");
    target.turn();
    assert_eq!(target.used(0), 1, "not before it is resumed");
    target.device.lock().unwrap().resume();
    target.turn_until(|disk| disk.used(0) == 2);
    assert_eq!(target.get(DATA + 0x1000, 512), pattern(512));
}

#[test]
fn a_disk_that_its_guest_would_see_to_be_another_is_refused_with_every_reason() {
    let source = disk();
    source.device.lock().unwrap().pause();
    let saved = source.device.lock().unwrap().save().unwrap();
    let other = Disk::fresh(SECTORS + 1, |config| {
        config.readonly = true;
        config.serial = Some("other".into());
    });
    let words = other.device.lock().unwrap().restore(&saved).unwrap_err().to_string();
    for part in ["has 64 sectors, this has 65", "can be written", "serial number \"\", this has \"other\""] {
        assert!(words.contains(part), "no '{part}' in: {words}");
    }
    let queues = Disk::fresh(SECTORS, |config| config.num_queues = 2);
    let words = queues.device.lock().unwrap().restore(&saved).unwrap_err().to_string();
    assert!(words.contains("it has 1 queues where it comes from and 2 here"), "{words}");
}

#[test]
fn a_disk_grows_under_its_driver_which_is_told() {
    let mut disk = disk();
    let resize = |disk: &Disk, bytes| disk.device.lock().unwrap().update(|block| block.resize(bytes));
    assert!(resize(&disk, Some(512)).is_err());
    resize(&disk, Some(SECTORS * 512)).unwrap();
    assert_eq!((disk.read(CONFIG_GENERATION), disk.read(INTERRUPT_STATUS)), (0, 0), "nothing changed");
    resize(&disk, Some(SECTORS * 1024)).unwrap();
    assert_eq!((disk.read(CONFIG_GENERATION), disk.read(INTERRUPT_STATUS)), (1, INTERRUPT_CONFIG));
    assert_eq!(disk.read(CONFIG), 2 * SECTORS as u32);
    assert!(disk.irq.event().read().is_ok());
    disk.put(DATA, &pattern(512));
    assert_eq!(disk.request(VIRTIO_BLK_T_OUT, SECTORS + 3, &[(DATA, 512, 0)]), OK);
}

#[test]
fn a_rate_limit_delays_and_loses_nothing() {
    let ops = TokenBucketConfig { size: 2, one_time_burst: None, refill_time: 20 };
    let limit = RateLimiterConfig { bandwidth: None, ops: Some(ops) };
    let mut disk = Disk::ready(SECTORS, FLUSH, |config| {
        config.num_queues = 2;
        config.rate_limiter_config = Some(limit);
    });
    for queue in 0..2 {
        for head in [0, 4, 8, 12] {
            disk.ask(queue, head, VIRTIO_BLK_T_IN, 0, &[(DATA, 512, WRITE)]);
        }
    }
    disk.turn_until(|disk| disk.used(0) == 4 && disk.used(1) == 4);
    assert!((0..2).all(|queue| [0, 4, 8, 12].iter().all(|head| disk.status(queue, *head) == OK)));
}

#[test]
fn a_driver_that_resets_in_the_middle_begins_anew() {
    let mut disk = disk();
    for head in [0, 4, 8, 12] {
        disk.ask(0, head, VIRTIO_BLK_T_IN, 0, &[(DATA, 512, WRITE)]);
    }
    disk.turn();
    disk.set_up(FLUSH);
    disk.turn();
    assert_eq!(disk.used(0), 0, "nothing of before is answered");
    assert_eq!(disk.request(VIRTIO_BLK_T_IN, 0, &[(DATA, 512, WRITE)]), OK);
}

#[test]
fn a_reset_that_is_seen_leaves_nothing_in_flight() {
    const BYTES: u32 = 512 << 10;
    let mut disk = Disk::fresh(8 * u64::from(BYTES) / 512, |_| {});
    let places = [0, 1, 2, 3].map(|n| DATA + n * u64::from(BYTES));
    // How far the threads are when the reset comes is theirs to know: not as far each time.
    for round in 0..40 {
        disk.set_up(FLUSH);
        for (head, at) in [0, 4].into_iter().zip(places) {
            disk.ask(0, head, VIRTIO_BLK_T_IN, 0, &[(at, BYTES, WRITE)]);
        }
        for (head, at) in [8, 12].into_iter().zip(&places[2..]) {
            disk.put(*at, &vec![round; BYTES as usize]);
            disk.ask(0, head, VIRTIO_BLK_T_OUT, u64::from(head) * 512, &[(*at, BYTES, 0)]);
        }
        disk.turn_once();
        disk.write(STATUS, 0);
        assert_eq!(disk.read(STATUS), 0);
        // From here on the memory is the driver's again, and the image stays as it is.
        let fill = vec![round | 0x80; BYTES as usize];
        places.iter().for_each(|at| disk.put(*at, &fill));
        let (answered, image) = (disk.used(0), disk.image_bytes());
        disk.turn();
        // Waits for the threads: what they still did would be seen now.
        disk.device.lock().unwrap().pause();
        let now = (disk.used(0), disk.read(INTERRUPT_STATUS));
        assert_eq!(now, (answered, 0), "nothing is answered any more");
        assert!(places.iter().all(|at| disk.get(*at, BYTES as usize) == fill), "memory was written to");
        assert!(disk.image_bytes() == image, "the image was written to");
        disk.device.lock().unwrap().resume();
    }
}

#[test]
fn a_chain_that_is_no_request_stops_the_device() {
    let cases: [(&str, &[Buffer]); 5] = [
        ("no status", &[(DATA, 16, 0)]),
        ("half a header", &[(DATA, 15, 0), (DATA + 512, 1, WRITE)]),
        ("status before the header", &[(DATA + 512, 1, WRITE), (DATA, 16, 0)]),
        ("data outside of memory", &[(DATA, 16, 0), (1 << 40, 512, WRITE), (DATA + 512, 1, WRITE)]),
        ("an empty buffer", &[(DATA, 16, 0), (DATA, 0, WRITE), (DATA + 512, 1, WRITE)]),
    ];
    for (case, buffers) in cases {
        let mut disk = disk();
        disk.offer(0, 0, buffers);
        assert!(disk.turn() < 10, "{case}");
        assert!(disk.needs_reset() && disk.used(0) == 0, "{case}");
        disk.set_up(FLUSH);
        assert_eq!(disk.request(VIRTIO_BLK_T_FLUSH, 0, &[]), OK, "{case}");
    }
}

#[test]
fn a_driver_that_hands_one_request_out_again_and_again_fills_no_memory() {
    let mut disk = disk();
    for _ in 0..1_000 {
        disk.ask(0, 0, VIRTIO_BLK_T_IN, 0, &[(DATA, 512, WRITE)]);
        disk.turn();
        assert!(disk.used(0) < u16::MAX);
    }
    disk.turn_until(|disk| disk.used(0) == 1_000 || disk.needs_reset());
}

fn buffer() -> impl Strategy<Value = Buffer> {
    let address = prop_oneof![4 => Just(DATA), 1 => 0..0x80_0000_u64, 1 => any::<u64>()];
    let len = prop_oneof![4 => prop::sample::select(vec![1_u32, 16, 20, 512, 1024]), 1 => any::<u32>()];
    (address, len, prop::sample::select(vec![0, 0, WRITE, WRITE, 4]))
}

proptest! {
    #[test]
    fn no_driver_makes_it_panic_or_spin(
        header in (0..16_u32, prop_oneof![0..70_u64, any::<u64>()]),
        chains in prop::collection::vec(prop::collection::vec(buffer(), 1..5), 1..4),
        accesses in prop::collection::vec((0..0x140_u64, any::<u64>(), 0..9_usize), 0..8),
    ) {
        let mut disk = disk();
        disk.put(DATA, &[&header.0.to_le_bytes()[..], &[0; 4], &header.1.to_le_bytes()].concat());
        for (head, chain) in [0, 5, 10].into_iter().zip(&chains) {
            disk.offer(0, head, chain);
            prop_assert!(disk.turn() < 100);
        }
        for (offset, value, width) in accesses {
            let mut bytes = value.to_le_bytes();
            disk.device.lock().unwrap().read(offset, &mut bytes[..width.min(8)]);
            disk.device.lock().unwrap().write(offset, &value.to_le_bytes()[..width.min(8)]);
            prop_assert!(disk.turn() < 100);
        }
        disk.device.lock().unwrap().pause();
        let saved = disk.device.lock().unwrap().save().unwrap();
        let again = Disk::over(disk.image, disk.memory, &DiskConfig { queue_size: SIZE, ..DiskConfig::new(disk.device.lock().unwrap().device().image.path()) });
        again.device.lock().unwrap().pause();
        again.device.lock().unwrap().restore(&saved).unwrap();
        prop_assert_eq!(again.device.lock().unwrap().save().unwrap(), saved);
    }
}

#[test]
fn reads_and_writes_that_were_done_are_counted_with_what_they_took() {
    let mut disk = Disk::ready(2 * AT_ONCE_BYTES / 512, FLUSH, |_| {});
    let counters = |disk: &Disk| disk.device.lock().unwrap().counters();
    let none = ["read_bytes", "read_ops", "write_bytes", "write_ops"];
    assert_eq!(counters(&disk), none.map(|name| (name, 0)).into(), "no latency of nothing");

    for sector in 0..3 {
        assert_eq!(disk.request(VIRTIO_BLK_T_OUT, sector, &[(DATA, 512, 0)]), OK);
    }
    // At once from the page cache, and by a thread.
    for len in [1024, AT_ONCE_BYTES + 512] {
        assert_eq!(disk.request(VIRTIO_BLK_T_IN, 0, &[(DATA, len as u32, WRITE)]), OK);
    }
    let done = counters(&disk);
    assert_eq!((done["write_ops"], done["write_bytes"]), (3, 3 * 512));
    assert_eq!((done["read_ops"], done["read_bytes"]), (2, AT_ONCE_BYTES + 1536));
    for [least, mean, most] in [
        ["read_latency_min", "read_latency_avg", "read_latency_max"],
        ["write_latency_min", "write_latency_avg", "write_latency_max"],
    ] {
        assert!(done[least] <= done[mean] && done[mean] <= done[most], "{done:?}");
    }
    // Four megabytes are not there within a microsecond.
    assert!(done["read_latency_max"] > 1, "{done:?}");

    assert_eq!(disk.request(VIRTIO_BLK_T_FLUSH, 0, &[]), OK);
    assert_eq!(disk.request(VIRTIO_BLK_T_IN, u64::MAX, &[(DATA, 512, WRITE)]), IOERR);
    assert_eq!(disk.request(VIRTIO_BLK_T_OUT, 1, &[(DATA, 3, 0)]), IOERR);
    disk.write(STATUS, 0);
    assert_eq!(counters(&disk), done, "a flush and what failed moved nothing; a reset forgets nothing");
}
