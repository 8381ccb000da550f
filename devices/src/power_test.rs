//! The guest can switch itself off and reset itself, and a pressed power button stays pressed until it looks.

use godwit_state::Save;

use crate::{
    BytePorts, GED_EVENT_PORT, GED_GENERATION, GED_POWER_BUTTON, Irq, Lifecycle, POWER_BASE, Power,
    PowerState, RESET_PORT, RESET_VALUE, S5_SLP_TYP, SLEEP_CONTROL_PORT, SLEEP_STATUS_PORT, Stop, StopLine,
};

const SLP_EN: u8 = 1 << 5;

struct Bench {
    irq: Irq,
    stop: StopLine,
    power: Power,
}

fn bench() -> Bench {
    let (irq, stop) = (Irq::new().unwrap(), StopLine::new().unwrap());
    let power = Power::new("power", irq.clone(), stop.clone());
    Bench { irq, stop, power }
}

impl Bench {
    fn write(&mut self, port: u16, value: u8) {
        self.power.write_byte(port - POWER_BASE, value);
    }

    fn events(&mut self) -> u8 {
        self.power.read_byte(GED_EVENT_PORT - POWER_BASE)
    }
}

#[test]
fn s5_with_enable_powers_off_and_nothing_else_does() {
    let mut bench = bench();
    // What Linux writes on the way: wake status cleared, then sleep type without and with enable.
    bench.write(SLEEP_STATUS_PORT, 1 << 7);
    bench.write(SLEEP_CONTROL_PORT, S5_SLP_TYP << 2);
    bench.write(SLEEP_CONTROL_PORT, 3 << 2 | SLP_EN);
    assert_eq!(bench.stop.asked(), None);
    bench.write(SLEEP_CONTROL_PORT, S5_SLP_TYP << 2 | SLP_EN);
    assert_eq!(bench.stop.asked(), Some(Stop::PowerOff));
}

#[test]
fn the_reset_register_resets_on_its_value_only() {
    let mut bench = bench();
    bench.write(RESET_PORT, RESET_VALUE + 1);
    assert_eq!(bench.stop.asked(), None);
    bench.write(RESET_PORT, RESET_VALUE);
    assert_eq!(bench.stop.asked(), Some(Stop::Reset));
}

#[test]
fn a_press_interrupts_and_is_cleared_by_reading() {
    let mut bench = bench();
    assert_eq!(bench.events(), 0);
    bench.power.press_power_button();
    bench.power.press_power_button();
    assert_eq!(bench.irq.event().read().unwrap(), 2);
    assert_eq!([bench.events(), bench.events()], [GED_POWER_BUTTON, 0]);
    bench.power.press_power_button();
    bench.power.tell_of_generation();
    assert_eq!([bench.events(), bench.events()], [GED_POWER_BUTTON | GED_GENERATION, 0]);
}

#[test]
fn a_press_that_the_guest_has_not_seen_survives_a_move_and_interrupts_again() {
    let mut source = bench();
    source.power.press_power_button();
    let mut target = bench();
    target.power.restore(&source.power.save().unwrap()).unwrap();
    target.power.resume();
    assert_eq!(target.irq.event().read().unwrap(), 1);
    assert_eq!(target.events(), GED_POWER_BUTTON);
}

#[test]
fn an_event_that_does_not_exist_is_refused() {
    let refused = bench().power.restore(&PowerState { events: 0x82 }).unwrap_err();
    assert!(refused.to_string().contains("pending events 0x82"), "{refused}");
}
