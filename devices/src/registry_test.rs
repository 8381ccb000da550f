//! What every kind of device owes: state that comes back, old payloads that load, and no panic for anyone's sake.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use godwit_state::{Schema, Section, StateError};
use proptest::prelude::*;
use vm_memory::GuestAddress;
use vmm_sys_util::tempfile::TempFile;

use crate::{
    DebugExit, Device, Generation, GenerationState, GuestMemory, I8042, Irq, KINDS, Kind, MmioDevice,
    PioDevice, Power, PowerState, Pvpanic, PvpanicState, Rtc, RtcState, Serial, SerialBackend, Shared,
    StopLine,
    serial::SerialState,
    virtio::{
        self, Balloon, BalloonState, Block, BlockState, Console, ConsoleState, DiskConfig, NetState,
        PortState, QueueState, Rng, RngState, TransportState, VirtioMmio, VirtioState, VsockState,
    },
};

/// How a guest reaches a device.
enum Face {
    None,
    Pio(Shared<dyn PioDevice>),
    Mmio(Shared<dyn MmioDevice>),
}

struct Specimen {
    device: Shared<dyn Device>,
    face: Face,
}

fn pio<D: Device + PioDevice + 'static>(device: D) -> Specimen {
    let device = Arc::new(Mutex::new(device));
    Specimen { device: device.clone(), face: Face::Pio(device) }
}

/// A device that a guest reaches by memory alone.
fn unreached<D: Device + 'static>(device: D) -> Specimen {
    Specimen { device: Arc::new(Mutex::new(device)), face: Face::None }
}

fn mmio<D: Device + MmioDevice + 'static>(device: D) -> Specimen {
    let device = Arc::new(Mutex::new(device));
    Specimen { device: device.clone(), face: Face::Mmio(device) }
}

/// A fresh device of `kind`, named "it".
fn make(kind: &Kind) -> Specimen {
    let (irq, stop) = (Irq::new().unwrap(), StopLine::new().unwrap());
    let memory = || GuestMemory::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
    let specimen = match kind.name {
        "serial16550" => pio(Serial::new("it", irq, &SerialBackend::Null, stop).unwrap()),
        "i8042" => pio(I8042::new("it", stop)),
        "rtc" => pio(Rtc::of_host("it")),
        "debug-exit" => pio(DebugExit::new("it", stop)),
        "power" => pio(Power::new("it", irq, stop)),
        "pvpanic" => pio(Pvpanic::new("it", stop)),
        "vmgenid" => unreached(Generation::new("it", memory(), GuestAddress(0x1000))),
        "virtio-rng" => mmio(VirtioMmio::new("it", Rng::new(), memory(), irq).unwrap()),
        "virtio-balloon" => {
            let config = "size=16M,deflate_on_oom=on,free_page_reporting=on".parse().unwrap();
            mmio(VirtioMmio::new("it", Balloon::new(&config), memory(), irq).unwrap())
        }
        "virtio-blk" => {
            let image = TempFile::new().unwrap();
            image.as_file().set_len(1 << 20).unwrap();
            // The image stays open when its name goes.
            let block = Block::open(&DiskConfig::new(image.as_path())).unwrap();
            mmio(VirtioMmio::new("it", block, memory(), irq).unwrap())
        }
        "virtio-net" => mmio(VirtioMmio::new("it", virtio::net_on_a_socket(), memory(), irq).unwrap()),
        "virtio-vsock" => mmio(VirtioMmio::new("it", virtio::vsock_alone(), memory(), irq).unwrap()),
        "virtio-console" => {
            let ports = ["null", "name=agent,null"].map(|text| text.parse().unwrap());
            let console = Console::new(&ports.each_ref(), stop).unwrap();
            mmio(VirtioMmio::new("it", console, memory(), irq).unwrap())
        }
        other => panic!("no test knows how to make a '{other}'"),
    };
    let (name, version) = specimen.with(|device| (device.kind(), device.version()));
    assert_eq!((name, version), (kind.name, kind.version));
    specimen
}

impl Specimen {
    fn with<T>(&self, what: impl FnOnce(&mut dyn Device) -> T) -> T {
        what(&mut *self.device.lock().unwrap())
    }

    fn save(&self) -> Section {
        self.with(|device| device.save_section()).unwrap()
    }

    fn restore(&self, section: &Section) -> Result<(), StateError> {
        self.with(|device| device.restore_section(section))
    }

    fn access(&self, access: &Access) {
        let mut data = access.value.to_le_bytes();
        let data = &mut data[..access.width];
        match (&self.face, access.is_write) {
            (Face::None, _) => {}
            (Face::Pio(device), false) => device.lock().unwrap().read(access.offset as u16, data),
            (Face::Pio(device), true) => device.lock().unwrap().write(access.offset as u16, data),
            (Face::Mmio(device), false) => device.lock().unwrap().read(access.offset, data),
            (Face::Mmio(device), true) => device.lock().unwrap().write(access.offset, data),
        }
    }
}

/// One access of a guest that does whatever it likes.
#[derive(Clone, Debug)]
struct Access {
    is_write: bool,
    offset: u64,
    width: usize,
    value: u64,
}

fn access() -> impl Strategy<Value = Access> {
    // Most registers are among the first; words at their place are what gets far in a virtio device.
    let offset = prop_oneof![4 => 0..8_u64, 4 => (0..0x42_u64).prop_map(|word| word * 4), 1 => any::<u64>()];
    let width = prop_oneof![2 => Just(1_usize), 3 => Just(4), 1 => 0..=8_usize];
    let value = prop_oneof![2 => 0..0x100_u64, 2 => (0..64_u32).prop_map(|bit| 1 << bit), 1 => any::<u64>()];
    (any::<bool>(), offset, width, value).prop_map(|(is_write, offset, width, value)| Access {
        is_write,
        offset,
        width,
        value,
    })
}

/// The payloads kept of `kind`: by version, in hexadecimal, in files `golden/<kind>.v<version>.hex`,
/// after a line that says what the device was doing.
fn golden(kind: &Kind) -> BTreeMap<u16, Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
    let versions = kind.oldest..=kind.version;
    let read = |version: u16| {
        let path = folder.join(format!("{}.v{version}.hex", kind.name));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let payload = text.lines().filter(|line| !line.starts_with('#'));
        let digits: Vec<u8> = payload.flat_map(str::bytes).filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        (version, digits.chunks(2).map(byte).collect())
    };
    versions.map(read).collect()
}

fn section(kind: &Kind, version: u16, payload: Vec<u8>) -> Section {
    Section { kind: kind.name.into(), instance: "it".into(), version, payload }
}

#[test]
fn every_kind_is_there_once_and_found_by_its_name() {
    for kind in KINDS {
        make(kind);
        assert_eq!(Kind::named(kind.name), Some(kind));
        assert_eq!(KINDS.iter().filter(|other| other.name == kind.name).count(), 1);
        assert!(kind.reads(kind.version) && !kind.reads(kind.version + 1) && !kind.reads(kind.oldest - 1));
    }
    assert_eq!(Kind::named("flux-capacitor"), None);
}

#[test]
fn golden_payloads_of_every_version_load_and_the_newest_is_what_is_written() {
    for kind in KINDS {
        for (version, payload) in golden(kind) {
            let device = make(kind);
            device.restore(&section(kind, version, payload.clone())).unwrap();
            let saved = device.save();
            assert_eq!(saved.version, kind.version);
            if version == kind.version {
                assert_eq!(saved.payload, payload, "{} v{version}", kind.name);
            }
        }
    }
}

/// The golden payload of the newest version of `S`, decoded.
fn decoded<S: Schema>() -> S {
    let kind = Kind::named(S::KIND).unwrap();
    let payload = golden(kind).remove(&S::VERSION).unwrap();
    section(kind, S::VERSION, payload).open().unwrap()
}

#[test]
fn golden_payloads_still_mean_what_they_meant() {
    let serial = SerialState {
        baud_divisor_low: 1,
        baud_divisor_high: 0,
        interrupt_enable: 5,
        interrupt_identification: 4,
        line_control: 0x13,
        line_status: 0x61,
        modem_control: 0x0b,
        modem_status: 0xb0,
        scratch: 0x5a,
        in_buffer: b"ls\n".to_vec(),
    };
    assert_eq!(decoded::<SerialState>(), serial);
    assert_eq!(decoded::<PowerState>(), PowerState { events: 1 });
    assert_eq!(decoded::<PvpanicState>(), PvpanicState { events: 2 });
    let id = std::array::from_fn(|at| 0x10 + at as u8);
    assert_eq!(decoded::<GenerationState>(), GenerationState { id });
    let rtc = decoded::<RtcState>();
    assert_eq!((rtc.index, rtc.register_a, rtc.register_b), (0x40, 0x26, 0x82));
    assert_eq!((rtc.offset_s, rtc.seen_second), (-3_600, 1_709_210_096));
    assert_eq!(rtc.held, Some([0x56, 0x34, 0x12, 5, 0x29, 2, 0x24, 0x20]));
    assert_eq!((rtc.cmos.len(), rtc.cmos[0x40], rtc.cmos[0x7f]), (128, 0xa5, 0x5a));
    let queue = || QueueState {
        size: 64,
        desc: 0x1000,
        driver: 0x2000,
        device: 0x3000,
        ready: true,
        next_avail: 70,
        next_used: 69,
    };
    let transport = || TransportState {
        status: 15,
        device_features_select: 1,
        driver_features_select: 1,
        driver_features: 0x1_3000_0000,
        queue_select: 0,
        interrupt_status: 1,
        queues: vec![queue()],
    };
    assert_eq!(
        decoded::<VirtioState<RngState>>(),
        VirtioState { transport: transport(), device: RngState {} }
    );
    let serial = *b"GW-0001\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let device = BlockState { sectors: 2_048, block_bytes: 512, read_only: false, serial };
    assert_eq!(decoded::<VirtioState<BlockState>>(), VirtioState { transport: transport(), device });
    let net = decoded::<VirtioState<NetState>>();
    assert_eq!((net.transport.queues.len(), net.transport.driver_features), (3, 0x1_3023_8020));
    let waiting = [&[0; 12][..], &[0xff; 6], &[2, 0, 0, 0, 0, 1, 8, 6, 0x5a]].concat();
    let (permanent_mac, mac) = ([2, 0, 0, 0, 0, 7], [2, 0, 0, 0, 0, 9]);
    let waiting = vec![waiting];
    let state = NetState { permanent_mac, mac, mtu: 9000, announce: true, used_pairs: 1, waiting };
    assert_eq!(net.device, state);
}

#[test]
fn the_golden_payload_of_a_balloon_still_means_what_it_meant() {
    let VirtioState { transport, device } = decoded::<VirtioState<BalloonState>>();
    assert_eq!((transport.driver_features, transport.queue_select), (0x1_3000_002e, 4));
    let places: Vec<u64> = transport.queues.iter().map(|queue| queue.device).collect();
    assert_eq!(places, [0x1800, 0x2800, 0x3800, 0x4800, 0x5800]);
    let balloon = BalloonState {
        target_pages: 4096,
        actual_pages: 4095,
        generation: 3,
        report_command: 1,
        last_report: 7,
        statistics_kept: Some(5),
    };
    assert_eq!(device, balloon);
}

#[test]
fn the_golden_payload_of_a_vsock_device_still_means_what_it_meant() {
    let VirtioState { transport, device } = decoded::<VirtioState<VsockState>>();
    assert_eq!((transport.driver_features, transport.queues.len()), (0x1_3000_0001, 3));
    assert_eq!(device, VsockState { cid: 3, next_port: (1 << 30) + 9 });
}

#[test]
fn the_golden_payload_of_a_console_still_means_what_it_meant() {
    let VirtioState { transport, device } = decoded::<VirtioState<ConsoleState>>();
    assert_eq!((transport.driver_features, transport.queues.len()), (0x1_3000_0002, 6));
    let port = |name: &str, guest_open, told_open, owed| PortState {
        name: name.into(),
        guest_open,
        told_open,
        owed,
    };
    assert_eq!(device.ports, [port("", true, true, 0), port("agent", false, true, 12)]);
}

#[test]
fn a_payload_cut_short_or_with_more_behind_is_an_error() {
    for kind in KINDS {
        let payload = golden(kind).remove(&kind.version).unwrap();
        let cut = (0..payload.len()).map(|len| payload[..len].to_vec());
        let longer = [payload.as_slice(), &[0]].concat();
        for bad in cut.chain([longer]) {
            let error = make(kind).restore(&section(kind, kind.version, bad)).unwrap_err();
            assert!(matches!(error, StateError::Malformed { .. }), "{error}");
        }
    }
}

#[test]
fn sections_of_others_are_refused() {
    for kind in KINDS {
        let good = make(kind).save();
        let newer = Section { version: kind.version + 1, ..good.clone() };
        assert!(matches!(make(kind).restore(&newer), Err(StateError::Version { .. })));
        let stranger = Section { instance: "another".into(), ..good.clone() };
        assert!(matches!(make(kind).restore(&stranger), Err(StateError::Invalid { .. })));
        let other = Section { kind: "other".into(), ..good };
        assert!(matches!(make(kind).restore(&other), Err(StateError::WrongKind { .. })));
    }
}

proptest! {
    #[test]
    fn whatever_a_guest_does_the_state_comes_back_the_same(accesses in prop::collection::vec(access(), 0..200)) {
        for kind in KINDS {
            let source = make(kind);
            accesses.iter().for_each(|access| source.access(access));
            let saved = source.save();
            let target = make(kind);
            target.restore(&saved).unwrap();
            prop_assert_eq!(&target.save(), &saved);
            target.with(|device| device.resume());
            prop_assert_eq!(&target.save(), &saved);
            accesses.iter().for_each(|access| target.access(access));
        }
    }

    #[test]
    fn garbage_and_damaged_payloads_never_panic(garbage: Vec<u8>, at: usize, flip: u8) {
        for kind in KINDS {
            let mut damaged = golden(kind).remove(&kind.version).unwrap();
            if !damaged.is_empty() {
                let at = at % damaged.len();
                damaged[at] ^= flip;
            }
            for payload in [garbage.clone(), damaged] {
                let device = make(kind);
                if device.restore(&section(kind, kind.version, payload)).is_ok() {
                    // What was accepted must be a state to live with.
                    device.with(|device| device.resume());
                    let saved = device.save();
                    make(kind).restore(&saved).unwrap();
                }
            }
        }
    }
}
