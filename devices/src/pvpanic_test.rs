//! What a guest tells of its panic is kept, moves with it, and is the reason of its end.

use godwit_state::Save;

use crate::{BytePorts, GuestPanic, Pvpanic, PvpanicState, StopLine};

fn device() -> (Pvpanic, StopLine) {
    let stop = StopLine::new().unwrap();
    (Pvpanic::new("pvpanic", stop.clone()), stop)
}

#[test]
fn a_panic_is_told_and_ends_nothing_by_itself() {
    let (mut device, stop) = device();
    assert_eq!((device.read_byte(0), device.read_byte(1), device.told()), (3, 0xff, None));
    device.write_byte(0, 0xfc);
    device.write_byte(1, 1);
    assert_eq!((device.told(), stop.has_panicked()), (None, false));
    device.write_byte(0, 1);
    assert_eq!((device.told(), stop.has_panicked()), (Some(GuestPanic::Panicked), true));
    assert_eq!(stop.asked(), None);
}

#[test]
fn a_crash_kernel_that_takes_over_ends_as_it_likes() {
    let (mut device, stop) = device();
    device.write_byte(0, 2);
    assert_eq!((device.told(), stop.has_panicked()), (Some(GuestPanic::CrashLoaded), false));
    // And may panic itself.
    device.write_byte(0, 1);
    assert_eq!((device.told(), stop.has_panicked()), (Some(GuestPanic::Panicked), true));
}

#[test]
fn a_panic_moves_with_its_guest() {
    let (mut source, _) = device();
    source.write_byte(0, 1);
    let (mut target, stop) = device();
    target.restore(&source.save().unwrap()).unwrap();
    assert_eq!((target.told(), stop.has_panicked()), (Some(GuestPanic::Panicked), true));
    let refused = device().0.restore(&PvpanicState { events: 4 }).unwrap_err();
    assert!(refused.to_string().contains("its events 0x4 hold one"), "{refused}");
}
