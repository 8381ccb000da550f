//! Whether a peer's certificate is good: of the authority, in its time, for its use, and with a name that is wanted.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerIncompatible,
    RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::{
    peer::{Peer, listed, names_of},
    provider,
};

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    Source,
    Target,
}

/// A name that is not wanted, in words. Other TLS failures have their own type.
#[derive(Debug)]
struct Unwanted(String);

impl fmt::Display for Unwanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unwanted {}

fn unwanted(why: String) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Unwanted(why)))))
}

/// TLS 1.2 is not spoken, so nothing of it is ever good.
fn no_tls12() -> Error {
    Error::PeerIncompatible(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig)
}

/// What a target demands of a source.
#[derive(Debug)]
pub(super) struct SourceVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    peers: Vec<Peer>,
}

impl SourceVerifier {
    pub(super) fn new(roots: Arc<RootCertStore>, peers: &[Peer]) -> Result<Self, VerifierBuilderError> {
        let inner = WebPkiClientVerifier::builder_with_provider(roots, provider()).build()?;
        Ok(Self { inner, peers: peers.to_vec() })
    }
}

impl ClientCertVerifier for SourceVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        if self.peers.is_empty() || self.peers.iter().any(|peer| peer.names(end_entity)) {
            return Ok(verified);
        }
        Err(unwanted(format!(
            "its certificate is for {}, and taken is only {} (--peer)",
            names_of(end_entity),
            listed(&self.peers)
        )))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// What a source demands of a target.
#[derive(Debug)]
pub(super) struct TargetVerifier {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
    peers: Vec<Peer>,
}

impl TargetVerifier {
    pub(super) fn new(roots: Arc<RootCertStore>, peers: &[Peer]) -> Self {
        let algorithms = provider().signature_verification_algorithms;
        Self { roots, algorithms, peers: peers.to_vec() }
    }
}

impl ServerCertVerifier for TargetVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        if self.peers.is_empty() {
            return match verify_server_name(&parsed, server_name) {
                Ok(()) => Ok(ServerCertVerified::assertion()),
                Err(_) => Err(unwanted(format!(
                    "its certificate is for {}, and not for {}; connect to it by a name that it has, or say with \
                     --peer which name it is to have",
                    names_of(end_entity),
                    server_name.to_str()
                ))),
            };
        }
        if self.peers.iter().any(|peer| peer.names(end_entity)) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(unwanted(format!(
            "its certificate is for {}, and wanted is {} (--peer)",
            names_of(end_entity),
            listed(&self.peers)
        )))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether the own certificate would be taken by a peer that trusts the same authorities.
pub(super) fn check_own(
    chain: &[CertificateDer<'static>],
    roots: &Arc<RootCertStore>,
    usage: Usage,
) -> Result<(), Error> {
    let Some((own, between)) = chain.split_first() else { return Err(Error::NoCertificatesPresented) };
    let now = UnixTime::now();
    match usage {
        Usage::Target => verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(own)?,
            roots,
            between,
            now,
            provider().signature_verification_algorithms.all,
        ),
        Usage::Source => SourceVerifier::new(roots.clone(), &[])
            .map_err(|error| Error::General(error.to_string()))?
            .verify_client_cert(own, between, now)
            .map(|_| ()),
    }
}
