//! Hostile guests on the ISA bus: any width at any port, by themselves and in storms, with moves in between. After each
//! sequence every device comes back from its saved state, and does what it is for.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use event_manager::{EventManager, SubscriberOps};
use vmm_sys_util::tempdir::TempDir;

use super::{Mutator, sequences};
use crate::{
    DEBUG_EXIT_PORT, DEBUG_EXIT_PORT_COUNT, DebugExit, Device, I8042, I8042_BASE, I8042_PORT_COUNT, Irq,
    POWER_BASE, POWER_PORT_COUNT, PVPANIC_PORT, PVPANIC_PORT_COUNT, PioBus, PioDevice, Power, Pvpanic,
    RESET_PORT, RESET_VALUE, RTC_BASE, RTC_PORT_COUNT, Rtc, S5_SLP_TYP, SLEEP_CONTROL_PORT, Serial,
    SerialBackend, Shared, Stop, StopLine,
    serial::{COM1_BASE, SERIAL_PORT_COUNT},
};

/// The kinds of devices that these attack.
pub(crate) const ATTACKED: [&str; 6] = ["serial16550", "i8042", "rtc", "debug-exit", "power", "pvpanic"];

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Sequences that CI plays.
const SEQUENCES: u64 = 400;
/// Where devices are, and how many ports each has.
const PORTS: [(u16, u16); 6] = [
    (COM1_BASE, SERIAL_PORT_COUNT),
    (I8042_BASE, I8042_PORT_COUNT),
    (RTC_BASE, RTC_PORT_COUNT),
    (DEBUG_EXIT_PORT, DEBUG_EXIT_PORT_COUNT),
    (POWER_BASE, POWER_PORT_COUNT),
    (PVPANIC_PORT, PVPANIC_PORT_COUNT),
];

/// All that there is on the bus.
struct Machine {
    bus: PioBus,
    devices: Vec<Shared<dyn Device>>,
    power: Shared<Power>,
    events: EventManager<Shared<Serial>>,
    stop: StopLine,
}

impl Machine {
    /// One whose console goes to `log`.
    fn new(log: &Path) -> Self {
        let (irq, stop) = (|| Irq::new().unwrap(), StopLine::new().unwrap());
        let backend = SerialBackend::File(log.into());
        let serial = Arc::new(Mutex::new(Serial::new("com1", irq(), &backend, stop.clone()).unwrap()));
        let power = Arc::new(Mutex::new(Power::new("power", irq(), stop.clone())));
        let mut events = EventManager::new().unwrap();
        events.add_subscriber(serial.clone());
        let (bus, devices) = (PioBus::default(), Vec::new());
        let mut machine = Self { bus, devices, power: power.clone(), events, stop: stop.clone() };
        machine.put(0, serial);
        machine.put(1, Arc::new(Mutex::new(I8042::new("i8042", stop.clone()))));
        machine.put(2, Arc::new(Mutex::new(Rtc::of_host("rtc"))));
        machine.put(3, Arc::new(Mutex::new(DebugExit::new("debug-exit", stop.clone()))));
        machine.put(4, power);
        machine.put(5, Arc::new(Mutex::new(Pvpanic::new("pvpanic", stop))));
        machine.each(|device| device.resume());
        machine
    }

    fn put<D: Device + PioDevice + 'static>(&mut self, place: usize, device: Shared<D>) {
        let (base, count) = PORTS[place];
        self.bus.insert(base, count, device.clone()).unwrap();
        self.devices.push(device);
    }

    fn each(&self, what: impl Fn(&mut dyn Device)) {
        self.devices.iter().for_each(|device| what(&mut *device.lock().unwrap()));
    }

    /// A machine that takes over all of this one's state.
    fn moved(self, log: &Path) -> Self {
        self.each(|device| device.pause());
        let target = Self::new(log);
        for (source, target) in self.devices.iter().zip(&target.devices) {
            let (source, mut target) = (source.lock().unwrap(), target.lock().unwrap());
            target.pause();
            let saved = source.save_section().unwrap();
            target.restore_section(&saved).unwrap();
            assert_eq!(target.save_section().unwrap(), saved);
            target.resume();
        }
        target
    }

    fn step(&mut self, mutator: &mut Mutator) {
        let (base, count) = PORTS[mutator.below(PORTS.len())];
        let port = match mutator.below(16) {
            0 => mutator.next() as u16,
            1 => base.wrapping_add(count).wrapping_sub(mutator.below(3) as u16),
            _ => base + mutator.below(count.into()) as u16,
        };
        let mut data = mutator.next().to_le_bytes();
        if mutator.below(2) == 0 {
            data = (1_u64 << mutator.below(64)).to_le_bytes();
        }
        let data = &mut data[..[1, 1, 1, 2, 4, 8][mutator.below(6)]];
        // Storms find what grows.
        let times = [1, 1, 1, 300][mutator.below(64) / 21];
        match mutator.below(8) {
            0 => drop(self.events.run_with_timeout(0)),
            1 => {
                let mut power = self.power.lock().unwrap();
                if mutator.below(2) == 0 { power.press_power_button() } else { power.tell_of_generation() }
            }
            2..5 => (0..times).for_each(|_| self.bus.read(port, data)),
            _ => (0..times).for_each(|_| self.bus.write(port, data)),
        }
    }

    fn read(&self, port: u16) -> u8 {
        let mut byte = [0];
        self.bus.read(port, &mut byte);
        byte[0]
    }

    /// A guest that does as it should is served by each of them.
    fn serves(&mut self, log: &Path) {
        // No loop-back, 8 bits and no divisor, no interrupts, its FIFO on and clear.
        for (register, value) in [(3, 3), (4, 0), (1, 0), (2, 7)] {
            self.bus.write(COM1_BASE + register, &[value]);
        }
        b"the end".iter().for_each(|byte| self.bus.write(COM1_BASE, &[*byte]));
        let end = Instant::now() + PATIENCE;
        while !fs::read(log).unwrap().ends_with(b"the end") {
            assert!(Instant::now() < end, "the console is silent");
            self.events.run_with_timeout(20).unwrap();
        }
        // Binary or not, by 12 hours or 24: a month is none but these.
        self.bus.write(RTC_BASE, &[0x0b]);
        self.bus.write(RTC_BASE + 1, &[0x02]);
        self.bus.write(RTC_BASE, &[0x08]);
        let month = self.read(RTC_BASE + 1);
        assert!((1..=9).contains(&month) || (0x10..=0x12).contains(&month), "month {month:#x}");
        assert_eq!(self.read(PVPANIC_PORT), 3, "what a guest can tell of a panic");
        assert_eq!(self.read(I8042_BASE + 4) & 2, 0, "a keyboard controller that takes no command");
    }
}

/// What a guest asks for last, and what then happens.
const ENDS: [(u16, u8, Stop); 4] = [
    (I8042_BASE + 4, 0xfe, Stop::Reset),
    (RESET_PORT, RESET_VALUE, Stop::Reset),
    (SLEEP_CONTROL_PORT, S5_SLP_TYP << 2 | 1 << 5, Stop::PowerOff),
    (DEBUG_EXIT_PORT, 21, Stop::DebugExit { code: 43 }),
];

#[test]
fn a_hostile_guest_on_the_isa_bus() {
    let mut stopped = 0;
    sequences(27, SEQUENCES, |mutator| {
        let folder = TempDir::new().unwrap();
        let log = |name: &str| folder.as_path().join(name);
        let mut machine = Machine::new(&log("first"));
        for _ in 0..mutator.below(300) {
            machine.step(mutator);
        }
        stopped += u32::from(machine.stop.asked().is_some());
        let mut machine = machine.moved(&log("last"));
        machine.serves(&log("last"));
        let (port, value, stop) = ENDS[mutator.below(ENDS.len())];
        machine.bus.write(port, &[value]);
        assert_eq!(machine.stop.asked(), Some(stop));
    });
    assert!(stopped > 0, "no sequence came so far as to end its machine");
}
