//! One port: its two ends, and what the driver is owed of it.
//!
//! A console never makes its guest wait: what nobody reads is dropped, the oldest first, as on the serial port. A port with a
//! name loses nothing while somebody is at its host's end: what that does not take stays in the driver's queue.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
    sync::Arc,
};

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use super::{config::PortConfig, control::Owed, state::PortState};
use crate::{
    serial::{Input, LAST_OUTPUT, Output, Received, SerialError, Sink},
    virtio::console::ConsoleError,
};

/// Where the guest's bytes go.
enum Way {
    /// To a console, which never makes anybody wait.
    Console(Output),
    /// To a file.
    File(Arc<File>),
    /// To the client of a socket, if there is one.
    Client(Option<Arc<UnixStream>>),
    /// Nowhere.
    Null,
}

/// What became of bytes of the guest.
pub enum Sent {
    /// They are done with.
    All,
    /// So many are; the others have to wait.
    Part(usize),
}

/// A port.
pub struct Port {
    /// Empty for a console.
    name: String,
    input: Input,
    way: Way,
    epoll: Epoll,
    /// What of the input's descriptor is watched.
    watched: Option<(RawFd, EventSet)>,
    /// The input is of a kind that is always ready and cannot be watched: a file, /dev/null.
    always_ready: bool,
    /// Somebody in the guest has it open.
    pub guest_open: bool,
    /// What the driver was told last of the host's end.
    told_open: bool,
    /// [`Owed`] messages.
    owed: u8,
    /// Bytes that are done with of the chain that waits first.
    pub done: usize,
}

impl Port {
    /// The port that `config` asks for.
    ///
    /// # Errors
    /// [`ConsoleError`], which names the file or socket.
    pub fn new(config: &PortConfig) -> Result<Self, ConsoleError> {
        let (input, sink) = config.backend()?.open()?;
        let way = match (&config.name, sink) {
            (None, sink) => Way::Console(Output::start(sink).map_err(SerialError::Setup)?),
            (Some(_), Some(Sink::File(file))) => Way::File(file),
            (Some(_), Some(Sink::Null)) => Way::Null,
            (Some(_), Some(Sink::Client(_)) | None) => Way::Client(None),
        };
        let mut port = Self {
            name: config.name.clone().unwrap_or_default(),
            input,
            way,
            epoll: Epoll::new()?,
            watched: None,
            always_ready: false,
            guest_open: false,
            told_open: false,
            owed: 0,
            done: 0,
        };
        port.watch(EventSet::IN);
        Ok(port)
    }

    /// Becomes readable when there is something to [`look`](Self::look) at.
    pub fn fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    /// The way to a console, to flush it before the process ends.
    pub fn output(&self) -> Option<&Output> {
        match &self.way {
            Way::Console(output) => Some(output),
            _ => None,
        }
    }

    fn is_console(&self) -> bool {
        matches!(self.way, Way::Console(_))
    }

    /// Whether somebody is at the host's end; at a console's there always is.
    fn is_open(&self) -> bool {
        !matches!(self.way, Way::Client(None))
    }

    /// Watches the descriptor that the input has now, and no other.
    fn watch(&mut self, events: EventSet) {
        let wanted = self.input.fd().filter(|_| !self.always_ready).map(|fd| (fd, events));
        if wanted == self.watched {
            return;
        }
        if let Some((fd, events)) = self.watched.take() {
            // Fails where the descriptor is closed by now, which is as good.
            let _ = self.epoll.ctl(ControlOperation::Delete, fd, EpollEvent::new(events, 0));
        }
        let Some((fd, events)) = wanted else { return };
        match self.epoll.ctl(ControlOperation::Add, fd, EpollEvent::new(events, 0)) {
            Ok(()) => self.watched = wanted,
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => self.always_ready = true,
            Err(error) => {
                tracing::warn!("a console's input cannot be watched and is given up: {error}");
                self.input = Input::None;
            }
        }
    }

    /// What there is at the host's end; nothing where nothing is new.
    pub fn look(&mut self) -> io::Result<EventSet> {
        if self.always_ready {
            return Ok(if self.input.fd().is_some() { EventSet::IN } else { EventSet::empty() });
        }
        let mut events = [EpollEvent::default()];
        match self.epoll.wait(0, &mut events) {
            Ok(0) => Ok(EventSet::empty()),
            Ok(_) => Ok(events[0].event_set()),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(EventSet::empty()),
            Err(error) => Err(error),
        }
    }

    /// Lets the client that knocks in; whether the input is a listener, so that this was all there was to do.
    pub fn let_in(&mut self) -> bool {
        if !self.input.awaits_client() {
            return false;
        }
        if let Some(client) = self.input.accept() {
            match &mut self.way {
                Way::Console(output) => output.connect(Some(Sink::Client(client))),
                Way::Client(place) if client.set_nonblocking(true).is_ok() => *place = Some(client),
                _ => self.input.hang_up(),
            }
            self.watch(EventSet::IN);
            self.host_changed();
        }
        true
    }

    /// Whether the driver takes input now: a console's always does.
    pub fn takes_input(&self) -> bool {
        self.is_console() || self.guest_open
    }

    /// Reads at most `room` bytes, which must be there.
    pub fn read(&mut self, room: usize) -> Received {
        let received = self.input.read(room);
        if received.ended {
            self.hang_up();
        }
        received
    }

    /// Lets go of the client, or of an input that has ended.
    pub fn hang_up(&mut self) {
        self.input.hang_up();
        match &mut self.way {
            Way::Console(output) if self.input.awaits_client() => output.connect(None),
            Way::Client(place) => *place = None,
            _ => {}
        }
        self.done = 0;
        self.watch(EventSet::IN);
        self.host_changed();
    }

    /// Whether a client of its socket is there.
    pub fn has_client(&self) -> bool {
        self.input.has_client()
    }

    /// Takes bytes of the guest.
    pub fn send(&mut self, bytes: &[u8]) -> Sent {
        let written = match &self.way {
            Way::Console(output) => {
                output.push(bytes);
                Ok(bytes.len())
            }
            Way::Null | Way::Client(None) => Ok(bytes.len()),
            Way::File(file) => file.as_ref().write_all(bytes).map(|()| bytes.len()),
            Way::Client(Some(client)) => write_some(client, bytes),
        };
        match written {
            Ok(written) if written == bytes.len() => Sent::All,
            Ok(written) => {
                self.watch(EventSet::IN | EventSet::OUT);
                Sent::Part(written)
            }
            Err(error) => {
                tracing::debug!("a console's port loses what it was sent: {error}");
                if matches!(self.way, Way::Client(_)) {
                    self.hang_up();
                }
                Sent::All
            }
        }
    }

    /// The client takes more now.
    pub fn may_send(&mut self) {
        self.watch(EventSet::IN);
    }

    fn host_changed(&mut self) {
        // A driver that does not know the port yet is told when it does.
        if self.is_open() != self.told_open {
            self.owe(Owed::Open);
        }
    }

    fn owe(&mut self, message: Owed) {
        self.owed |= message as u8;
    }

    /// The driver is ready for ports.
    pub fn device_ready(&mut self) {
        self.owe(Owed::Add);
    }

    /// The driver is ready for this one.
    pub fn port_ready(&mut self) {
        self.owe(if self.is_console() { Owed::Console } else { Owed::Name });
        self.told_open = false;
        self.host_changed();
    }

    /// The next message about this port, number `number`, that is owed.
    pub fn next_message(&self, number: u32) -> Option<(Owed, Vec<u8>)> {
        let owed = Owed::ALL.into_iter().find(|owed| self.owed & *owed as u8 != 0)?;
        Some((owed, owed.message(number, &self.name, self.is_open())))
    }

    /// That message was sent.
    pub fn told(&mut self, message: Owed) {
        self.owed &= !(message as u8);
        if message == Owed::Open {
            self.told_open = self.is_open();
        }
    }

    /// The driver has reset the device.
    pub fn reset(&mut self) {
        (self.guest_open, self.told_open, self.owed, self.done) = (false, false, 0, 0);
    }

    pub fn save(&self) -> PortState {
        let Self { guest_open, told_open, owed, .. } = *self;
        PortState { name: self.name.clone(), guest_open, told_open, owed }
    }

    /// Takes over what the guest knows of the port; says what is wrong with it if it cannot be.
    pub fn restore(&mut self, state: &PortState) -> Result<(), String> {
        if state.name != self.name {
            let called = |name: &str| if name.is_empty() { "a console".into() } else { format!("'{name}'") };
            let (guest, own) = (called(&state.name), called(&self.name));
            return Err(format!(
                "the guest's port is {guest}, this one {own}: give the same ports in the same order"
            ));
        }
        if state.owed & !Owed::ALL.iter().fold(0, |all, owed| all | *owed as u8) != 0 {
            return Err(format!("messages {:#x} are owed that do not exist", state.owed));
        }
        (self.guest_open, self.told_open, self.owed) = (state.guest_open, state.told_open, state.owed);
        Ok(())
    }

    /// The guest was told of another host's end than this.
    pub fn moved(&mut self) {
        // To a driver that has not been told anything yet nothing is news.
        if self.told_open {
            self.host_changed();
        }
    }
}

/// Writes as much as is taken at once.
fn write_some(mut client: &UnixStream, bytes: &[u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match client.write(&bytes[done..]) {
            Ok(written) => done += written,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

impl Drop for Port {
    /// Gives a console's last output a moment to be read.
    fn drop(&mut self) {
        if let Some(output) = self.output() {
            output.close();
            output.flush(LAST_OUTPUT);
        }
    }
}
