//! The header of a packet (virtio 1.2 §5.10.6), little endian on the wire.

/// Bytes of a header.
pub const HEADER_BYTES: usize = 44;
/// Most bytes of data behind it, of ours and of the driver's.
pub const DATA_BYTES: usize = 64 << 10;
/// Address of the host.
pub const HOST_CID: u64 = 2;
/// Kind of a stream's packets, the only one here.
pub const STREAM: u16 = 1;

/// Operation: may I connect?
pub const REQUEST: u16 = 1;
/// Operation: you may.
pub const RESPONSE: u16 = 2;
/// Operation: the stream is no more.
pub const RST: u16 = 3;
/// Operation: one direction ends, or both, as `flags` say.
pub const SHUTDOWN: u16 = 4;
/// Operation: data.
pub const RW: u16 = 5;
/// Operation: I have room again.
pub const CREDIT_UPDATE: u16 = 6;
/// Operation: do you have room?
pub const CREDIT_REQUEST: u16 = 7;

/// Flag of [`SHUTDOWN`]: whoever sends it takes no more data.
pub const SHUTDOWN_RECEIVE: u32 = 1;
/// Flag of [`SHUTDOWN`]: whoever sends it sends no more data.
pub const SHUTDOWN_SEND: u32 = 2;

/// A header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Who sends it.
    pub src_cid: u64,
    /// Whom it is for.
    pub dst_cid: u64,
    /// The sender's port.
    pub src_port: u32,
    /// The receiver's port.
    pub dst_port: u32,
    /// Bytes of data behind the header.
    pub len: u32,
    /// Kind of the stream.
    pub kind: u16,
    /// Operation.
    pub op: u16,
    /// Of the operation.
    pub flags: u32,
    /// Bytes that the sender keeps for the stream until somebody takes them.
    pub buf_alloc: u32,
    /// Bytes that were taken from there since the stream began, modulo 2^32.
    pub fwd_cnt: u32,
}

impl Header {
    /// Reads a header.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Self {
        let long = |at: usize| u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32;
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        Self {
            src_cid: long(0),
            dst_cid: long(8),
            src_port: word(bytes, 16),
            dst_port: word(bytes, 20),
            len: word(bytes, 24),
            kind: half(28),
            op: half(30),
            flags: word(bytes, 32),
            buf_alloc: word(bytes, 36),
            fwd_cnt: word(bytes, 40),
        }
    }

    /// Its bytes.
    pub fn bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &self.src_cid.to_le_bytes());
        put(8, &self.dst_cid.to_le_bytes());
        put(16, &self.src_port.to_le_bytes());
        put(20, &self.dst_port.to_le_bytes());
        put(24, &self.len.to_le_bytes());
        put(28, &self.kind.to_le_bytes());
        put(30, &self.op.to_le_bytes());
        put(32, &self.flags.to_le_bytes());
        put(36, &self.buf_alloc.to_le_bytes());
        put(40, &self.fwd_cnt.to_le_bytes());
        bytes
    }

    /// The answer to it that says that there is no such stream.
    pub fn reset(&self) -> Self {
        Self {
            src_cid: self.dst_cid,
            dst_cid: self.src_cid,
            src_port: self.dst_port,
            dst_port: self.src_port,
            kind: self.kind,
            op: RST,
            ..Self::default()
        }
    }
}

fn word(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
