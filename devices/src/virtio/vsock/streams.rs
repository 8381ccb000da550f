//! All streams of a guest, and the sockets of the host at their other ends.
//!
//! One epoll descriptor watches the listener and every socket, edge-triggered; it is what the event loop waits for. What
//! the guest is to be sent stands in turns of one packet for each stream. At most [`MOST_STREAMS`] sockets are open; a
//! client that comes when all are taken waits in the listener's queue, a guest that asks is refused. Neighbours:
//! [`super::connection`] is one stream, [`super::greeting`] a client that has not said where it wants to go.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, ErrorKind, Write},
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
};

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use super::{
    connection::{Connection, Key, Violation},
    greeting::{self, Greeting, Heard},
    packet::*,
    sys,
};

/// Most sockets at a time.
pub const MOST_STREAMS: usize = 512;
/// While so many answers wait for room, nothing more is taken from the guest.
const MOST_REPLIES: usize = 256;
/// Ports of the host for streams that a client asks for.
pub const FIRST_PORT: u32 = 1 << 30;
const LAST_PORT: u32 = (1 << 31) - 1;
/// The listener's name among what epoll watches.
const LISTENER: u64 = 0;
/// Events that are looked at in one go.
const EVENTS: usize = 64;

enum Entry {
    Greeting(Greeting),
    Stream(Box<Connection>),
    /// Over for the guest; the host has not taken all of it yet.
    Rest(UnixStream, VecDeque<u8>),
}

/// The streams.
pub struct Streams {
    cid: u64,
    path: PathBuf,
    listener: UnixListener,
    epoll: Epoll,
    /// By their names among what epoll watches, which never come again.
    entries: HashMap<u64, Entry>,
    names: HashMap<Key, u64>,
    last_name: u64,
    next_port: u32,
    /// Streams that have a packet for the guest, each once.
    ready: VecDeque<u64>,
    /// Packets for the guest that belong to no stream.
    replies: VecDeque<Header>,
    /// Somebody may be at the listener.
    knocking: bool,
}

impl Streams {
    /// No streams yet, of a guest with the address `cid`, whose clients come to `listener` at `path`.
    ///
    /// # Errors
    /// Those of epoll: out of descriptors or memory.
    pub fn new(cid: u64, listener: UnixListener, path: PathBuf) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        watch(&epoll, listener.as_raw_fd(), LISTENER)?;
        Ok(Self {
            cid,
            path,
            listener,
            epoll,
            entries: HashMap::new(),
            names: HashMap::new(),
            last_name: LISTENER,
            next_port: FIRST_PORT,
            ready: VecDeque::new(),
            replies: VecDeque::new(),
            knocking: true,
        })
    }

    /// Becomes readable when there is something to [`look`](Self::look) at.
    pub fn fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    /// The port of the host that the next client will have.
    pub fn next_port(&self) -> u32 {
        self.next_port
    }

    /// Goes on with the ports of another host; says what is wrong with `port` if it cannot be.
    pub fn set_next_port(&mut self, port: u32) -> Result<(), String> {
        if !(FIRST_PORT..=LAST_PORT).contains(&port) {
            return Err(format!("port {port} is none of the host's, {FIRST_PORT} to {LAST_PORT}"));
        }
        self.next_port = port;
        Ok(())
    }

    /// Ends all streams: their clients see it, the guest is not told.
    pub fn end_all(&mut self) {
        self.entries.clear();
        self.names.clear();
        self.ready.clear();
        self.replies.clear();
        self.knocking = true;
    }

    /// Whether the guest must wait until it has taken what it is owed.
    pub fn is_full(&self) -> bool {
        self.replies.len() >= MOST_REPLIES
    }

    /// Whether there is, or may be, something to do on the way to the guest: a packet, or a client to let in.
    pub fn has_work(&self) -> bool {
        self.has_packets() || (self.knocking && self.entries.len() < MOST_STREAMS)
    }

    /// Whether there is, or may be, a packet for the guest.
    pub fn has_packets(&self) -> bool {
        !self.replies.is_empty() || !self.ready.is_empty()
    }

    /// Looks at the sockets; whether there may be more to look at.
    pub fn look(&mut self) -> io::Result<bool> {
        let mut events = [EpollEvent::default(); EVENTS];
        let count = match self.epoll.wait(0, &mut events) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            count => count?,
        };
        for event in &events[..count] {
            match event.data() {
                LISTENER => self.knocking = true,
                name => self.happened(name, event.event_set()),
            }
        }
        Ok(count == EVENTS || self.let_in())
    }

    /// Lets clients in, as many as are looked at in one go; whether there may be more.
    fn let_in(&mut self) -> bool {
        let mut left = EVENTS;
        while self.knocking && self.entries.len() < MOST_STREAMS {
            if left == 0 {
                return true;
            }
            left -= 1;
            match self.listener.accept() {
                Ok((socket, _)) => {
                    let added = socket.set_nonblocking(true).and_then(|()| self.add(socket, Greeting::of));
                    if let Ok(name) = added {
                        self.happened(name, EventSet::IN);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.knocking = false,
                Err(error) => {
                    // Out of descriptors: the next time is when there is anything to do.
                    tracing::debug!("a client of vsock cannot be let in: {error}");
                    return false;
                }
            }
        }
        false
    }

    /// Watches a socket, and keeps what `made` makes of it.
    fn add<E: Into<Entry>>(
        &mut self,
        socket: UnixStream,
        made: impl FnOnce(UnixStream) -> E,
    ) -> io::Result<u64> {
        let name = self.last_name + 1;
        watch(&self.epoll, socket.as_raw_fd(), name)?;
        self.last_name = name;
        self.entries.insert(name, made(socket).into());
        Ok(name)
    }

    fn happened(&mut self, name: u64, events: EventSet) {
        match self.entries.remove(&name) {
            Some(Entry::Greeting(greeting)) => match greeting.listen() {
                Heard::Part(greeting) => drop(self.entries.insert(name, Entry::Greeting(greeting))),
                Heard::Port(socket, guest_port) => {
                    let key = Key { host_port: self.free_port(guest_port), guest_port };
                    self.names.insert(key, name);
                    self.entries.insert(name, Connection::asked_for(key, socket).into());
                    self.queue(name);
                }
                Heard::Nothing => {}
            },
            Some(Entry::Stream(mut stream)) => {
                let gone = !stream.is_open() && events.intersects(EventSet::HANG_UP | EventSet::ERROR);
                let unheard = stream.is_unheard();
                stream.happened(events);
                self.entries.insert(name, Entry::Stream(stream));
                match (gone, unheard) {
                    (false, _) => self.queue(name),
                    (true, true) => drop(self.remove(name)),
                    (true, false) => self.reset(name),
                }
            }
            Some(Entry::Rest(socket, data)) => self.hand_over(name, socket, data),
            None => {}
        }
    }

    /// Writes the rest of a stream to its socket, and keeps what that does not take yet.
    fn hand_over(&mut self, name: u64, socket: UnixStream, mut data: VecDeque<u8>) {
        while !data.is_empty() {
            match (&socket).write(data.as_slices().0) {
                Ok(written) => drop(data.drain(..written)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.entries.insert(name, Entry::Rest(socket, data));
                    return;
                }
                Err(_) => return,
            }
        }
    }

    /// A port of the host that no stream to that port of the guest has.
    fn free_port(&mut self, guest_port: u32) -> u32 {
        loop {
            let host_port = self.next_port;
            self.next_port = if host_port == LAST_PORT { FIRST_PORT } else { host_port + 1 };
            // There are far more ports than streams.
            if !self.names.contains_key(&Key { host_port, guest_port }) {
                return host_port;
            }
        }
    }

    fn stream(&mut self, name: u64) -> Option<&mut Connection> {
        match self.entries.get_mut(&name) {
            Some(Entry::Stream(stream)) => Some(stream),
            _ => None,
        }
    }

    /// Gives a stream its turn, if it has anything for the guest.
    fn queue(&mut self, name: u64) {
        let Some(stream) = self.stream(name) else { return };
        if stream.has_packet() && !std::mem::replace(&mut stream.queued, true) {
            self.ready.push_back(name);
        }
    }

    /// Takes a stream out.
    fn remove(&mut self, name: u64) -> Option<Connection> {
        match self.entries.remove(&name) {
            Some(Entry::Stream(stream)) => {
                self.names.remove(&stream.key);
                Some(*stream)
            }
            _ => None,
        }
    }

    /// Ends a stream at once, for both sides.
    fn reset(&mut self, name: u64) {
        if let Some(stream) = self.remove(name) {
            self.tell_reset(stream.key);
        }
    }

    /// There will be no more of a stream that is no longer there.
    fn tell_reset(&mut self, key: Key) {
        self.replies.push_back(Header {
            src_cid: HOST_CID,
            dst_cid: self.cid,
            src_port: key.host_port,
            dst_port: key.guest_port,
            kind: STREAM,
            op: RST,
            ..Header::default()
        });
    }

    /// Takes a packet of the guest.
    pub fn take(&mut self, header: &Header, data: &[u8]) {
        if header.src_cid != self.cid {
            // Whoever that is, an answer would not find it.
            return;
        }
        let key = Key { host_port: header.dst_port, guest_port: header.src_port };
        let known = header.kind == STREAM && header.dst_cid == HOST_CID;
        let name = self.names.get(&key).copied().filter(|_| known);
        match name {
            Some(name) => self.take_for(name, header, data),
            None if header.op == RST => {}
            None if known && header.op == REQUEST => self.connect(key, header),
            None => self.replies.push_back(header.reset()),
        }
    }

    /// The guest wants to connect to a port of the host.
    fn connect(&mut self, key: Key, header: &Header) {
        let mut path = self.path.clone().into_os_string();
        path.push(format!("_{}", key.host_port));
        let has_place = self.entries.len() < MOST_STREAMS;
        let connected = has_place.then(|| sys::connect(path.as_ref())).and_then(Result::ok);
        let added = connected.and_then(|socket| {
            self.add(socket, |socket| {
                let mut stream = Connection::accepted(key, socket);
                stream.heed(header);
                stream
            })
            .ok()
        });
        match added {
            Some(name) => {
                self.names.insert(key, name);
                self.queue(name);
            }
            None => self.replies.push_back(header.reset()),
        }
    }

    /// Takes a packet for a stream that there is.
    fn take_for(&mut self, name: u64, header: &Header, data: &[u8]) {
        let Some(stream) = self.stream(name) else { return };
        stream.heed(header);
        let done = match header.op {
            RESPONSE if !stream.is_open() => {
                stream.open();
                greeting::accept(stream.socket(), header.dst_port).map_err(|_| Violation)
            }
            RW => stream.take(data),
            CREDIT_UPDATE => Ok(()),
            CREDIT_REQUEST => {
                stream.tell_credit();
                Ok(())
            }
            SHUTDOWN => {
                if stream.guest_ends(header.flags) {
                    return self.end(name);
                }
                Ok(())
            }
            RST => return drop(self.remove(name)),
            _ => Err(Violation),
        };
        match done {
            Ok(()) => self.queue(name),
            Err(Violation) => self.reset(name),
        }
    }

    /// The guest has ended a stream in order: it is over at once for it, and for the host when it has taken the rest.
    fn end(&mut self, name: u64) {
        let Some(stream) = self.remove(name) else { return };
        self.tell_reset(stream.key);
        let (socket, data) = stream.into_rest();
        self.hand_over(name, socket, data);
    }

    /// The next packet for the guest, whose data goes to `data`.
    pub fn next_packet(&mut self, data: &mut [u8]) -> Option<Header> {
        if let Some(reply) = self.replies.pop_front() {
            return Some(reply);
        }
        let cid = self.cid;
        while let Some(name) = self.ready.pop_front() {
            let Some(stream) = self.stream(name) else { continue };
            stream.queued = false;
            let packet = stream.next_packet(cid, data);
            self.queue(name);
            if packet.is_some() {
                return packet;
            }
        }
        None
    }
}

impl From<Greeting> for Entry {
    fn from(greeting: Greeting) -> Self {
        Self::Greeting(greeting)
    }
}

impl From<Connection> for Entry {
    fn from(stream: Connection) -> Self {
        Self::Stream(Box::new(stream))
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        // Best effort: a path that someone removed or that cannot be removed is no reason to fail at the end.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Has `epoll` tell of everything that happens to a socket, once each.
fn watch(epoll: &Epoll, fd: RawFd, name: u64) -> io::Result<()> {
    let events = EventSet::IN | EventSet::OUT | EventSet::READ_HANG_UP | EventSet::EDGE_TRIGGERED;
    epoll.ctl(ControlOperation::Add, fd, EpollEvent::new(events, name))
}
