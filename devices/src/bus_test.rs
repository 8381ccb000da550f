//! An access reaches the device whose range it is in, at the offset from its base; everything else is open bus.

use std::sync::{Arc, Mutex};

use crate::{BusError, BytePorts, MmioBus, MmioDevice, PioBus, Shared};

/// Says which of its ports was read, and remembers what was written.
struct Echo {
    written: Vec<(u64, Vec<u8>)>,
}

impl BytePorts for Echo {
    fn read_byte(&mut self, offset: u16) -> u8 {
        offset as u8
    }

    fn write_byte(&mut self, offset: u16, value: u8) {
        self.written.push((offset.into(), vec![value]));
    }
}

impl MmioDevice for Echo {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        data.fill(offset as u8);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        self.written.push((offset, data.to_vec()));
    }
}

fn echo() -> Shared<Echo> {
    Arc::new(Mutex::new(Echo { written: Vec::new() }))
}

fn port(bus: &PioBus, port: u16) -> u8 {
    let mut byte = [0x55];
    bus.read(port, &mut byte);
    byte[0]
}

#[test]
fn an_access_finds_its_device_and_offset() {
    let mut bus = PioBus::default();
    let (low, high) = (echo(), echo());
    bus.insert(0x3f8, 8, high.clone()).unwrap();
    bus.insert(0x60, 5, low.clone()).unwrap();
    assert_eq!([0x60, 0x64, 0x3f8, 0x3ff].map(|p| port(&bus, p)), [0, 4, 0, 7]);
    bus.write(0x3fa, &[9]);
    assert_eq!(high.lock().unwrap().written, [(2, vec![9])]);
    assert!(low.lock().unwrap().written.is_empty());
}

#[test]
fn where_nothing_is_reads_are_ones_and_writes_are_lost() {
    let mut bus = PioBus::default();
    bus.insert(0x60, 5, echo()).unwrap();
    assert_eq!([0, 0x5f, 0x65, 0xffff].map(|p| port(&bus, p)), [0xff; 4]);
    bus.write(0x65, &[1, 2, 3, 4]);
    let mut data = [0; 8];
    MmioBus::default().read(0xd000_0000, &mut data);
    assert_eq!(data, [0xff; 8]);
}

#[test]
fn a_wide_access_is_split_into_ports_and_does_not_wrap() {
    let mut bus = PioBus::default();
    let device = echo();
    bus.insert(0xfffc, 4, device.clone()).unwrap();
    let mut data = [0x55; 4];
    bus.read(0xfffd, &mut data);
    assert_eq!(data, [1, 2, 3, 4]);
    bus.write(0xfffc, &[7, 8]);
    assert_eq!(device.lock().unwrap().written, [(0, vec![7]), (1, vec![8])]);
}

#[test]
fn overlapping_ranges_are_refused_whichever_comes_first() {
    let mut bus = PioBus::default();
    bus.insert(0x100, 0x10, echo()).unwrap();
    for (base, len) in [(0x100, 1), (0x10f, 1), (0xff, 2), (0x0, 0x1000), (0x108, 0x100)] {
        let refused = bus.insert(base, len, echo()).unwrap_err();
        assert_eq!(refused, BusError::Overlap { base: base.into(), len: len.into(), taken: 0x100 });
    }
    bus.insert(0xff, 1, echo()).unwrap();
    bus.insert(0x110, 1, echo()).unwrap();
}

#[test]
fn ranges_that_are_empty_or_leave_the_bus_are_refused() {
    let mut ports = PioBus::default();
    assert!(matches!(ports.insert(0x10, 0, echo()), Err(BusError::Range { .. })));
    assert!(matches!(ports.insert(0xffff, 2, echo()), Err(BusError::Range { .. })));
    ports.insert(0xffff, 1, echo()).unwrap();
    let mut mmio = MmioBus::default();
    assert!(matches!(mmio.insert(u64::MAX, 2, echo()), Err(BusError::Range { .. })));
    mmio.insert(u64::MAX - 7, 8, echo()).unwrap();
    let mut byte = [0];
    mmio.read(u64::MAX, &mut byte);
    assert_eq!(byte, [7]);
}
