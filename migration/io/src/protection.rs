//! Whether a migration travels in clear: by TLS, or on this host only, or because somebody asked for it by name.

use std::{io, net::SocketAddr};

/// How the connections of a migration are protected; `T` is what one side's TLS needs.
#[derive(Clone, Debug, Default)]
pub enum Protection<T> {
    /// In clear, and therefore over loopback and Unix sockets only.
    #[default]
    Local,
    /// In clear, wherever to.
    Insecure,
    /// TLS 1.3, both sides with certificates.
    Tls(T),
}

impl<T> Protection<T> {
    /// Whether nothing may leave this host.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local)
    }
}

/// Refuses an address that others than this host could listen to.
pub(crate) fn stays_here(peer: &SocketAddr) -> io::Result<()> {
    if peer.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "{} is not this host alone, and without TLS whoever is on the way could read the guest's memory or send \
             another guest; give --tls DIR, or say --insecure where the network is trusted",
            peer.ip()
        ),
    ))
}

#[cfg(test)]
mod protection_test {
    use super::*;

    #[test]
    fn loopback_is_all_that_stays_here() {
        for own in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            stays_here(&own.parse().unwrap()).unwrap();
        }
        for other in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[fe80::1]:1", "128.0.0.1:1"] {
            let said = stays_here(&other.parse().unwrap()).unwrap_err().to_string();
            assert!(said.contains("--tls DIR") && said.contains("--insecure"), "{said}");
        }
    }
}
