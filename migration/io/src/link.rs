//! The control link: whole messages over a socket.

use std::{io, time::Duration};

use godwit_migration::{
    error::ProtocolError,
    wire::{MAGIC, MESSAGE_HEADER_BYTES, MessageHeader, decode_message, encode_message},
};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::mpsc::UnboundedSender,
    task::JoinHandle,
};

use crate::socket::Socket;

/// How long a write of a control message may take: the other side does nothing but read them.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the reason for a closed lane may take to come on the control link.
pub(crate) const REASON_TIMEOUT: Duration = Duration::from_millis(500);
/// Bytes read at a time, so that memory grows with what has really come, not with what a header claims.
const PIECE_BYTES: usize = 64 << 10;

/// Why a message did not come, or did not go.
#[derive(Debug, Error)]
pub(crate) enum LinkError {
    /// The peer's fault.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The connection has ended or failed.
    #[error("the connection was lost: {0}")]
    Lost(#[from] io::Error),
}

/// A control link: one half to write to, the other read by a task, whose messages go to the driver's words.
pub(crate) struct Control {
    pub(crate) write: WriteHalf<Socket>,
    reader: JoinHandle<()>,
}

impl Control {
    /// Reads `from` until the peer says no more, [`MAGIC`] first where it is still `due`.
    pub(crate) fn new<M, W>(
        from: ReadHalf<Socket>,
        write: WriteHalf<Socket>,
        due: bool,
        words: UnboundedSender<W>,
    ) -> Self
    where
        M: DeserializeOwned + Send + 'static,
        W: From<Result<M, LinkError>> + Send + 'static,
    {
        Self { write, reader: tokio::spawn(listen(from, due, words)) }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn listen<M: DeserializeOwned, W: From<Result<M, LinkError>>>(
    mut from: ReadHalf<Socket>,
    magic_due: bool,
    words: UnboundedSender<W>,
) {
    let mut start = if magic_due { read_magic(&mut from).await } else { Ok(()) };
    loop {
        let message = match start {
            Ok(()) => read(&mut from).await,
            Err(error) => Err(error),
        };
        let over = message.is_err();
        if words.send(message.into()).is_err() || over {
            return;
        }
        start = Ok(());
    }
}

/// Writes one message, in one write.
pub(crate) async fn write<W: AsyncWrite + Unpin, M: Serialize>(
    to: &mut W,
    message: &M,
) -> Result<(), LinkError> {
    put(to, &encode_message(message)).await
}

/// Writes [`MAGIC`] and the first message of a connection, in one write.
pub(crate) async fn write_first<W: AsyncWrite + Unpin, M: Serialize>(
    to: &mut W,
    message: &M,
) -> Result<(), LinkError> {
    put(to, &[MAGIC.as_slice(), &encode_message(message)].concat()).await
}

/// Writes [`MAGIC`] alone: an answer follows, whatever it will be.
pub(crate) async fn start<W: AsyncWrite + Unpin>(to: &mut W) -> Result<(), LinkError> {
    put(to, &MAGIC).await
}

async fn put<W: AsyncWrite + Unpin>(to: &mut W, bytes: &[u8]) -> Result<(), LinkError> {
    match tokio::time::timeout(WRITE_TIMEOUT, to.write_all(bytes)).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(LinkError::Lost(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read"))),
    }
}

/// Reads [`MAGIC`]: who starts otherwise is not godwit.
pub(crate) async fn read_magic<R: AsyncRead + Unpin>(from: &mut R) -> Result<(), LinkError> {
    let mut start = [0; MAGIC.len()];
    let mut read = 0;
    while read < start.len() && start[..read] == MAGIC[..read] {
        match from.read(&mut start[read..]).await? {
            0 if read == 0 => return Err(closed().into()),
            0 => break,
            n => read += n,
        }
    }
    if start == MAGIC {
        return Ok(());
    }
    let shown: String = start[..read].escape_ascii().to_string();
    Err(ProtocolError(format!("it does not speak godwit's migration protocol; it began with \"{shown}\""))
        .into())
}

/// Reads one message.
pub(crate) async fn read<R: AsyncRead + Unpin, M: DeserializeOwned>(from: &mut R) -> Result<M, LinkError> {
    let mut header = [0; MESSAGE_HEADER_BYTES];
    from.read_exact(&mut header).await.map_err(cut_off)?;
    let header = MessageHeader::decode(header)?;
    let mut body = Vec::new();
    while body.len() < header.bytes {
        let at = body.len();
        body.resize(header.bytes.min(at + PIECE_BYTES), 0);
        from.read_exact(&mut body[at..]).await.map_err(cut_off)?;
    }
    Ok(decode_message(header, &body)?)
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed it")
}

/// "Failed to fill whole buffer" says nothing to anyone.
fn cut_off(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { closed() } else { error }
}
