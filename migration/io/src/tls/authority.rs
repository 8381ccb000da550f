//! An authority of one's own and certificates from it, for trying out: rcgen makes them, `godwit certs` asks for them.
//!
//! Whoever has the authority's key can make a certificate for any name, so it belongs on no host that runs guests.

use std::{
    fs,
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use thiserror::Error;

use super::{
    CA_CERT_FILE, FileError, SOURCE_CERT_FILE, SOURCE_KEY_FILE, TARGET_CERT_FILE, TARGET_KEY_FILE,
    files::is_foreign, verify::Usage,
};

/// File of the authority's private key.
pub const CA_KEY_FILE: &str = "ca-key.pem";
/// What the authority is called, before what tells it from others.
const AUTHORITY: &str = "godwit test authority";
/// How long the authority lasts.
const AUTHORITY_DAYS: u32 = 3650;
const DAY: Duration = Duration::from_secs(86400);

/// What the certificates of a host are to say.
#[derive(Clone, Debug)]
pub struct Request {
    /// DNS names and IP addresses.
    pub names: Vec<String>,
    /// URIs, such as SPIFFE ids.
    pub uris: Vec<String>,
    /// From when on they are valid.
    pub from: SystemTime,
    /// For how many days.
    pub days: u32,
}

/// Why there are no certificates.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// A file that cannot be used or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A name that no certificate can have, or a time.
    #[error("'{text}' cannot be in a certificate: {why}")]
    Name {
        /// What was wanted.
        text: String,
        /// Why not.
        why: String,
    },
    /// The authority in the directory is of another make.
    #[error(
        "{0} was not made by godwit certs, which can use only its own; name another directory, or make certificates with the tool that made it"
    )]
    Foreign(PathBuf),
    /// What the library said.
    #[error("the certificates cannot be made: {0}")]
    Library(#[from] rcgen::Error),
}

/// Makes a target's and a source's certificate in `dir`, by the authority that is there, or by a new one. Gives the files
/// that were written.
///
/// # Errors
/// Names what cannot be; nothing is written then, but for a new authority.
pub fn make(dir: &Path, request: &Request) -> Result<Vec<PathBuf>, AuthorityError> {
    let target = params(request, ExtendedKeyUsagePurpose::ServerAuth)?;
    let source = params(request, ExtendedKeyUsagePurpose::ClientAuth)?;
    fs::create_dir_all(dir).map_err(|error| unwritten(dir, &error))?;
    let mut written = vec![];
    let (authority, its_own) = authority(dir, request.from, &mut written)?;
    for (params, cert, key, usage) in [
        (target, TARGET_CERT_FILE, TARGET_KEY_FILE, Usage::Target),
        (source, SOURCE_CERT_FILE, SOURCE_KEY_FILE, Usage::Source),
    ] {
        let own = KeyPair::generate()?;
        let certificate = params.signed_by(&own, &authority)?;
        // An authority with another name signs certificates that lead nowhere.
        let chain = [certificate.der().clone()];
        if !its_own && is_foreign(dir, &chain, usage)? {
            return Err(AuthorityError::Foreign(dir.join(CA_CERT_FILE)));
        }
        write(dir, key, &own.serialize_pem(), 0o600, &mut written)?;
        write(dir, cert, &certificate.pem(), 0o644, &mut written)?;
    }
    Ok(written)
}

/// The authority in `dir`, and whether it is new.
fn authority(
    dir: &Path,
    from: SystemTime,
    written: &mut Vec<PathBuf>,
) -> Result<(Issuer<'static, KeyPair>, bool), AuthorityError> {
    let key_path = dir.join(CA_KEY_FILE);
    let there = (dir.join(CA_CERT_FILE).exists(), key_path.exists());
    match there {
        (true, true) => {
            let text = fs::read_to_string(&key_path).map_err(|error| FileError {
                path: key_path.clone(),
                defect: format!("cannot be read: {error}"),
            })?;
            let key = KeyPair::from_pem(&text).map_err(|error| FileError {
                path: key_path,
                defect: format!("is no private key in PEM that can be used: {error}"),
            })?;
            Ok((Issuer::new(authority_params(&key, from)?, key), false))
        }
        (true, false) => Err(FileError {
            path: key_path,
            defect: format!("is not there, but {CA_CERT_FILE} is: without its key it signs nothing"),
        }
        .into()),
        (false, _) => {
            let key = KeyPair::generate()?;
            let params = authority_params(&key, from)?;
            let certificate = params.self_signed(&key)?;
            write(dir, CA_KEY_FILE, &key.serialize_pem(), 0o600, written)?;
            write(dir, CA_CERT_FILE, &certificate.pem(), 0o644, written)?;
            Ok((Issuer::new(params, key), true))
        }
    }
}

/// Two authorities of one name would be told apart by failed signatures only, so the name has a piece of the key in it.
fn authority_params(key: &KeyPair, from: SystemTime) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    let mark: String = key.public_key_raw().iter().rev().take(6).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name = called(&format!("{AUTHORITY} {mark}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params, from, AUTHORITY_DAYS)?;
    Ok(params)
}

fn params(request: &Request, usage: ExtendedKeyUsagePurpose) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    for text in &request.names {
        let why = || "it is no DNS name and no IP address".to_owned();
        let name = match text.parse() {
            Ok(ip) => SanType::IpAddress(ip),
            Err(_) => {
                rustls::pki_types::DnsName::try_from(text.as_str())
                    .map_err(|_| AuthorityError::Name { text: text.clone(), why: why() })?;
                let name = text.as_str().try_into();
                SanType::DnsName(name.map_err(|_| AuthorityError::Name { text: text.clone(), why: why() })?)
            }
        };
        params.subject_alt_names.push(name);
    }
    for text in &request.uris {
        let wrong = || AuthorityError::Name {
            text: text.clone(),
            why: "it is no URI such as spiffe://prod.example/host/a".into(),
        };
        let good =
            text.split_once("://").is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty());
        if !good || !text.chars().all(|c| c.is_ascii_graphic() && c != '*') {
            return Err(wrong());
        }
        params.subject_alt_names.push(SanType::URI(text.as_str().try_into().map_err(|_| wrong())?));
    }
    let called_after = request.names.iter().chain(&request.uris).next();
    params.distinguished_name = called(called_after.map_or("", String::as_str));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    valid(&mut params, request.from, request.days)?;
    Ok(params)
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

/// X.509 has no time after the year 9999, and rcgen no way to say that one is meant.
fn valid(params: &mut CertificateParams, from: SystemTime, days: u32) -> Result<(), AuthorityError> {
    let cannot = |why: &str| AuthorityError::Name { text: format!("{days} days"), why: why.into() };
    let since = from.duration_since(UNIX_EPOCH).map_err(|_| cannot("it would begin before 1970"))?;
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(cannot(&format!("there are 1 to {MOST_DAYS}")));
    }
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since;
    params.not_after = params.not_before + DAY * days;
    Ok(())
}

/// Most days that certificates may be valid: a hundred years.
pub const MOST_DAYS: u32 = 36_500;

fn write(
    dir: &Path,
    name: &str,
    text: &str,
    mode: u32,
    written: &mut Vec<PathBuf>,
) -> Result<(), AuthorityError> {
    let path = dir.join(name);
    let put = || -> std::io::Result<()> {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&path)?;
        // A file that was there has the mode it had.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())
    };
    put().map_err(|error| unwritten(&path, &error))?;
    written.push(path);
    Ok(())
}

fn unwritten(path: &Path, error: &std::io::Error) -> FileError {
    FileError { path: path.into(), defect: format!("cannot be written: {error}") }
}
