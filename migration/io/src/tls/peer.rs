//! Who may be at the other end: names that certificates carry.

use std::{fmt, net::IpAddr, str::FromStr};

use godwit_migration::wire::clean_text;
use rustls::pki_types::{CertificateDer, DnsName, ServerName};
use webpki::EndEntityCert;

/// Most names of a certificate that are told to a person.
const TOLD_NAMES: usize = 8;

/// A name that a peer's certificate must have among its subject alternative names: a DNS name, an IP address, or a URI
/// such as a SPIFFE id, which may end in `/*` for everything below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer(Name);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Dns(DnsName<'static>),
    Ip(IpAddr),
    Uri(String),
    /// A URI that begins so, the slash included.
    Below(String),
}

impl Peer {
    /// Whether `certificate` has this name. One that cannot be read has none.
    pub(crate) fn names(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok(certificate) = EndEntityCert::try_from(certificate) else { return false };
        let is_for = |name: ServerName<'_>| certificate.verify_is_valid_for_subject_name(&name).is_ok();
        match &self.0 {
            Name::Dns(name) => is_for(ServerName::DnsName(name.borrow())),
            Name::Ip(ip) => is_for(ServerName::from(*ip)),
            Name::Uri(uri) => certificate.valid_uri_names().any(|name| name == uri),
            Name::Below(start) => certificate
                .valid_uri_names()
                .any(|name| name.len() > start.len() && name.starts_with(start.as_str()) && !climbs(name)),
        }
    }
}

/// Whether a path in it leads out again.
fn climbs(uri: &str) -> bool {
    uri.split('/').any(|part| part == ".." || part == ".")
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is no name of a peer; it is a DNS name, an IP address, or a URI such as \
                 spiffe://prod.example/host/a, which may end in /* for all below"
            )
        };
        if let Ok(ip) = text.parse() {
            return Ok(Self(Name::Ip(ip)));
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            let good = |c: char| c.is_ascii_graphic() && c != '*';
            let plain = rest.strip_suffix("/*").unwrap_or(rest);
            if scheme.is_empty() || plain.is_empty() || !scheme.chars().chain(plain.chars()).all(good) {
                return Err(wrong());
            }
            return Ok(Self(match text.strip_suffix('*') {
                Some(start) => Name::Below(start.into()),
                None => Name::Uri(text.into()),
            }));
        }
        DnsName::try_from(text.to_owned()).map(|name| Self(Name::Dns(name))).map_err(|_| wrong())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Name::Dns(name) => f.write_str(name.as_ref()),
            Name::Ip(ip) => ip.fmt(f),
            Name::Uri(uri) => f.write_str(uri),
            Name::Below(start) => write!(f, "{start}*"),
        }
    }
}

/// The names that `certificate` has, for a person.
pub(crate) fn names_of(certificate: &CertificateDer<'_>) -> String {
    let Ok(parsed) = EndEntityCert::try_from(certificate) else { return "nothing that can be read".into() };
    let mut names: Vec<String> =
        parsed.valid_dns_names().chain(parsed.valid_uri_names()).map(str::to_owned).collect();
    // The addresses are told only by the error for a name that is none of them.
    if let Ok(nobody) = ServerName::try_from("nobody.invalid")
        && let Err(webpki::Error::CertNotValidForName(context)) =
            parsed.verify_is_valid_for_subject_name(&nobody)
    {
        let addresses = context.presented.iter();
        names.extend(addresses.filter_map(|name| {
            name.strip_prefix("IpAddress(").and_then(|ip| ip.strip_suffix(')')).map(str::to_owned)
        }));
    }
    if names.is_empty() {
        return "no name".into();
    }
    let more = names.len().saturating_sub(TOLD_NAMES);
    names.truncate(TOLD_NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", clean_text(&names.join(", ")))
}

/// The list of `peers`, for a person.
pub(crate) fn listed(peers: &[Peer]) -> String {
    peers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
