//! Messages about ports (virtio 1.2 §5.3.6.2): which there are, what they are called, whether somebody is there.

/// Bytes of a message, but for a name behind it.
pub const MESSAGE_BYTES: usize = 8;

const DEVICE_READY: u16 = 0;
const DEVICE_ADD: u16 = 1;
const PORT_READY: u16 = 3;
const CONSOLE_PORT: u16 = 4;
const PORT_OPEN: u16 = 6;
const PORT_NAME: u16 = 7;

/// What the driver says.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// It is ready for ports, or will never be.
    DeviceReady(bool),
    /// It is ready for this port, or will never be.
    PortReady(u32, bool),
    /// Somebody in the guest has opened the port, or closed it.
    Open(u32, bool),
    /// Something that has no meaning here.
    Unknown,
}

/// Reads a message.
pub fn read(bytes: &[u8; MESSAGE_BYTES]) -> Said {
    let [a, b, c, d, event_low, event_high, value_low, value_high] = *bytes;
    let (port, value) = (u32::from_le_bytes([a, b, c, d]), [value_low, value_high] != [0, 0]);
    match u16::from_le_bytes([event_low, event_high]) {
        DEVICE_READY => Said::DeviceReady(value),
        PORT_READY => Said::PortReady(port, value),
        PORT_OPEN => Said::Open(port, value),
        _ => Said::Unknown,
    }
}

/// What the driver is owed of a port; sent in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Owed {
    /// It is there.
    Add = 1,
    /// It is a console.
    Console = 2,
    /// Its name.
    Name = 4,
    /// Whether somebody is at the host's end.
    Open = 8,
}

impl Owed {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [Self::Add, Self::Console, Self::Name, Self::Open];

    /// The message about port `port`.
    pub fn message(self, port: u32, name: &str, is_open: bool) -> Vec<u8> {
        let (event, value, name) = match self {
            Self::Add => (DEVICE_ADD, 1, ""),
            Self::Console => (CONSOLE_PORT, 1, ""),
            Self::Name => (PORT_NAME, 1, name),
            Self::Open => (PORT_OPEN, u16::from(is_open), ""),
        };
        let (event, value) = (event.to_le_bytes(), value.to_le_bytes());
        [&port.to_le_bytes()[..], &event, &value, name.as_bytes()].concat()
    }
}
