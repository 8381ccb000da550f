//! Certificates and keys as files, and what may be wrong with them.

use std::{
    fmt,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    Error, RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use thiserror::Error;

use super::{
    CA_CERT_FILE, SOURCE_CERT_FILE, SOURCE_KEY_FILE, TARGET_CERT_FILE, TARGET_KEY_FILE,
    verify::{Usage, check_own},
    words,
};

/// Longest file that is read: more certificates than any chain has.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A file of certificates or keys that cannot be used.
#[derive(Debug, Error)]
#[error("{path}: {defect}", path = path.display())]
pub struct FileError {
    /// The file, or the directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub defect: String,
}

/// What the files of one side hold, as PEM. A process that may not read them is handed this by one that may.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Of `ca-cert.pem`.
    pub ca_cert: String,
    /// The own certificate, and those between it and the authority.
    pub cert: String,
    /// The private key.
    pub key: String,
}

impl Credentials {
    /// Reads a source's files in `dir`. What they hold is not looked at.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn of_source(dir: &Path) -> Result<Self, FileError> {
        Self::read(dir, SOURCE_CERT_FILE, SOURCE_KEY_FILE)
    }

    /// Reads a target's files in `dir`. What they hold is not looked at.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn of_target(dir: &Path) -> Result<Self, FileError> {
        Self::read(dir, TARGET_CERT_FILE, TARGET_KEY_FILE)
    }

    fn read(dir: &Path, cert: &str, key: &str) -> Result<Self, FileError> {
        let read = |name: &str| read(&dir.join(name));
        let read = Self { ca_cert: read(CA_CERT_FILE)?, cert: read(cert)?, key: read(key)? };
        warn_of_others(&dir.join(key));
        Ok(read)
    }

    /// Bytes of all three.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ca_cert.len() + self.cert.len() + self.key.len()
    }
}

/// A private key is in no log.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// The files of one side, read.
pub(super) struct Files<'a> {
    /// Where they are, for messages; empty where that is not known.
    pub(super) dir: &'a Path,
    pub(super) cert: &'static str,
    pub(super) key: &'static str,
    pub(super) read: &'a Credentials,
}

impl Files<'_> {
    /// The authorities that a peer's certificate may come from.
    pub(super) fn roots(&self) -> Result<Arc<RootCertStore>, FileError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates(CA_CERT_FILE, &self.read.ca_cert)? {
            roots.add(certificate).map_err(|error| self.error(CA_CERT_FILE, read_error(&error)))?;
        }
        Ok(Arc::new(roots))
    }

    /// The own certificate, and those between it and the authority.
    pub(super) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, FileError> {
        self.certificates(self.cert, &self.read.cert)
    }

    /// The private key.
    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, FileError> {
        PrivateKeyDer::from_pem_slice(self.read.key.as_bytes()).map_err(|error| {
            self.error(
                self.key,
                match error {
                    pem::Error::NoItemsFound => "holds no private key in PEM (BEGIN PRIVATE KEY)".into(),
                    other => format!("is not PEM: {other}"),
                },
            )
        })
    }

    /// Looks at the own certificate as a peer with the same authorities would.
    pub(super) fn check_own(
        &self,
        chain: &[CertificateDer<'static>],
        roots: &Arc<RootCertStore>,
        usage: Usage,
    ) -> Result<(), FileError> {
        check_own(chain, roots, usage).map_err(|error| self.error(self.cert, read_error(&error)))
    }

    /// The error for a key and a certificate that do not go together, or cannot be used.
    pub(super) fn misfit(&self, error: &Error) -> FileError {
        let defect = match error {
            Error::InconsistentKeys(_) => format!("is not the key of {}", self.cert),
            other => format!("is no key that can be used: {other}"),
        };
        self.error(self.key, defect)
    }

    /// The error for a set of files of which no one is to blame.
    pub(super) fn unusable(&self, why: &impl fmt::Display) -> FileError {
        FileError { path: self.dir.into(), defect: format!("cannot be used for TLS: {why}") }
    }

    fn certificates(&self, name: &str, text: &str) -> Result<Vec<CertificateDer<'static>>, FileError> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        match found {
            Ok(found) if found.is_empty() => {
                Err(self.error(name, "holds no certificate in PEM (BEGIN CERTIFICATE)".into()))
            }
            Ok(found) => Ok(found),
            Err(error) => Err(self.error(name, format!("is not PEM: {error}"))),
        }
    }

    fn error(&self, name: &str, defect: String) -> FileError {
        FileError { path: self.dir.join(name), defect }
    }
}

/// Whether the authorities in `dir` know nothing of the one that signed `chain`.
pub(super) fn is_foreign(
    dir: &Path,
    chain: &[CertificateDer<'static>],
    usage: Usage,
) -> Result<bool, FileError> {
    let ca_cert = read(&dir.join(CA_CERT_FILE))?;
    let authorities = Credentials { ca_cert, cert: String::new(), key: String::new() };
    let files = Files { dir, cert: "", key: "", read: &authorities };
    let checked = check_own(chain, &files.roots()?, usage);
    use rustls::CertificateError::{BadSignature, UnknownIssuer};
    Ok(matches!(checked, Err(Error::InvalidCertificate(UnknownIssuer | BadSignature))))
}

/// A file, if it is not too long.
fn read(path: &Path) -> Result<String, FileError> {
    let wrong = |defect: String| FileError { path: path.into(), defect };
    let size = std::fs::metadata(path).map_err(|error| wrong(unread(&error)))?.len();
    if size > MAX_FILE_BYTES {
        return Err(wrong(format!("has {size} bytes; at most {MAX_FILE_BYTES} are read")));
    }
    let bytes = std::fs::read(path).map_err(|error| wrong(unread(&error)))?;
    // PEM is ASCII; what stands around it may be anything.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Says of a private key's file that it is not its owner's alone.
fn warn_of_others(path: &Path) {
    if std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0) {
        tracing::warn!("{}: others than its owner can use this private key; chmod 600 it", path.display());
    }
}

fn unread(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "is not there; `godwit certs` makes a set for trying out".into(),
        _ => format!("cannot be read: {error}"),
    }
}

fn read_error(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => words::certificate(why),
        other => other.to_string(),
    }
}
