//! What goes wrong with TLS, said so that a person knows at which end and what to do.

use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error, pki_types::UnixTime};

/// Why a handshake failed here, as a sentence about the peer, which is `the source` or `the target`.
pub(super) fn failed(error: &Error, peer: &str) -> String {
    match error {
        Error::AlertReceived(alert) => refused(*alert, peer),
        Error::InvalidCertificate(why) => match why {
            CertificateError::Other(why) => format!("{peer} is turned away by TLS: {}", why.0),
            why => format!("{peer} is turned away by TLS: its certificate {}", certificate(why)),
        },
        Error::NoCertificatesPresented => format!("{peer} is turned away by TLS: it shows no certificate"),
        Error::PeerIncompatible(why) => {
            format!("{peer} does not speak TLS 1.3 as godwit does, and no older version is spoken: {why:?}")
        }
        Error::DecryptError => {
            format!(
                "the TLS record of {peer} is not of this session: it was changed, or recorded from another"
            )
        }
        other => format!("the TLS handshake with {peer} failed: {other}"),
    }
}

/// Why the peer wants no more, from its alert.
pub(super) fn refused(alert: AlertDescription, peer: &str) -> String {
    use AlertDescription as A;
    let own = "this side's certificate";
    match alert {
        A::CertificateExpired => format!("{peer} refuses TLS: {own} has expired, or is not valid yet"),
        A::UnknownCA => {
            format!("{peer} refuses TLS: {own} is not from an authority that it knows (its ca-cert.pem)")
        }
        A::CertificateUnknown => {
            format!(
                "{peer} refuses TLS: no name of {own} is one that it takes (its --peer, or the host connected to)"
            )
        }
        A::CertificateRequired => format!("{peer} refuses TLS: it wants a certificate and was shown none"),
        A::BadCertificate | A::UnsupportedCertificate | A::CertificateRevoked | A::AccessDenied => {
            format!("{peer} refuses TLS: it does not take {own} ({alert:?})")
        }
        A::ProtocolVersion => format!("{peer} refuses TLS 1.3: it speaks another version only"),
        A::DecryptError => format!("{peer} refuses TLS: a signature is wrong, of {own} or of this session"),
        A::HandshakeFailure => {
            format!("{peer} refuses TLS: it has nothing in common with what godwit offers")
        }
        A::CloseNotify => format!("{peer} closed the TLS connection"),
        other => format!("{peer} ended the TLS connection with the alert {other:?}"),
    }
}

/// What is wrong with a certificate, as the end of a sentence about it.
pub(super) fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::ExpiredContext { time, not_after } => {
            format!("has expired {} ago", span(*not_after, *time))
        }
        CertificateError::Expired => "has expired".into(),
        CertificateError::NotValidYetContext { time, not_before } => {
            format!("is not valid yet, only in {}", span(*time, *not_before))
        }
        CertificateError::NotValidYet => "is not valid yet".into(),
        CertificateError::UnknownIssuer => "is not from an authority in ca-cert.pem".into(),
        CertificateError::BadSignature => "has a signature that is not of the authority it names".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is for another use: a target wants serverAuth in its extended key usage, a source clientAuth"
                .into()
        }
        CertificateError::BadEncoding => "cannot be read".into(),
        CertificateError::Other(why) => format!("cannot be used: {}", why.0),
        other => format!("cannot be used: {other}"),
    }
}

/// The time between, in a unit that a person thinks in.
fn span(from: UnixTime, to: UnixTime) -> String {
    let span = Duration::from_secs(to.as_secs().saturating_sub(from.as_secs()));
    match span.as_secs() {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86400),
    }
}
