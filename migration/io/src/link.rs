//! The control link: whole messages over a socket.

use std::{io, time::Duration};

use godwit_migration::{
    error::ProtocolError,
    limits::{MAX_GREETING_BYTES, MAX_MESSAGE_BYTES},
    pulse::Pulse,
    wire::{MAGIC, MESSAGE_HEADER_BYTES, MessageHeader, decode_message, encode_message},
};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::mpsc::UnboundedSender,
    task::JoinHandle,
};

use crate::socket::{PARTING, Socket};

/// How long a peer may take nothing of a control message: it does nothing but read them.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the reason for a closed lane may take to come on the control link.
pub(crate) const REASON_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a last word may hold up the end.
const LAST_WORD: Duration = Duration::from_millis(50);
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
    write: WriteHalf<Socket>,
    reader: JoinHandle<()>,
    /// A message was given up in its middle: whatever follows would be taken for the rest of it.
    torn: bool,
    pulse: Pulse,
}

impl Control {
    /// Reads `from` until the peer says no more, [`MAGIC`] first where it is still `due`.
    pub(crate) fn new<M, W>(
        from: ReadHalf<Socket>,
        write: WriteHalf<Socket>,
        due: bool,
        now: Duration,
        words: UnboundedSender<W>,
    ) -> Self
    where
        M: DeserializeOwned + Send + 'static,
        W: From<Result<M, LinkError>> + Send + 'static,
    {
        let reader = tokio::spawn(listen(from, due, words));
        Self { write, reader, torn: false, pulse: Pulse::new(now) }
    }

    /// Says `message`. Where this is dropped before it is done, nothing more can be said.
    pub(crate) async fn say<M: Serialize>(&mut self, message: &M) -> Result<(), LinkError> {
        if self.torn {
            let text = "a message was given up in its middle";
            return Err(LinkError::Lost(io::Error::new(io::ErrorKind::BrokenPipe, text)));
        }
        self.torn = true;
        let said = write(&mut self.write, message).await;
        self.torn = said.is_err();
        said
    }

    /// Says `message`, or does not, soon: nobody waits for a last word to a peer that does not listen.
    pub(crate) async fn say_soon<M: Serialize>(&mut self, message: &M) {
        let _ = tokio::time::timeout(LAST_WORD, self.say(message)).await;
    }

    /// Ends the link in a way that lets the peer read what it was told last: nothing more is said here, and what it still
    /// says is read for at most [`PARTING`], and forgotten. With words unread in it, a link that is let go takes back what
    /// was said. Only after who takes the words in has gone, since they would pile up there.
    pub(crate) async fn part(mut self) {
        let leave = async {
            self.write.shutdown().await?;
            Ok::<_, io::Error>((&mut self.reader).await)
        };
        // Whether it hears is its own affair.
        let _ = tokio::time::timeout(PARTING, leave).await;
    }

    /// The pulse of the peer.
    pub(crate) fn pulse(&mut self) -> &mut Pulse {
        &mut self.pulse
    }

    /// Says that this side lives, where the peer does: it has said something, or the lanes have moved so many bytes.
    ///
    /// # Errors
    /// The peer is silent, or the link is lost, in words.
    pub(crate) async fn beat<M: Serialize>(
        &mut self,
        beat: &M,
        now: Duration,
        lane_bytes: u64,
        peer: &str,
    ) -> Result<(), String> {
        if let Err(silent) = self.pulse.beat(now, lane_bytes) {
            return Err(format!("the {peer} has been silent for {} s", silent.as_secs()));
        }
        let lost = |error: LinkError| format!("the control link was lost: {error}");
        let bytes = encode_message(beat);
        // Where there is no room now, what waits to be read is life enough; but half a beat must not stay.
        if self.torn {
            return Ok(());
        }
        if let Ok(taken) = tokio::time::timeout(Duration::ZERO, self.write.write(&bytes)).await {
            let taken = taken.map_err(|error| lost(error.into()))?;
            put(&mut self.write, &bytes[taken..]).await.map_err(lost)?;
        }
        Ok(())
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
            break;
        }
        start = Ok(());
    }
    // Nobody listens any more; what comes is taken from the link all the same, as long as it is there: whoever lets it go
    // says how long that is.
    let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
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
    let mut rest = bytes;
    while !rest.is_empty() {
        match in_time(to.write(rest)).await? {
            0 => return Err(LinkError::Lost(closed())),
            taken => rest = &rest[taken..],
        }
    }
    Ok(in_time(to.flush()).await?)
}

/// A step of a write: a slow link takes many, each of them in time.
async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(WRITE_TIMEOUT, step).await.unwrap_or_else(|_| {
        let text = format!("the peer has taken no byte for {} s", WRITE_TIMEOUT.as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
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

/// Reads the first message of a connection, of whose other end nothing is known.
pub(crate) async fn read_first<R: AsyncRead + Unpin, M: DeserializeOwned>(
    from: &mut R,
) -> Result<M, LinkError> {
    read_magic(from).await?;
    read_within(from, MAX_GREETING_BYTES).await
}

/// Reads one message.
pub(crate) async fn read<R: AsyncRead + Unpin, M: DeserializeOwned>(from: &mut R) -> Result<M, LinkError> {
    read_within(from, MAX_MESSAGE_BYTES).await
}

async fn read_within<R: AsyncRead + Unpin, M: DeserializeOwned>(
    from: &mut R,
    most: usize,
) -> Result<M, LinkError> {
    let mut header = [0; MESSAGE_HEADER_BYTES];
    from.read_exact(&mut header).await.map_err(cut_off)?;
    let header = MessageHeader::decode(header)?;
    if header.bytes > most {
        let text = format!("a first message of {} bytes; at most {most} are allowed", header.bytes);
        return Err(ProtocolError(text).into());
    }
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
