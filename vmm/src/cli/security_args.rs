//! The flags that protect a migration.

use std::path::PathBuf;

use clap::Args;
use godwit_transport::tls::Peer;

use crate::api::Security;

/// How the connections of a migration are protected.
#[derive(Debug, Clone, Args)]
pub struct SecurityArgs {
    /// TLS 1.3 with the certificates in this directory: ca-cert.pem, and server-cert.pem with server-key.pem to receive,
    /// client-cert.pem with client-key.pem to migrate; `godwit certs` makes a set for trying out
    #[arg(long, value_name = "DIR")]
    tls: Option<PathBuf>,
    /// With --tls: the peer's certificate must have this name, or one of several: a DNS name, an IP address, or a URI
    /// such as spiffe://prod.example/host/a, with /* at its end for all below [default: to migrate, the host of --to;
    /// to receive, any certificate of the authority]
    #[arg(long, value_name = "NAME", requires = "tls")]
    peer: Vec<Peer>,
    /// Without TLS also where others than this host can read the guest's memory, or send a guest
    #[arg(long, conflicts_with = "tls")]
    insecure: bool,
}

impl SecurityArgs {
    /// Whether any of them was given.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.tls.is_some() || self.insecure
    }

    /// As the API says it; what is read by another process is found from there too.
    ///
    /// # Errors
    /// There is no directory to be in.
    pub fn security(self) -> std::io::Result<Security> {
        let tls_dir = self.tls.map(std::path::absolute).transpose()?;
        Ok(Security { tls_dir, tls: None, peers: self.peer, insecure: self.insecure })
    }
}
