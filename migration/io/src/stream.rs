//! A protected connection for who wants one without a migration around it: what measures lanes, and what tries them.

use std::io;

use crate::{
    address::Address,
    marks::Marks,
    protection::Protection,
    socket::{Listener, Socket, Unadmitted},
    tls::SourceTls,
};

/// A connection whose calls block. By TLS, what is written goes as records in as few calls as there can be.
pub use crate::socket::Blocking as Stream;

/// Connects as a source does. Inside a tokio runtime only.
///
/// # Errors
/// In words: also those with which the target turned it away.
pub async fn dial(address: &Address, protection: &Protection<SourceTls>) -> io::Result<Stream> {
    Socket::dial(address, &Marks::default(), protection, None).await?.into_blocking(None)
}

/// Takes the next connection in as a target does; one in clear must say something first. Inside a tokio runtime only.
///
/// # Errors
/// It is not so protected as the listener says, or was refused.
pub async fn accept(listener: &Listener) -> io::Result<Stream> {
    let (raw, _) = listener.accept().await?;
    let socket = Socket::admit(raw, listener.protection()).await.map_err(|unadmitted| match unadmitted {
        Unadmitted::Lost(error) | Unadmitted::Refused(_, error) => error,
        Unadmitted::ByTls(_) => io::Error::new(io::ErrorKind::InvalidData, "it speaks TLS"),
        Unadmitted::InClear(_) => io::Error::new(io::ErrorKind::InvalidData, "it does not speak TLS"),
    })?;
    socket.into_blocking(None)
}
