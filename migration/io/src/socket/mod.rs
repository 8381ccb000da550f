//! A migration's connection, in clear or by TLS: dialled and accepted asynchronously, then read and written either way.
//!
//! By TLS each connection begins with 32 bytes from either side, before anything of the protocol. The target says a
//! token, new for each connection; the source answers with zeros on its control link, and on a lane with the token of
//! the control link that it belongs to. So who has not seen the inside of a migration's control link cannot bring a
//! lane to it, and a source has heard that its certificate was taken before it says anything.

mod blocking;
mod listener;
mod raw;
#[cfg(test)]
mod socket_test;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::{
    address::Address,
    marks::Marks,
    protection::Protection,
    tls::{self, Session, SourceTls, TOKEN_BYTES, TargetTls, Token},
};
pub use blocking::Blocking;
pub use listener::Listener;
pub(crate) use raw::{PARTING, Raw, RawBlocking};

/// How long a TLS handshake may take, and the target's word that it took the certificate.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// What a source says in place of a token where it belongs to nothing yet.
const NO_TOKEN: Token = [0; TOKEN_BYTES];
/// Most plain bytes that are sealed before they have gone.
const MOST_PENDING: usize = 64 << 10;

/// What holds a migration's connections together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bond {
    /// Of the control link.
    token: Token,
    /// The certificate of the peer there.
    certificate: Vec<u8>,
}

/// A connected socket, in tokio's hands.
pub(crate) struct Socket {
    raw: Raw,
    tls: Option<Box<Tls>>,
}

struct Tls {
    session: Session,
    /// The token that the target gave this connection, and the one that the source has answered with.
    given: Token,
    claimed: Token,
    /// Sealed, and not gone yet: those from `gone` on.
    pending: Vec<u8>,
    gone: usize,
}

impl Socket {
    /// Connects to `address`, so marked and so protected: a control link, or a lane of the one that `bond` is of.
    ///
    /// # Errors
    /// In words: also those with which the target turned it away.
    pub(crate) async fn dial(
        address: &Address,
        marks: &Marks,
        protection: &Protection<SourceTls>,
        bond: Option<&Bond>,
    ) -> io::Result<Self> {
        let mut raw = Raw::dial(address, marks, protection.is_local()).await?;
        let Protection::Tls(tls) = protection else { return Ok(Self { raw, tls: None }) };
        let host = host_of(address, tls)?;
        let open = async {
            let session = tls::connect(tls, host, &mut raw).await?;
            let claimed = bond.map_or(NO_TOKEN, |bond| bond.token);
            let mut socket = Self::secured(raw, session, claimed);
            let given = socket.read_token("the target").await?;
            socket.write_all(&claimed).await?;
            socket.flush().await?;
            Ok(socket.with_given(given))
        };
        let socket = in_time(open, "the target").await?;
        match (bond, socket.bond()) {
            (Some(bond), Some(own)) if bond.certificate != own.certificate => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the target's TLS certificate is another one than on the control link",
            )),
            _ => Ok(socket),
        }
    }

    /// The target's side of what [`dial`](Self::dial) does, on a connection that has been accepted. Who does it in clear
    /// where TLS is wanted, or the other way round, gets the connection back in the error, to be told so.
    pub(crate) async fn admit(raw: Raw, protection: &Protection<TargetTls>) -> Result<Self, Unadmitted> {
        let first = match raw.first_byte().await {
            Ok(first) => first,
            Err(error) => return Err(Unadmitted::Lost(error)),
        };
        let speaks_tls = first == Some(tls::HANDSHAKE_RECORD);
        match protection {
            Protection::Tls(tls) if speaks_tls => Self::admit_by_tls(raw, tls).await,
            Protection::Tls(_) if first.is_some() => Err(Unadmitted::InClear(raw)),
            Protection::Local | Protection::Insecure if speaks_tls => Err(Unadmitted::ByTls(raw)),
            _ => Ok(Self { raw, tls: None }),
        }
    }

    async fn admit_by_tls(mut raw: Raw, tls: &TargetTls) -> Result<Self, Unadmitted> {
        let session = match tls::accept(tls, &mut raw).await {
            Ok(session) => session,
            Err(error) => return Err(Unadmitted::Refused(raw, error)),
        };
        let open = async {
            let given = tls::token()?;
            let mut socket = Self::secured(raw, session, NO_TOKEN).with_given(given);
            socket.write_all(&given).await?;
            socket.flush().await?;
            let claimed = socket.read_token("the source").await?;
            if let Some(tls) = &mut socket.tls {
                tls.claimed = claimed;
            }
            Ok(socket)
        };
        open.await.map_err(Unadmitted::Lost)
    }

    fn secured(raw: Raw, session: Session, claimed: Token) -> Self {
        let tls = Tls { session, given: NO_TOKEN, claimed, pending: vec![], gone: 0 };
        Self { raw, tls: Some(Box::new(tls)) }
    }

    fn with_given(mut self, given: Token) -> Self {
        if let Some(tls) = &mut self.tls {
            tls.given = given;
        }
        self
    }

    async fn read_token(&mut self, peer: &str) -> io::Result<Token> {
        let mut token = NO_TOKEN;
        match self.read_exact(&mut token).await {
            Ok(_) => Ok(token),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(io::Error::new(
                error.kind(),
                format!("{peer} closed the connection at the end of the TLS handshake"),
            )),
            Err(error) => Err(error),
        }
    }

    /// What lanes of this control link are bound by; nothing in clear.
    pub(crate) fn bond(&self) -> Option<Bond> {
        let tls = self.tls.as_ref()?;
        Some(Bond { token: tls.given, certificate: tls.session.peer.clone() })
    }

    /// Whether this is a lane of the control link that `bond` is of; if not, why.
    pub(crate) fn belongs_to(&self, bond: Option<&Bond>) -> Result<(), &'static str> {
        match (&self.tls, bond) {
            (None, None) => Ok(()),
            (Some(tls), Some(bond)) => {
                if !same(&tls.claimed, &bond.token) {
                    Err("its token is not that of this migration's control link")
                } else if tls.session.peer != bond.certificate {
                    Err("its TLS certificate is another one than on this migration's control link")
                } else {
                    Ok(())
                }
            }
            _ => Err("it is in clear and the control link is not, or the other way round"),
        }
    }

    /// The same socket for a thread that blocks, for at most `patience` a write.
    pub(crate) fn into_blocking(self, patience: Option<Duration>) -> io::Result<Blocking> {
        Ok(Blocking::new(self.raw.into_blocking(patience)?, self.tls.map(|tls| tls.session)))
    }

    /// Ends the connection with somebody who was turned away, in a way that lets it read what it was told.
    pub(crate) async fn part(self) {
        self.raw.part().await;
    }

    /// Writes what is sealed.
    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(tls) = &mut self.tls else { return Poll::Ready(Ok(())) };
        while tls.gone < tls.pending.len() {
            match ready!(Pin::new(&mut self.raw).poll_write(cx, &tls.pending[tls.gone..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => tls.gone += bytes,
            }
        }
        tls.pending.clear();
        tls.gone = 0;
        Poll::Ready(Ok(()))
    }
}

/// Why a connection was not let in.
pub(crate) enum Unadmitted {
    /// It ended.
    Lost(io::Error),
    /// It speaks TLS, and this target does not.
    ByTls(Raw),
    /// It speaks in clear, and this target does not.
    InClear(Raw),
    /// TLS refused it, and told it.
    Refused(Raw, io::Error),
}

/// Whether two tokens are the same, in a time that does not tell where they differ.
fn same(a: &Token, b: &Token) -> bool {
    a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// The name that the certificate of the target at `address` must have, where none was given.
fn host_of(address: &Address, tls: &SourceTls) -> io::Result<ServerName<'static>> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
    match address.host() {
        Some(host) => ServerName::try_from(host.to_owned())
            .map_err(|_| invalid(format!("'{host}' is no name that a TLS certificate could have"))),
        None if tls.names_target() => {
            ServerName::try_from("localhost").map_err(|error| invalid(error.to_string()))
        }
        None => Err(invalid(
            "a Unix socket has no host name that the target's TLS certificate could be for; say with --peer which \
             name it is to have"
                .into(),
        )),
    }
}

async fn in_time<T>(open: impl Future<Output = io::Result<T>>, peer: &str) -> io::Result<T> {
    tokio::time::timeout(HANDSHAKE_TIMEOUT, open).await.unwrap_or_else(|_| {
        let text = format!("the TLS handshake with {peer} was not over in {} s", HANDSHAKE_TIMEOUT.as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(tls) = &mut this.tls else { return Pin::new(&mut this.raw).poll_read(cx, buf) };
        let opener = &mut tls.session.opener;
        loop {
            if let Some(taken) = opener.take(buf.initialize_unfilled())? {
                buf.advance(taken);
                return Poll::Ready(Ok(()));
            }
            let mut space = ReadBuf::new(opener.space());
            ready!(Pin::new(&mut this.raw).poll_read(cx, &mut space))?;
            match space.filled().len() {
                0 => return Poll::Ready(opener.ended()),
                bytes => opener.came(bytes),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_pending(cx))?;
        let Some(tls) = &mut this.tls else { return Pin::new(&mut this.raw).poll_write(cx, buf) };
        let taken = buf.len().min(MOST_PENDING);
        let mut records = vec![];
        tls.session.sealer.seal(&buf[..taken], &mut records)?;
        tls.pending = records.concat();
        // What does not go now goes before the next write, and at the latest with the flush.
        match this.poll_pending(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_pending(cx))?;
        Pin::new(&mut this.raw).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_pending(cx))?;
        Pin::new(&mut this.raw).poll_shutdown(cx)
    }
}

#[cfg(test)]
impl Socket {
    /// The options of the socket, where it is TCP's.
    pub(crate) fn tcp(&self) -> Option<socket2::SockRef<'_>> {
        self.raw.tcp()
    }
}
