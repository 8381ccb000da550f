//! The records of a session after its handshake (RFC 8446 §5): sealed from, and opened into, large buffers.
//!
//! rustls' own streams copy each byte three times more and read 16 KiB a system call, which is half of what a lane
//! could move. Its interface for those who carry records themselves ([`rustls::kernel`]) gives the keys, the ciphers
//! and their updates; what is left is the framing, here. Keys are changed before their limit (RFC 8446 §5.5); of the
//! other messages after a handshake godwit sends none, and takes none.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    AlertDescription, ConnectionTrafficSecrets, ContentType, Error, ExtractedSecrets, ProtocolVersion,
    SupportedCipherSuite, Tls13CipherSuite,
    client::ClientConnectionData,
    crypto::cipher::{
        InboundOpaqueMessage, MessageDecrypter, MessageEncrypter, OutboundChunks, OutboundPlainMessage,
    },
    kernel::KernelConnection,
    server::ServerConnectionData,
};

use super::words;

/// Most plain bytes of a record.
pub(super) const MAX_PLAIN_BYTES: usize = 16 << 10;
/// Bytes before a record: type, version, length.
const HEADER_BYTES: usize = 5;
/// Most sealed bytes of a record (RFC 8446 §5.2).
const MAX_SEALED_BYTES: usize = MAX_PLAIN_BYTES + 256;
/// Sealed bytes that are kept before they are opened: what a lane reads at a time, and a record begun.
const ROOM_BYTES: usize = (128 << 10) + HEADER_BYTES + MAX_SEALED_BYTES;
/// A change of the sender's keys that asks for none in return (RFC 8446 §4.6.3).
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];

/// What is left of rustls' connection: it makes the next keys.
pub(super) enum Kernel {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

impl Kernel {
    fn suite(&self) -> Result<&'static Tls13CipherSuite, Error> {
        let suite = match self {
            Self::Client(kernel) => kernel.negotiated_cipher_suite(),
            Self::Server(kernel) => kernel.negotiated_cipher_suite(),
        };
        let SupportedCipherSuite::Tls13(suite) = suite;
        Ok(suite)
    }

    fn next_tx(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match self {
            Self::Client(kernel) => kernel.update_tx_secret(),
            Self::Server(kernel) => kernel.update_tx_secret(),
        }
    }

    fn next_rx(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match self {
            Self::Client(kernel) => kernel.update_rx_secret(),
            Self::Server(kernel) => kernel.update_rx_secret(),
        }
    }
}

type SharedKernel = Arc<Mutex<Kernel>>;

/// Both directions of a session. `early` came after the handshake, in the same bytes as its end, and is not opened yet;
/// `opened` is.
pub(super) fn halves(
    kernel: Kernel,
    secrets: ExtractedSecrets,
    early: &[u8],
    opened: Vec<u8>,
    peer: &'static str,
) -> Result<(Sealer, Opener), Error> {
    let suite = kernel.suite()?;
    let kernel = Arc::new(Mutex::new(kernel));
    let (seq, keys) = secrets.tx;
    let (key, iv) = parts(keys)?;
    let sealer = Sealer {
        cipher: suite.aead_alg.encrypter(key, iv),
        suite,
        seq,
        limit: suite.common.confidentiality_limit,
        kernel: kernel.clone(),
    };
    let (seq, keys) = secrets.rx;
    let (key, iv) = parts(keys)?;
    let opener = Opener {
        cipher: suite.aead_alg.decrypter(key, iv),
        suite,
        seq,
        kernel,
        room: early.to_vec(),
        start: 0,
        end: early.len(),
        plain: 0..opened.len(),
        first: opened,
        over: false,
        peer,
    };
    Ok((sealer, opener))
}

fn parts(
    keys: ConnectionTrafficSecrets,
) -> Result<(rustls::crypto::cipher::AeadKey, rustls::crypto::cipher::Iv), Error> {
    match keys {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => Ok((key, iv)),
        _ => Err(Error::General("keys of a cipher that is not known".into())),
    }
}

/// Makes records of what this side says.
pub(crate) struct Sealer {
    cipher: Box<dyn MessageEncrypter>,
    suite: &'static Tls13CipherSuite,
    seq: u64,
    /// Records that one key may seal.
    limit: u64,
    kernel: SharedKernel,
}

impl Sealer {
    /// Records with all of `plain`, in order, to be written as they are.
    pub(crate) fn seal(&mut self, plain: &[u8], records: &mut Vec<Vec<u8>>) -> io::Result<()> {
        for plain in plain.chunks(MAX_PLAIN_BYTES) {
            // One is left for the message that changes the keys.
            if self.seq + 1 >= self.limit {
                records.push(self.record(ContentType::Handshake, &KEY_UPDATE).map_err(broken)?);
                let kernel = &mut self.kernel.lock().unwrap_or_else(PoisonError::into_inner);
                let (seq, keys) = kernel.next_tx().map_err(broken)?;
                let (key, iv) = parts(keys).map_err(broken)?;
                (self.cipher, self.seq) = (self.suite.aead_alg.encrypter(key, iv), seq);
            }
            records.push(self.record(ContentType::ApplicationData, plain).map_err(broken)?);
        }
        Ok(())
    }

    fn record(&mut self, typ: ContentType, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let payload = OutboundChunks::Single(plain);
        let message = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload };
        let sealed = self.cipher.encrypt(message, self.seq)?;
        self.seq += 1;
        Ok(sealed.encode())
    }

    /// Changes keys after so many records.
    #[cfg(test)]
    pub(super) fn set_limit(&mut self, records: u64) {
        self.limit = records;
    }
}

/// Takes what the other side says out of its records.
pub(crate) struct Opener {
    cipher: Box<dyn MessageDecrypter>,
    suite: &'static Tls13CipherSuite,
    seq: u64,
    kernel: SharedKernel,
    /// Records as they came; those at `start..end` are not opened.
    room: Vec<u8>,
    start: usize,
    end: usize,
    /// Of `first`, while there is any of it, or of `room`: opened and not taken yet.
    plain: std::ops::Range<usize>,
    first: Vec<u8>,
    /// The peer has said that nothing more comes.
    over: bool,
    /// What the peer is called in words.
    peer: &'static str,
}

impl Opener {
    /// Takes what is there into `into`: how many bytes, or `None` where more must come first. `Some(0)`, for an `into`
    /// that is not empty, is the end.
    pub(crate) fn take(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        let mut taken = 0;
        loop {
            if !self.plain.is_empty() {
                let bytes = self.plain.len().min(into.len() - taken);
                let range = self.plain.start..self.plain.start + bytes;
                let from = if self.first.is_empty() { &self.room[range] } else { &self.first[range] };
                into[taken..taken + bytes].copy_from_slice(from);
                self.plain.start += bytes;
                taken += bytes;
                if self.plain.is_empty() {
                    self.first = vec![];
                }
            }
            if taken == into.len() || self.over {
                return Ok(Some(taken));
            }
            if !self.open()? {
                return Ok((taken > 0 || self.over).then_some(taken));
            }
        }
    }

    /// Where to put what has come; [`came`](Self::came) says how much. Never empty once [`take`](Self::take) has said
    /// that more must come.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.room.len() < ROOM_BYTES {
            self.room.resize(ROOM_BYTES, 0);
        }
        if self.plain.is_empty() || !self.first.is_empty() {
            self.room.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut self.room[self.end..]
    }

    /// `bytes` have been put into the space.
    pub(crate) fn came(&mut self, bytes: usize) {
        self.end = self.room.len().min(self.end + bytes);
    }

    /// The connection has ended: whether it may here, which is not within a record. Whether the migration may end here
    /// is told by its own protocol, of which each step says what comes next.
    pub(crate) fn ended(&self) -> io::Result<()> {
        if self.start == self.end {
            return Ok(());
        }
        let text = format!("{} closed the connection in the middle of a TLS record", self.peer);
        Err(io::Error::new(io::ErrorKind::ConnectionAborted, text))
    }

    /// Opens the next record: whether there was a whole one.
    fn open(&mut self) -> io::Result<bool> {
        let Some(&[typ, _, _, high, low]) = self.room[self.start..self.end].first_chunk::<HEADER_BYTES>()
        else {
            return Ok(false);
        };
        let sealed = usize::from(u16::from_be_bytes([high, low]));
        if sealed > MAX_SEALED_BYTES {
            return Err(self.misbehaved(&format!("a record of {sealed} bytes")));
        }
        let at = self.start + HEADER_BYTES;
        if self.end - at < sealed {
            return Ok(false);
        }
        let payload = &mut self.room[at..at + sealed];
        let record = InboundOpaqueMessage::new(ContentType::from(typ), ProtocolVersion::TLSv1_2, payload);
        let plain = match ContentType::from(typ) {
            ContentType::ApplicationData => self.cipher.decrypt(record, self.seq),
            _ => return Err(self.misbehaved("a record in clear")),
        };
        let plain = match plain {
            Ok(plain) => plain,
            Err(error) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, words::failed(&error, self.peer)));
            }
        };
        let (typ, bytes) = (plain.typ, plain.payload.len());
        self.seq += 1;
        self.start = at + sealed;
        match typ {
            ContentType::ApplicationData => self.plain = at..at + bytes,
            ContentType::Alert => self.alert(at, bytes)?,
            ContentType::Handshake => self.update_keys(at, bytes)?,
            other => return Err(self.misbehaved(&format!("a record of type {other:?}"))),
        }
        Ok(true)
    }

    fn alert(&mut self, at: usize, bytes: usize) -> io::Result<()> {
        match self.room[at..at + bytes] {
            [_, alert] => match AlertDescription::from(alert) {
                AlertDescription::CloseNotify => {
                    self.over = true;
                    Ok(())
                }
                alert => {
                    Err(io::Error::new(io::ErrorKind::ConnectionAborted, words::refused(alert, self.peer)))
                }
            },
            _ => Err(self.misbehaved("an alert that is none")),
        }
    }

    fn update_keys(&mut self, at: usize, bytes: usize) -> io::Result<()> {
        if self.room[at..at + bytes] != KEY_UPDATE {
            return Err(self.misbehaved("a handshake message that godwit never sends"));
        }
        let kernel = &mut self.kernel.lock().unwrap_or_else(PoisonError::into_inner);
        let (seq, keys) = kernel.next_rx().map_err(broken)?;
        let (key, iv) = parts(keys).map_err(broken)?;
        (self.cipher, self.seq) = (self.suite.aead_alg.decrypter(key, iv), seq);
        Ok(())
    }

    fn misbehaved(&self, what: &str) -> io::Error {
        let text = format!("{} sent {what} within TLS", self.peer);
        io::Error::new(io::ErrorKind::InvalidData, text)
    }
}

fn broken(error: Error) -> io::Error {
    io::Error::other(format!("TLS failed: {error}"))
}
