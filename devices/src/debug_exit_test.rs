//! The status that a guest writes is the one that the process ends with, as on QEMU.

use crate::{DebugExit, PioDevice, Stop, StopLine};

fn written(data: &[u8]) -> Option<Stop> {
    let stop = StopLine::new().unwrap();
    DebugExit::new("debug-exit", stop.clone()).write(0, data);
    stop.asked()
}

#[test]
fn the_status_is_shifted_and_odd_at_every_width() {
    assert_eq!(written(&[0]), Some(Stop::DebugExit { code: 1 }));
    assert_eq!(written(&[0x10]), Some(Stop::DebugExit { code: 0x21 }));
    assert_eq!(written(&[0x34, 0x12]), Some(Stop::DebugExit { code: 0x2469 }));
    assert_eq!(written(&[0xff; 4]), Some(Stop::DebugExit { code: u32::MAX }));
}

#[test]
fn the_first_wish_wins_and_wakes_once() {
    let stop = StopLine::new().unwrap();
    let mut device = DebugExit::new("debug-exit", stop.clone());
    assert!(stop.event().read().is_err());
    device.write(0, &[1]);
    device.write(0, &[2]);
    stop.ask(Stop::Reset);
    assert_eq!(stop.asked(), Some(Stop::DebugExit { code: 3 }));
    assert_eq!(stop.event().read().unwrap(), 1);
}
