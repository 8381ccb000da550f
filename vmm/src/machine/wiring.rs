//! Which devices a machine has, where they are and which interrupts they raise.
//!
//! The one list of devices: a boot and an incoming migration both make the machine from it. Knows nothing of how a
//! device works. Neighbours: `godwit-devices` for the devices, `boot::layout` for the windows.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use godwit_devices::{
    BusError, Counters, DEBUG_EXIT_PORT, DEBUG_EXIT_PORT_COUNT, DebugExit, DebugExitState, Device, GED_GSI,
    Generation, GenerationState, I8042, I8042_BASE, I8042_PORT_COUNT, I8042State, Irq, MmioBus, POWER_BASE,
    POWER_PORT_COUNT, PVPANIC_PORT, PVPANIC_PORT_COUNT, PioBus, PioDevice, Power, PowerState, Pvpanic,
    RTC_BASE, RTC_PORT_COUNT, Rtc, RtcState, Serial, SerialBackend, Shared, StopLine,
    serial::{COM1_BASE, COM1_GSI, Output, SERIAL_PORT_COUNT, SerialState},
    virtio::{
        Balloon, Block, Console, ConsoleError, DiskError, MMIO_WINDOW_BYTES, NOTIFY_OFFSET, Net, Rng,
        RngState, VirtioDevice, VirtioMmio, Vsock, VsockError,
    },
};
use godwit_migration::shape::DeviceShape;
use godwit_state::Schema;
use kvm_ioctls::{IoEventAddress, VmFd};

use crate::{
    acpi,
    boot::{GuestMemory, layout},
    device_set::{DeviceOutline, DeviceSet},
    error::MachineError,
    event_loop::Subscriber,
    kvm::KvmError,
};

/// The devices that every machine has, in the order in which they are saved.
const ALWAYS: [(&str, &str); 7] = [
    (COM1, SerialState::KIND),
    (KEYBOARD, I8042State::KIND),
    (CLOCK, RtcState::KIND),
    (DEBUG, DebugExitState::KIND),
    (POWER, PowerState::KIND),
    (GENERATION, GenerationState::KIND),
    (RNG, RngState::KIND),
];
const COM1: &str = "com1";
const KEYBOARD: &str = "i8042";
const CLOCK: &str = "rtc";
const DEBUG: &str = "debug-exit";
const POWER: &str = "power";
const RNG: &str = "rng0";
const GENERATION: &str = "vmgenid";
const CONSOLE: &str = "console0";
const VSOCK: &str = "vsock0";

/// Said of one virtio device too many.
const NO_WINDOW: &str = "no window is left for it; a machine has 15 virtio devices at most beside its rng0";

/// The devices of a machine, connected.
pub(super) struct Wiring {
    /// By port.
    pub pio: Arc<PioBus>,
    /// By address.
    pub mmio: Arc<MmioBus>,
    /// All of them, in the order in which they are saved.
    pub devices: Vec<Shared<dyn Device>>,
    /// What the devices wait for, until the event loop takes it.
    pub subscribers: Vec<Subscriber>,
    /// The virtio windows, for the ACPI tables.
    pub windows: Vec<acpi::MmioDevice>,
    /// The one with the power button.
    pub power: Shared<Power>,
    /// What a guest that is made from a copy is given anew.
    pub generation: Shared<Generation>,
    /// What the guest tells of its panic, where it has been given the means.
    pub pvpanic: Option<Shared<Pvpanic>>,
    /// The disks by number, to be resized.
    pub disks: Vec<Shared<VirtioMmio<Block>>>,
    /// The memory balloon, to be resized, and asked for free pages.
    pub balloon: Option<Shared<VirtioMmio<Balloon>>>,
    /// The consoles' output, to be flushed before the process ends.
    pub consoles: Vec<Output>,
    /// Where devices ask for the end of the run.
    pub stop: StopLine,
}

/// The devices of a machine that was asked for `devices`, in the order in which they are saved.
pub(super) fn outlines(devices: &DeviceSet) -> Vec<DeviceOutline> {
    let always = ALWAYS.map(|(instance, kind)| {
        let queue_sizes = if instance == RNG { devices.rng.queue_sizes() } else { Vec::new() };
        DeviceOutline { instance: instance.into(), kind, queue_sizes }
    });
    always.into_iter().chain(devices.outlines()).collect()
}

/// For `map_err`: a device that cannot be made.
fn failed<E: std::fmt::Display>(device: &str) -> impl Fn(E) -> MachineError {
    move |error| MachineError::Device { device: device.into(), reason: error.to_string() }
}

/// Devices under construction.
struct Bench<'a> {
    vm: &'a VmFd,
    memory: &'a GuestMemory,
    pio: PioBus,
    mmio: MmioBus,
    devices: Vec<Shared<dyn Device>>,
    subscribers: Vec<Subscriber>,
    windows: Vec<acpi::MmioDevice>,
}

impl Bench<'_> {
    /// A new interrupt line, connected to `gsi`.
    fn irq(&self, device: &str, gsi: u32) -> Result<Irq, MachineError> {
        let irq = Irq::new().map_err(failed::<io::Error>(device))?;
        self.vm.register_irqfd(irq.event(), gsi).map_err(KvmError::call("KVM_IRQFD"))?;
        Ok(irq)
    }

    /// Puts a device at `count` ports from `base`.
    fn ports<D>(
        &mut self,
        name: &'static str,
        base: u16,
        count: u16,
        device: D,
    ) -> Result<Shared<D>, MachineError>
    where
        D: PioDevice + Device + 'static,
    {
        let device = Arc::new(Mutex::new(device));
        let on_bus: Shared<dyn PioDevice> = device.clone();
        self.pio.insert(base, count, on_bus).map_err(failed::<BusError>(name))?;
        self.devices.push(device.clone());
        Ok(device)
    }

    /// Puts a virtio device into the next window; its queues are notified past the vCPU, by ioeventfd.
    fn virtio<D>(&mut self, name: &str, device: D) -> Result<Shared<VirtioMmio<D>>, MachineError>
    where
        D: VirtioDevice + 'static,
    {
        let place = self.windows.len();
        let gsi = *layout::VIRTIO_MMIO_GSIS.get(place).ok_or_else(|| failed(name)(NO_WINDOW))?;
        let base = layout::VIRTIO_MMIO_BASE + place as u64 * layout::VIRTIO_MMIO_SIZE;
        let irq = self.irq(name, gsi)?;
        let device = VirtioMmio::new(name, device, self.memory.clone(), irq);
        let device = device.map_err(failed::<io::Error>(name))?;
        for (queue, event) in device.notifiers() {
            let address = IoEventAddress::Mmio(base + NOTIFY_OFFSET);
            self.vm.register_ioevent(event, &address, queue).map_err(KvmError::call("KVM_IOEVENTFD"))?;
        }
        let device = Arc::new(Mutex::new(device));
        self.mmio.insert(base, MMIO_WINDOW_BYTES, device.clone()).map_err(failed::<BusError>(name))?;
        self.devices.push(device.clone());
        self.subscribers.push(Box::new(device.clone()));
        self.windows.push(acpi::MmioDevice { base, size: layout::VIRTIO_MMIO_SIZE, gsi });
        Ok(device)
    }
}

impl Wiring {
    /// Makes all devices of a machine and connects them to `vm`, which has its interrupt controllers. In the order of
    /// [`outlines`].
    pub(super) fn new(
        vm: &VmFd,
        memory: &GuestMemory,
        serial: &SerialBackend,
        devices: &DeviceSet,
    ) -> Result<Self, MachineError> {
        let stop = StopLine::new().map_err(failed::<io::Error>("stop"))?;
        let mut bench = Bench {
            vm,
            memory,
            pio: PioBus::default(),
            mmio: MmioBus::default(),
            devices: Vec::new(),
            subscribers: Vec::new(),
            windows: Vec::new(),
        };
        let irq = bench.irq(COM1, COM1_GSI)?;
        let com1 = Serial::new(COM1, irq, serial, stop.clone()).map_err(failed(COM1))?;
        let mut consoles = vec![com1.output()];
        let com1 = bench.ports(COM1, COM1_BASE, SERIAL_PORT_COUNT, com1)?;
        bench.subscribers.push(Box::new(com1));
        bench.ports(KEYBOARD, I8042_BASE, I8042_PORT_COUNT, I8042::new(KEYBOARD, stop.clone()))?;
        bench.ports(CLOCK, RTC_BASE, RTC_PORT_COUNT, Rtc::of_host(CLOCK))?;
        let debug_exit = DebugExit::new(DEBUG, stop.clone());
        bench.ports(DEBUG, DEBUG_EXIT_PORT, DEBUG_EXIT_PORT_COUNT, debug_exit)?;
        let irq = bench.irq(POWER, GED_GSI)?;
        let power = bench.ports(POWER, POWER_BASE, POWER_PORT_COUNT, Power::new(POWER, irq, stop.clone()))?;
        let generation = Generation::new(GENERATION, memory.clone(), layout::GENERATION);
        let generation = Arc::new(Mutex::new(generation));
        bench.devices.push(generation.clone());
        let rng = Rng::configured(&devices.rng).map_err(failed::<io::Error>(RNG))?;
        bench.virtio(RNG, rng)?;
        let mut disks = Vec::new();
        for (number, config) in devices.disks.iter().enumerate() {
            let name = format!("disk{number}");
            let disk = Block::open(config).map_err(failed::<DiskError>(&name))?;
            disks.push(bench.virtio(&name, disk)?);
        }
        for (number, config) in devices.net.iter().enumerate() {
            let name = format!("net{number}");
            bench.virtio(&name, Net::new(config).map_err(failed(&name))?)?;
        }
        let balloon = devices.balloon.as_ref().map(|config| bench.virtio("balloon0", Balloon::new(config)));
        let balloon = balloon.transpose()?;
        if let Some(config) = &devices.vsock {
            bench.virtio(VSOCK, Vsock::new(config).map_err(failed::<VsockError>(VSOCK))?)?;
        }
        let ports = devices.ports();
        if !ports.is_empty() {
            if *serial == SerialBackend::Stdio && devices.has_terminal() {
                return Err(failed(CONSOLE)(
                    "the serial port has the terminal; give that another place, such as --serial null",
                ));
            }
            let console = Console::new(&ports, stop.clone()).map_err(failed::<ConsoleError>(CONSOLE))?;
            consoles.extend(console.outputs());
            bench.virtio(CONSOLE, console)?;
        }
        let pvpanic = devices.pvpanic.then(|| {
            let port = Pvpanic::new(DeviceSet::PVPANIC, stop.clone());
            bench.ports(DeviceSet::PVPANIC, PVPANIC_PORT, PVPANIC_PORT_COUNT, port)
        });
        let pvpanic = pvpanic.transpose()?;
        let Bench { pio, mmio, devices, subscribers, windows, .. } = bench;
        Ok(Self {
            pio: Arc::new(pio),
            mmio: Arc::new(mmio),
            devices,
            subscribers,
            windows,
            power,
            generation,
            pvpanic,
            disks,
            balloon,
            consoles,
            stop,
        })
    }

    /// Runs `each` on every device in turn, and stops at the first error.
    pub(super) fn each<E>(&self, mut each: impl FnMut(&mut dyn Device) -> Result<(), E>) -> Result<(), E> {
        self.devices.iter().try_for_each(|d| each(&mut *d.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// What the ACPI tables tell the guest of.
    pub(super) fn attached(&self) -> acpi::Attached<'_> {
        acpi::Attached { windows: &self.windows, pvpanic: self.pvpanic.is_some() }
    }

    /// What the devices count, by instance; those that count nothing are left out.
    pub(super) fn counters(&self) -> BTreeMap<String, Counters> {
        let of = |device: &Shared<dyn Device>| {
            let device = device.lock().unwrap_or_else(PoisonError::into_inner);
            (device.instance().to_owned(), device.counters())
        };
        self.devices.iter().map(of).filter(|(_, counters)| !counters.is_empty()).collect()
    }

    /// What the devices are.
    pub(super) fn shape(&self) -> Vec<DeviceShape> {
        let shape = |device: &Shared<dyn Device>| {
            let device = device.lock().unwrap_or_else(PoisonError::into_inner);
            let (instance, kind) = (device.instance().to_owned(), device.kind().to_owned());
            let queue_sizes = device.queue_sizes().to_vec();
            DeviceShape { instance, kind, version: device.version(), queue_sizes }
        };
        self.devices.iter().map(shape).collect()
    }
}
