//! The bytes of one direction of one connection, cut where the protocol cuts them: messages and frames.
//!
//! Whatever is not the protocol's (a cipher's records, a version that says more) passes as it comes.

use std::{io::Read, net::TcpStream};

use godwit_migration::wire::{
    FRAME_HEADER_BYTES, FrameHeader, FrameKind, MAGIC, MESSAGE_HEADER_BYTES, MessageHeader, SourceMessage,
    TargetMessage, decode_message,
};

use super::point::Side;

const PIECE_BYTES: usize = 64 << 10;
/// Where a frame's header has its round and its payload's length.
const ROUND_AT: usize = 4;
const BYTES_AT: usize = 20;

/// A record of TLS: type, version, length (RFC 8446 §5.1), and what the first on a connection begins with.
const RECORD_HEADER_BYTES: usize = 5;
const RECORD_LENGTH_AT: usize = 3;
const HANDSHAKE: [u8; 2] = [22, 3];

/// What a unit is.
#[derive(Debug, PartialEq, Eq)]
pub enum What {
    /// The first bytes of a connection.
    Magic,
    /// A message of the control link, by name.
    Message(&'static str),
    /// The message that makes a connection this lane.
    LaneHello(u8),
    /// A frame and its round. The kind is known of round ends only.
    Frame(Option<FrameKind>, u32),
    /// A record of TLS, with its number from 0.
    Record(u32),
    /// Anything else.
    Other,
}

/// One message or frame, whole.
pub struct Unit {
    /// What it is.
    pub what: What,
    /// The bytes.
    pub bytes: Vec<u8>,
}

enum Next {
    Magic,
    Message,
    Frame,
    Record(u32),
    Anything,
}

/// Reads units, until the connection has ended.
pub struct Units {
    from: TcpStream,
    side: Side,
    next: Next,
}

impl Iterator for Units {
    type Item = Unit;

    fn next(&mut self) -> Option<Unit> {
        let unit = match self.next {
            Next::Magic => self.magic(),
            Next::Message => self.message(),
            Next::Frame => self.frame(),
            Next::Record(number) => self.record(Vec::new(), number),
            Next::Anything => {
                let mut bytes = vec![0; PIECE_BYTES];
                let read = self.from.read(&mut bytes).unwrap_or(0);
                bytes.truncate(read);
                Unit { what: What::Other, bytes }
            }
        };
        (!unit.bytes.is_empty()).then_some(unit)
    }
}

impl Units {
    /// Reads what `side` says on a connection.
    #[must_use]
    pub fn of(from: TcpStream, side: Side) -> Self {
        Self { from, side, next: Next::Magic }
    }

    fn magic(&mut self) -> Unit {
        let mut bytes = Vec::new();
        let whole = self.read(&mut bytes, RECORD_HEADER_BYTES);
        if whole && bytes.starts_with(&HANDSHAKE) {
            return self.record(bytes, 0);
        }
        let whole = whole && self.read(&mut bytes, MAGIC.len() - RECORD_HEADER_BYTES);
        if !whole || bytes != MAGIC {
            return self.other(bytes);
        }
        self.next = Next::Message;
        Unit { what: What::Magic, bytes }
    }

    fn message(&mut self) -> Unit {
        let mut bytes = Vec::new();
        if !self.read(&mut bytes, MESSAGE_HEADER_BYTES) {
            return self.other(bytes);
        }
        let Some(header) = bytes.as_slice().try_into().ok().and_then(|raw| MessageHeader::decode(raw).ok())
        else {
            return self.other(bytes);
        };
        if !self.read(&mut bytes, header.bytes) {
            return self.other(bytes);
        }
        let body = &bytes[MESSAGE_HEADER_BYTES..];
        let what = match self.side {
            Side::Source => match decode_message(header, body) {
                Ok(SourceMessage::Lane(lane)) => {
                    self.next = Next::Frame;
                    What::LaneHello(lane.lane)
                }
                Ok(message) => What::Message(message.name()),
                Err(_) => What::Other,
            },
            Side::Target => match decode_message::<TargetMessage>(header, body) {
                Ok(message) => What::Message(message.name()),
                Err(_) => What::Other,
            },
        };
        Unit { what, bytes }
    }

    fn frame(&mut self) -> Unit {
        let mut bytes = Vec::new();
        if !self.read(&mut bytes, FRAME_HEADER_BYTES) {
            return self.other(bytes);
        }
        let field = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (round, payload) = (field(ROUND_AT), field(BYTES_AT) as usize);
        let raw: Result<&[u8; FRAME_HEADER_BYTES], _> = bytes.as_slice().try_into();
        // Of pages that this reader cannot judge, for it does not know the guest, only the kind would be lost.
        let kind = raw.ok().and_then(|raw| FrameHeader::decode(raw, 0).ok()).map(|header| header.kind);
        if !self.read(&mut bytes, payload) {
            return self.other(bytes);
        }
        Unit { what: What::Frame(kind, round), bytes }
    }

    /// The record `number`, of which `bytes` have been read: nothing, or the header.
    fn record(&mut self, mut bytes: Vec<u8>, number: u32) -> Unit {
        let missing = RECORD_HEADER_BYTES - bytes.len();
        if !self.read(&mut bytes, missing) {
            return self.other(bytes);
        }
        let length = usize::from(u16::from_be_bytes([bytes[RECORD_LENGTH_AT], bytes[RECORD_LENGTH_AT + 1]]));
        if !self.read(&mut bytes, length) {
            return self.other(bytes);
        }
        self.next = Next::Record(number + 1);
        Unit { what: What::Record(number), bytes }
    }

    /// Bytes that are not understood: from here on all pass as they come.
    fn other(&mut self, bytes: Vec<u8>) -> Unit {
        self.next = Next::Anything;
        Unit { what: What::Other, bytes }
    }

    /// Adds `count` bytes; false where the connection ended before.
    fn read(&mut self, bytes: &mut Vec<u8>, count: usize) -> bool {
        let start = bytes.len();
        // A peer's length is not believed: room comes with the bytes.
        let read = (&mut self.from).take(count as u64).read_to_end(bytes);
        read.is_ok() && bytes.len() == start + count
    }
}
