//! Shapes of machines that no source of ours would ask for: each is refused in words, every reason at once, before anything
//! is made of it; or it is made as it was asked for. Needs /dev/kvm.

use godwit_migration::{
    limits::{MAX_REASONS, MAX_TEXT_BYTES},
    shape::{CpuidEntry, DeviceShape, MachineShape, Region},
    wire::{MESSAGE_HEADER_BYTES, MessageHeader, Prepare, SourceMessage, decode_message, encode_message},
};
use godwit_transport::host::TargetHost;

use super::{
    Guest,
    incoming::Arriving,
    service_test::{booted_with, empty},
};
use crate::{
    DeviceSet,
    fuzz_test::{Mutator, each},
};

/// More memory than machines that run tests have.
const TEBIBYTE: u64 = 1 << 40;

/// A number that is too much, too little or not whole for something.
fn telling(mutator: &mut Mutator) -> u64 {
    let whole = 1 << (12 + mutator.below(52));
    [0, 1, 1 << 18, 3 << 30, 1 << 32, TEBIBYTE, u64::MAX, whole, mutator.next()][mutator.below(9)]
}

fn name(mutator: &mut Mutator) -> String {
    let names = ["", "com1", "serial", "virtio-blk", "\x1b[2J", "no such device", "\u{202e}", "é"];
    names[mutator.below(names.len())].repeat(if mutator.below(8) == 0 { 4096 } else { 1 })
}

/// One change of a shape.
fn change(mutator: &mut Mutator, shape: &mut MachineShape) {
    let (regions, cpus, devices) = (&mut shape.memory.regions, &mut shape.cpus, &mut shape.devices);
    match mutator.below(14) {
        0 => regions.push(Region { gpa: telling(mutator), bytes: telling(mutator) }),
        1 => regions.clear(),
        2 => regions.iter_mut().for_each(|region| region.bytes = telling(mutator)),
        3 => regions.iter_mut().for_each(|region| region.gpa = telling(mutator)),
        4 => cpus.count = mutator.next() as u8,
        5 => cpus.tsc_khz = telling(mutator) as u32,
        6 => cpus.xsave_bytes = telling(mutator) as u32,
        7 => cpus.msrs.resize(mutator.below(1100), mutator.next() as u32),
        8 => cpus.msrs.push(mutator.next() as u32),
        9 => {
            let at = mutator.below(cpus.cpuid.len().max(1));
            if let Some(entry) = cpus.cpuid.get_mut(at) {
                entry.registers[mutator.below(4)] = mutator.next() as u32;
            }
        }
        10 => {
            let registers = [0; 4].map(|_: u32| mutator.next() as u32);
            let entry = CpuidEntry { function: telling(mutator) as u32, index: 0, flags: 1, registers };
            cpus.cpuid.resize(mutator.below(300), entry);
        }
        11 => {
            let queue_sizes = vec![telling(mutator) as u16; mutator.below(70)];
            let device =
                DeviceShape { instance: name(mutator), kind: name(mutator), version: 1, queue_sizes };
            devices.resize(mutator.below(70), device);
        }
        12 => {
            let at = mutator.below(devices.len().max(1));
            if let Some(device) = devices.get_mut(at) {
                match mutator.below(4) {
                    0 => device.instance = name(mutator),
                    1 => device.kind = name(mutator),
                    2 => device.queue_sizes.resize(mutator.below(70), telling(mutator) as u16),
                    _ => device.version = mutator.next() as u16,
                }
            }
        }
        _ => devices.reverse(),
    }
}

/// Most address space that this process has had, bytes.
fn most_mapped() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test]
async fn a_shape_is_refused_in_words_before_anything_is_made_or_made_as_asked_for() {
    let source = booted_with("fuzz-shape-source", DeviceSet::default());
    let shape = source.vmm.now().guest.machine().unwrap().shape().unwrap();
    let target = empty("fuzz-shape-target");
    let mut host = Arriving::at(&target.vmm);
    assert_eq!(host.check(&shape), [""; 0], "as it is it would be taken");
    let seed = encode_message(&SourceMessage::Prepare(Box::new(Prepare { shape: shape.clone(), lanes: 1 })));
    let body = seed[MESSAGE_HEADER_BYTES..].to_vec();
    let (mut refused, mut made, mut session) = (0, 0, 0);
    each(20, 250, &[body], |mutator, mutated| {
        let mut shape = shape.clone();
        if let Ok(SourceMessage::Prepare(other)) = decode_message(header_of(&mutated), &mutated) {
            shape = other.shape;
        }
        for _ in 0..mutator.below(4) {
            change(mutator, &mut shape);
        }
        session += 1;
        let reasons = host.check(&shape);
        assert!(matches!(target.vmm.now().guest, Guest::Empty), "a question makes nothing");
        let prepared = host.prepare(session, &shape);
        if reasons.is_empty() {
            let asked = shape.memory.bytes();
            let got = target.vmm.now().guest.machine().map(crate::Machine::memory_bytes);
            assert!(prepared.is_ok() && got == Some(asked), "{prepared:?}: {got:?} of {asked}");
            host.discard();
            made += 1;
            return;
        }
        assert!(matches!(target.vmm.now().guest, Guest::Empty), "nothing was made: {reasons:?}");
        let said = prepared.unwrap_err();
        assert!(said.len() <= MAX_REASONS, "{} reasons", said.len());
        for reason in &said {
            let fits = !reason.is_empty() && reason.len() <= 4 * MAX_TEXT_BYTES;
            assert!(fits && !reason.contains(char::is_control), "{reason:?}");
        }
        refused += 1;
    });
    assert!(refused > 0 && made > 0, "{refused} refused, {made} made");
    assert!(most_mapped() < TEBIBYTE, "memory was had for a guest that was refused");
}

/// A header that fits `body`.
fn header_of(body: &[u8]) -> MessageHeader {
    let (bytes, checksum) = ((body.len() as u32).to_le_bytes(), crc32fast::hash(body).to_le_bytes());
    MessageHeader::decode([bytes, checksum].concat().try_into().unwrap()).unwrap()
}
