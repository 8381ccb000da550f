//! The reset command resets, and a driver that probes for a keyboard gives up at once.

use crate::{BytePorts, I8042, Stop, StopLine};

#[test]
fn only_the_reset_command_on_the_command_port_resets() {
    let stop = StopLine::new().unwrap();
    let mut device = I8042::new("i8042", stop.clone());
    for (offset, value) in [(0, 0xfe), (1, 0xfe), (4, 0xfd), (4, 0xaa), (4, 0x60)] {
        device.write_byte(offset, value);
        assert_eq!(stop.asked(), None);
    }
    device.write_byte(4, 0xfe);
    assert_eq!(stop.asked(), Some(Stop::Reset));
}

#[test]
fn the_output_buffer_never_empties_and_the_input_buffer_is_never_full() {
    let mut device = I8042::new("i8042", StopLine::new().unwrap());
    for _ in 0..100 {
        assert_eq!(device.read_byte(4) & 0b11, 0b01);
        device.read_byte(0);
    }
}
