//! The handshake of a connection, in bounded memory; how long it may take is the caller's to say.

use std::io;

use rustls::{
    Error,
    client::{ClientConnectionData, UnbufferedClientConnection},
    pki_types::ServerName,
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{ConnectionState, EncodeError, UnbufferedConnectionCommon, UnbufferedStatus},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{
    Session, SourceTls, TargetTls,
    record::{Kernel, halves},
    words,
};

/// How a TLS connection begins: the type of a handshake's record. Nothing else of godwit's begins so.
pub(crate) const HANDSHAKE_RECORD: u8 = 22;
/// How the answer may begin too: an alert.
const ALERT_RECORD: u8 = 21;
/// Bytes read at a time.
const PIECE_BYTES: usize = 4 << 10;
/// Most bytes of a handshake that wait to be understood: a message of the longest kind that rustls takes.
const MAX_WAITING_BYTES: usize = 68 << 10;

/// rustls' two sides as one.
trait Side: Sized {
    type Data;
    /// What the other side is called.
    const PEER: &'static str;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    fn common(&self) -> &UnbufferedConnectionCommon<Self::Data>;

    fn into_session(self, waiting: &[u8], opened: Vec<u8>) -> Result<Session, Error>;
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;
    const PEER: &'static str = "the target";

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }

    fn common(&self) -> &UnbufferedConnectionCommon<Self::Data> {
        self
    }

    fn into_session(self, waiting: &[u8], opened: Vec<u8>) -> Result<Session, Error> {
        let peer = certificate(&self)?;
        let (secrets, kernel) = self.dangerous_into_kernel_connection()?;
        let (sealer, opener) = halves(Kernel::Client(kernel), secrets, waiting, opened, Self::PEER)?;
        Ok(Session { sealer, opener, peer })
    }
}

impl Side for UnbufferedServerConnection {
    type Data = ServerConnectionData;
    const PEER: &'static str = "the source";

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }

    fn common(&self) -> &UnbufferedConnectionCommon<Self::Data> {
        self
    }

    fn into_session(self, waiting: &[u8], opened: Vec<u8>) -> Result<Session, Error> {
        let peer = certificate(&self)?;
        let (secrets, kernel) = self.dangerous_into_kernel_connection()?;
        let (sealer, opener) = halves(Kernel::Server(kernel), secrets, waiting, opened, Self::PEER)?;
        Ok(Session { sealer, opener, peer })
    }
}

fn certificate<Data>(common: &UnbufferedConnectionCommon<Data>) -> Result<Vec<u8>, Error> {
    let own = common.peer_certificates().and_then(<[_]>::first);
    own.map(|own| own.to_vec()).ok_or(Error::NoCertificatesPresented)
}

/// The handshake of a source with the target at `host`.
///
/// # Errors
/// In words; the target has been told by an alert.
pub(crate) async fn connect<S>(
    tls: &SourceTls,
    host: ServerName<'static>,
    socket: &mut S,
) -> io::Result<Session>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let side = UnbufferedClientConnection::new(tls.config.clone(), host).map_err(io::Error::other)?;
    drive(side, socket).await
}

/// The handshake of a target with a source.
///
/// # Errors
/// In words; the source has been told by an alert.
pub(crate) async fn accept<S>(tls: &TargetTls, socket: &mut S) -> io::Result<Session>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let side = UnbufferedServerConnection::new(tls.config.clone()).map_err(io::Error::other)?;
    drive(side, socket).await
}

/// What a look at the connection came to.
enum Step {
    Again,
    Write,
    Read,
    Done,
    Closed,
    Failed(Error),
}

async fn drive<C: Side, S>(mut side: C, socket: &mut S) -> io::Result<Session>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut waiting, mut out, mut opened) = (vec![], vec![], vec![]);
    let mut heard = false;
    loop {
        match step(&mut side, &mut waiting, &mut out, &mut opened) {
            Step::Again => {}
            Step::Write => socket.write_all(&std::mem::take(&mut out)).await?,
            Step::Read => {
                read(socket, &mut waiting, C::PEER).await?;
                if !std::mem::replace(&mut heard, true) {
                    speaks_tls(&waiting, C::PEER)?;
                }
            }
            Step::Done => {
                let session = side.into_session(&waiting, opened);
                return session.map_err(|error| failed(&error, C::PEER));
            }
            Step::Closed => return Err(closed(C::PEER)),
            Step::Failed(error) => {
                // The alert that tells the peer waits to be encoded. Not one look more than it takes: rustls would go on
                // with what it has failed on, and panic.
                while side.common().wants_write()
                    && matches!(step(&mut side, &mut waiting, &mut out, &mut opened), Step::Again)
                {
                }
                // It was turned away; whether it hears why is its own affair.
                let _ = socket.write_all(&out).await;
                return Err(failed(&error, C::PEER));
            }
        }
    }
}

/// One look: what is understood goes from `waiting`, what is to be said comes into `out`.
fn step<C: Side>(side: &mut C, waiting: &mut Vec<u8>, out: &mut Vec<u8>, opened: &mut Vec<u8>) -> Step {
    let UnbufferedStatus { discard, state } = side.process(waiting);
    let mut ready = false;
    let step = match state {
        Err(error) => Step::Failed(error),
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let at = out.len();
            let mut encoded = data.encode(&mut []);
            if let Err(EncodeError::InsufficientSize(more)) = &encoded {
                out.resize(at + more.required_size, 0);
                encoded = data.encode(&mut out[at..]);
            }
            match encoded {
                Ok(bytes) => {
                    out.truncate(at + bytes);
                    Step::Again
                }
                Err(error) => Step::Failed(Error::General(error.to_string())),
            }
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Step::Write
        }
        Ok(ConnectionState::ReadTraffic(mut traffic)) => {
            while let Some(Ok(record)) = traffic.next_record() {
                opened.extend_from_slice(record.payload);
            }
            Step::Again
        }
        Ok(ConnectionState::WriteTraffic(_)) => {
            ready = true;
            Step::Read
        }
        Ok(ConnectionState::BlockedHandshake) => Step::Read,
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Step::Closed,
        Ok(other) => Step::Failed(Error::General(format!("a state that cannot be: {other:?}"))),
    };
    waiting.drain(..discard.min(waiting.len()));
    // A target may speak before the source has shown its certificate; godwit's does not.
    if ready && !side.common().is_handshaking() { Step::Done } else { step }
}

async fn read<S: AsyncRead + Unpin>(socket: &mut S, waiting: &mut Vec<u8>, peer: &str) -> io::Result<()> {
    let at = waiting.len();
    if at >= MAX_WAITING_BYTES {
        return Err(invalid(format!("{peer} began a TLS handshake of more than {MAX_WAITING_BYTES} bytes")));
    }
    waiting.resize(at + PIECE_BYTES, 0);
    let read = socket.read(&mut waiting[at..]).await;
    waiting.truncate(at + read.as_ref().map_or(0, |&bytes| bytes));
    match read {
        Ok(0) => Err(closed(peer)),
        Ok(_) => Ok(()),
        Err(error) => Err(io::Error::new(error.kind(), format!("in the TLS handshake: {error}"))),
    }
}

/// The first bytes of the peer tell whether it speaks TLS at all.
fn speaks_tls(bytes: &[u8], peer: &str) -> io::Result<()> {
    if matches!(bytes.first(), Some(&(HANDSHAKE_RECORD | ALERT_RECORD))) {
        return Ok(());
    }
    let shown = bytes[..bytes.len().min(8)].escape_ascii();
    Err(invalid(format!(
        "{peer} does not speak TLS, it began with \"{shown}\"; both sides need --tls, or neither"
    )))
}

fn failed(error: &Error, peer: &str) -> io::Error {
    invalid(words::failed(error, peer))
}

fn closed(peer: &str) -> io::Error {
    let text = format!("{peer} closed the connection in the middle of the TLS handshake");
    io::Error::new(io::ErrorKind::UnexpectedEof, text)
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
