//! TLS 1.3, mutual, on the control link and on every lane: rustls does the handshake and the cryptography.
//!
//! [`TargetTls`] and [`SourceTls`] are what the files of a directory say ([`files`]), with whom to let in ([`peer`],
//! [`verify`]). [`handshake`] makes a [`Session`] of a connection, whose records [`record`] seals and opens; nothing of
//! a session is kept for another one: no tickets, no resumption, no early data.
//!
//! Nobody learns here what a migration is. Neighbours: `socket` puts a session on a connection, [`authority`] makes
//! certificates for those who have none.

pub mod authority;
#[cfg(test)]
mod authority_test;
mod files;
#[cfg(test)]
mod files_test;
#[cfg(test)]
mod fuzz_test;
mod handshake;
mod peer;
#[cfg(test)]
mod peer_test;
mod record;
#[cfg(test)]
mod record_test;
mod verify;
mod words;

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, ServerConfig, crypto::CryptoProvider, version::TLS13};

pub use files::{Credentials, FileError};
pub(crate) use handshake::{HANDSHAKE_RECORD, accept, connect};
pub use peer::Peer;
pub(crate) use record::{Opener, Sealer};

/// File of the certificates of the authorities that a peer's certificate may come from, one or more.
pub const CA_CERT_FILE: &str = "ca-cert.pem";
/// File of a target's certificate, and of those between it and the authority.
pub const TARGET_CERT_FILE: &str = "server-cert.pem";
/// File of a target's private key.
pub const TARGET_KEY_FILE: &str = "server-key.pem";
/// File of a source's certificate, and of those between it and the authority.
pub const SOURCE_CERT_FILE: &str = "client-cert.pem";
/// File of a source's private key.
pub const SOURCE_KEY_FILE: &str = "client-key.pem";

/// What a target shows, and whom it lets in.
#[derive(Clone, Debug)]
pub struct TargetTls {
    config: Arc<ServerConfig>,
}

impl TargetTls {
    /// Reads `ca-cert.pem`, `server-cert.pem` and `server-key.pem` in `dir`. Sources whose certificate has the name of
    /// one of `peers` may come; without `peers` all may that have one of the authority's.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn load(dir: &Path, peers: &[Peer]) -> Result<Self, FileError> {
        Self::of(&Credentials::of_target(dir)?, dir, peers)
    }

    /// [`Self::load`] of files that somebody has read, in `dir` as messages have it.
    ///
    /// # Errors
    /// As for `load`.
    pub fn of(read: &Credentials, dir: &Path, peers: &[Peer]) -> Result<Self, FileError> {
        let provider = provider();
        let files = files::Files { dir, cert: TARGET_CERT_FILE, key: TARGET_KEY_FILE, read };
        let roots = files.roots()?;
        let (chain, key) = (files.chain()?, files.key()?);
        files.check_own(&chain, &roots, verify::Usage::Target)?;
        let verifier = verify::SourceVerifier::new(roots, peers).map_err(|why| files.unusable(&why))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|why| files.unusable(&why))?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_single_cert(chain, key)
            .map_err(|why| files.misfit(&why))?;
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.enable_secret_extraction = true;
        Ok(Self { config: Arc::new(config) })
    }
}

/// What a source shows, and to whom it gives its guest.
#[derive(Clone, Debug)]
pub struct SourceTls {
    config: Arc<ClientConfig>,
    /// Whether the target's name was given, and is not that of the host.
    named: bool,
}

impl SourceTls {
    /// Reads `ca-cert.pem`, `client-cert.pem` and `client-key.pem` in `dir`. The target's certificate must have the name
    /// of one of `peers`, or, without `peers`, that of the host that is connected to.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn load(dir: &Path, peers: &[Peer]) -> Result<Self, FileError> {
        Self::of(&Credentials::of_source(dir)?, dir, peers)
    }

    /// [`Self::load`] of files that somebody has read, in `dir` as messages have it.
    ///
    /// # Errors
    /// As for `load`.
    pub fn of(read: &Credentials, dir: &Path, peers: &[Peer]) -> Result<Self, FileError> {
        let provider = provider();
        let files = files::Files { dir, cert: SOURCE_CERT_FILE, key: SOURCE_KEY_FILE, read };
        let roots = files.roots()?;
        let (chain, key) = (files.chain()?, files.key()?);
        files.check_own(&chain, &roots, verify::Usage::Source)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|why| files.unusable(&why))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verify::TargetVerifier::new(roots, peers)))
            .with_client_auth_cert(chain, key)
            .map_err(|why| files.misfit(&why))?;
        config.resumption = rustls::client::Resumption::disabled();
        config.enable_sni = false;
        config.enable_secret_extraction = true;
        Ok(Self { config: Arc::new(config), named: !peers.is_empty() })
    }

    /// Whether the target is known by a name that was given, wherever it is.
    #[must_use]
    pub fn names_target(&self) -> bool {
        self.named
    }
}

/// A connection after its handshake.
pub(crate) struct Session {
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
    /// The peer's own certificate, DER.
    pub(crate) peer: Vec<u8>,
}

/// ring, with AES before ChaCha20: its AES-GCM moves 8 GB/s where the CPU has VAES, and it builds with a C compiler
/// alone.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites = vec![
        rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
        rustls::crypto::ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
        rustls::crypto::ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    Arc::new(provider)
}

/// 256 bits from the kernel.
pub(crate) fn token() -> std::io::Result<Token> {
    let mut token = [0; TOKEN_BYTES];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut token).map_err(|_| std::io::Error::other("the kernel gives no random numbers"))?;
    Ok(token)
}

/// Bytes of a token.
pub(crate) const TOKEN_BYTES: usize = 32;
/// What binds a migration's lanes to its control link.
pub(crate) type Token = [u8; TOKEN_BYTES];
