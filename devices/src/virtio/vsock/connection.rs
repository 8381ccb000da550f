//! One stream between a socket of the host and a port of the guest: its data, its two ends, and its credit.
//!
//! Either side says how much it keeps for the other (`buf_alloc`) and how much of what came was taken (`fwd_cnt`), so
//! nobody sends what nobody has room for (virtio 1.2 §5.10.6.3). What the socket does not take at once waits here, at
//! most [`DATA_BYTES`]. What the guest has no room for is not read from the socket.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    mem,
    net::Shutdown,
    os::unix::net::UnixStream,
};

use vmm_sys_util::epoll::EventSet;

use super::packet::*;

/// What is kept for data on its way to the host.
const BUFFER_BYTES: u32 = DATA_BYTES as u32;
/// The guest is told of room when so much has been taken since it was told last.
const CREDIT_STEP: u32 = BUFFER_BYTES / 4;

/// The two ports of a stream, which name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The host's.
    pub host_port: u32,
    /// The guest's.
    pub guest_port: u32,
}

/// The guest did what no driver in its right mind does; its stream is reset.
#[derive(Debug, PartialEq, Eq)]
pub struct Violation;

/// A stream.
pub struct Connection {
    pub key: Key,
    /// It stands in the list of those that have packets.
    pub queued: bool,
    socket: UnixStream,
    /// The guest has accepted, or asked for it.
    open: bool,
    /// Packets without data that are to be sent: a bit for each operation.
    owed: u16,
    /// The socket may have data.
    readable: bool,
    /// No more data comes from the host; the host takes no more.
    host_ended: bool,
    host_deaf: bool,
    /// The same of the guest.
    guest_ended: bool,
    guest_deaf: bool,
    /// Data on its way to the host.
    backlog: VecDeque<u8>,
    /// Bytes that the host has taken, and how many of these the guest was told of.
    taken: u32,
    told: u32,
    /// Bytes sent to the guest, and what it has said of its room.
    sent: u32,
    guest_buffer: u32,
    guest_taken: u32,
    /// It was asked for room, and has not given any.
    asked: bool,
}

impl Connection {
    /// A stream that a client of the host asks the guest for.
    pub fn asked_for(key: Key, socket: UnixStream) -> Self {
        Self::new(key, socket, false, REQUEST)
    }

    /// A stream that the guest has asked for, and whose socket took it.
    pub fn accepted(key: Key, socket: UnixStream) -> Self {
        Self::new(key, socket, true, RESPONSE)
    }

    fn new(key: Key, socket: UnixStream, open: bool, first: u16) -> Self {
        Self {
            key,
            queued: false,
            socket,
            open,
            owed: 1 << first,
            readable: true,
            host_ended: false,
            host_deaf: false,
            guest_ended: false,
            guest_deaf: false,
            backlog: VecDeque::new(),
            taken: 0,
            told: 0,
            sent: 0,
            guest_buffer: 0,
            guest_taken: 0,
            asked: false,
        }
    }

    pub fn is_open(&self) -> bool {
        self.open
    }

    pub fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// Whether the guest has not heard of it yet.
    pub fn is_unheard(&self) -> bool {
        self.owed & 1 << REQUEST != 0
    }

    /// The guest has accepted.
    pub fn open(&mut self) {
        self.open = true;
    }

    fn owe(&mut self, op: u16) {
        self.owed |= 1 << op;
    }

    /// Takes note of what the guest says of its room, in every packet.
    pub fn heed(&mut self, header: &Header) {
        (self.guest_buffer, self.guest_taken) = (header.buf_alloc, header.fwd_cnt);
        if self.credit() > 0 {
            self.asked = false;
        }
    }

    /// The guest asks for our room.
    pub fn tell_credit(&mut self) {
        self.owe(CREDIT_UPDATE);
    }

    /// Bytes that the guest has room for; none where what it says makes no sense.
    fn credit(&self) -> u32 {
        self.guest_buffer.saturating_sub(self.sent.wrapping_sub(self.guest_taken))
    }

    /// Takes data of the guest.
    ///
    /// # Errors
    /// Where it is more than there was room for, or comes behind its end.
    pub fn take(&mut self, data: &[u8]) -> Result<(), Violation> {
        let room = DATA_BYTES - self.backlog.len();
        if !self.open || self.guest_ended || data.len() > room {
            return Err(Violation);
        }
        let written = if self.host_deaf {
            data.len()
        } else if self.backlog.is_empty() {
            self.write(data)
        } else {
            0
        };
        self.backlog.extend(&data[written..]);
        self.count(written);
        Ok(())
    }

    /// Goes on writing what waits for the host.
    pub fn flush(&mut self) {
        let mut backlog = mem::take(&mut self.backlog);
        while !backlog.is_empty() {
            let written = self.write(backlog.as_slices().0);
            if written == 0 {
                break;
            }
            backlog.drain(..written);
            self.count(written);
        }
        self.backlog = backlog;
        if self.guest_ended && self.backlog.is_empty() {
            self.end(Shutdown::Write);
        }
    }

    /// Ends a direction of the socket.
    fn end(&self, direction: Shutdown) {
        // An error means that the host has gone already.
        let _ = self.socket.shutdown(direction);
    }

    /// Writes to the host; says how much is done with.
    fn write(&mut self, data: &[u8]) -> usize {
        let mut done = 0;
        while done < data.len() {
            match (&self.socket).write(&data[done..]) {
                Ok(written) => done += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return done,
                Err(_) => {
                    self.host_is_deaf();
                    return data.len();
                }
            }
        }
        done
    }

    fn host_is_deaf(&mut self) {
        if !self.host_deaf {
            self.host_deaf = true;
            self.owe(SHUTDOWN);
        }
    }

    /// So much of the guest's data is done with.
    fn count(&mut self, bytes: usize) {
        // At most DATA_BYTES.
        self.taken = self.taken.wrapping_add(bytes as u32);
        if self.taken.wrapping_sub(self.told) >= CREDIT_STEP {
            self.owe(CREDIT_UPDATE);
        }
    }

    /// The guest ends its directions by `flags`; whether that is the end of the stream.
    pub fn guest_ends(&mut self, flags: u32) -> bool {
        if flags & SHUTDOWN_RECEIVE != 0 {
            self.guest_deaf = true;
            self.end(Shutdown::Read);
        }
        self.guest_ended |= flags & SHUTDOWN_SEND != 0;
        if self.guest_ended {
            self.flush();
        }
        self.guest_deaf && self.guest_ended
    }

    /// What epoll says of the socket.
    pub fn happened(&mut self, events: EventSet) {
        if events.intersects(EventSet::IN | EventSet::READ_HANG_UP | EventSet::HANG_UP | EventSet::ERROR) {
            self.readable = true;
        }
        if events.intersects(EventSet::HANG_UP | EventSet::ERROR) {
            let waiting = self.backlog.len();
            self.backlog.clear();
            self.count(waiting);
            self.host_is_deaf();
        } else if events.contains(EventSet::OUT) && !self.backlog.is_empty() {
            self.flush();
        }
    }

    /// Data that the host has not taken yet, with its socket, where the stream is over for the guest.
    pub fn into_rest(self) -> (UnixStream, VecDeque<u8>) {
        (self.socket, self.backlog)
    }

    fn may_read(&self) -> bool {
        self.open && self.readable && !self.host_ended && !self.guest_deaf
    }

    /// Whether there is a packet for the guest, as far as one can tell without reading.
    pub fn has_packet(&mut self) -> bool {
        if self.may_read() && self.credit() == 0 && !self.asked {
            self.asked = true;
            self.owe(CREDIT_REQUEST);
        }
        self.owed_op().is_some() || (self.may_read() && self.credit() > 0)
    }

    /// The next operation that is owed; before the stream is open that is only to open it.
    fn owed_op(&self) -> Option<u16> {
        let order = [REQUEST, RESPONSE, CREDIT_REQUEST, CREDIT_UPDATE, SHUTDOWN];
        let order = if self.open { &order[1..] } else { &order[..1] };
        order.iter().copied().find(|op| self.owed & 1 << op != 0)
    }

    /// The next packet for the guest, whose data goes to `data`.
    pub fn next_packet(&mut self, guest_cid: u64, data: &mut [u8]) -> Option<Header> {
        if !self.has_packet() {
            return None;
        }
        if self.owed_op().is_none() {
            // Credit is at most 32 bits.
            let most = data.len().min(self.credit() as usize);
            let len = self.read(&mut data[..most]);
            if len > 0 {
                // At most DATA_BYTES.
                self.sent = self.sent.wrapping_add(len as u32);
                return Some(Header { len: len as u32, ..self.header(guest_cid, RW) });
            }
        }
        let op = self.owed_op()?;
        self.owed &= !(1 << op);
        Some(self.header(guest_cid, op))
    }

    /// Reads from the host; nothing where nothing is there, or its end, which is then owed to the guest.
    fn read(&mut self, data: &mut [u8]) -> usize {
        loop {
            match (&self.socket).read(data) {
                Ok(len @ 1..) => return len,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                ended => {
                    self.readable = false;
                    if !would_block(&ended) {
                        self.host_ended = true;
                        self.owe(SHUTDOWN);
                    }
                    return 0;
                }
            }
        }
    }

    fn header(&mut self, guest_cid: u64, op: u16) -> Header {
        self.told = self.taken;
        self.owed &= !(1 << CREDIT_UPDATE);
        let ended = if self.host_ended { SHUTDOWN_SEND } else { 0 };
        let deaf = if self.host_deaf { SHUTDOWN_RECEIVE } else { 0 };
        Header {
            src_cid: HOST_CID,
            dst_cid: guest_cid,
            src_port: self.key.host_port,
            dst_port: self.key.guest_port,
            len: 0,
            kind: STREAM,
            op,
            flags: if op == SHUTDOWN { ended | deaf } else { 0 },
            buf_alloc: BUFFER_BYTES,
            fwd_cnt: self.taken,
        }
    }
}

fn would_block(result: &io::Result<usize>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}
