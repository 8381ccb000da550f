//! How a migration is protected, as fields of its request: Cloud Hypervisor's `tls_dir`, and godwit's `tls`, `peers`
//! and `insecure`.
//!
//! `tls` holds what the files of a `tls_dir` hold. A process that is confined may not be able to read the folder; who
//! asks it to migrate can, and hands the contents over.

use std::path::{Path, PathBuf};

use godwit_transport::{
    protection::Protection,
    tls::{Credentials, FileError, Peer, SourceTls, TargetTls},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, fields::Fields};
use crate::sandbox;

/// The names of the fields.
pub(super) const FIELDS: [&str; 4] = ["tls_dir", "tls", "peers", "insecure"];
/// What may stand in `tls`.
const TLS: &str = "an object of 'ca_cert', 'cert' and 'key', each of them PEM in quotes";
/// Most bytes of PEM in `tls`: some dozens of certificates, and fits a request's body.
pub const MAX_TLS_BYTES: usize = 128 << 10;

/// How a migration is to be protected. Without anything it is in clear, and goes nowhere but over loopback and Unix
/// sockets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Security {
    /// Directory with the authority's certificate and one's own, and its key: TLS.
    pub tls_dir: Option<PathBuf>,
    /// What such a directory's files hold: TLS.
    pub tls: Option<Credentials>,
    /// Names of which the peer's certificate must have one.
    pub peers: Vec<Peer>,
    /// In clear wherever to, as was asked for by name.
    pub insecure: bool,
}

impl Security {
    /// Reads the fields.
    ///
    /// # Errors
    /// 400 naming the field.
    pub(super) fn parse(fields: &mut Fields) -> Result<Self, Refusal> {
        let wrong = |field: &str, why: String| Refusal::bad_request(format!("the field '{field}': {why}"));
        let tls_dir: Option<PathBuf> = fields.optional("tls_dir", "the path of a directory, in quotes")?;
        let tls =
            fields.secret("tls", TLS)?.map(|Tls { ca_cert, cert, key }| Credentials { ca_cert, cert, key });
        let names: Option<Vec<String>> = fields.optional("peers", "a list of names, each in quotes")?;
        let peers: Result<Vec<Peer>, _> = names.unwrap_or_default().iter().map(|name| name.parse()).collect();
        let peers = peers.map_err(|why| wrong("peers", why))?;
        let insecure = fields.optional("insecure", "true or false")?.unwrap_or(false);
        if let Some(bytes) = tls.as_ref().map(Credentials::bytes).filter(|&bytes| bytes > MAX_TLS_BYTES) {
            return Err(wrong(
                "tls",
                format!("it holds {bytes} bytes of PEM; at most {MAX_TLS_BYTES} are taken"),
            ));
        }
        if tls.is_some() && tls_dir.is_some() {
            return Err(wrong("tls", "it stands for the files of a 'tls_dir', and there is one".into()));
        }
        let is_tls = tls.is_some() || tls_dir.is_some();
        if insecure && is_tls {
            return Err(wrong(
                "insecure",
                "it is for migrations without TLS, and there are certificates".into(),
            ));
        }
        if !peers.is_empty() && !is_tls {
            return Err(wrong(
                "peers",
                "only certificates have names: it needs a 'tls_dir', or 'tls' with what is in one".into(),
            ));
        }
        Ok(Self { tls_dir, tls, peers, insecure })
    }

    /// Puts the fields that are set into a request's body.
    pub(super) fn write(&self, body: &mut Value) {
        if let Some(dir) = &self.tls_dir {
            body["tls_dir"] = json!(dir);
        }
        if let Some(Credentials { ca_cert, cert, key }) = &self.tls {
            body["tls"] = json!({ "ca_cert": ca_cert, "cert": cert, "key": key });
        }
        if !self.peers.is_empty() {
            body["peers"] = self.peers.iter().map(ToString::to_string).collect();
        }
        if self.insecure {
            body["insecure"] = json!(true);
        }
    }

    /// The same, with what a source's files hold in place of their directory: for a process that may not read them.
    /// More than [`MAX_TLS_BYTES`] stay a directory's, which that process then must have been started for.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn carried_by_source(mut self) -> Result<Self, FileError> {
        if let Some(dir) = self.tls_dir.take() {
            let read = Credentials::of_source(&dir)?;
            // So that what is wrong is told with the path that the user gave.
            SourceTls::of(&read, &dir, &self.peers)?;
            if read.bytes() <= MAX_TLS_BYTES {
                self.tls = Some(read);
            } else {
                self.tls_dir = Some(dir);
            }
        }
        Ok(self)
    }

    /// What a source needs of it: its files are read here.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn of_source(&self) -> Result<Protection<SourceTls>, FileError> {
        self.protection(SourceTls::load, SourceTls::of)
    }

    /// What a target needs of it: its files are read here.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn of_target(&self) -> Result<Protection<TargetTls>, FileError> {
        self.protection(TargetTls::load, TargetTls::of)
    }

    /// What is said to a client about a file of its request.
    pub(crate) fn refusal(&self, error: &FileError) -> Refusal {
        match &self.tls_dir {
            Some(dir) => Refusal::bad_request(format!("{error}{}", sandbox::advice_on(&error.path, dir))),
            None => Refusal::bad_request(format!("the field 'tls': {error}")),
        }
    }

    fn protection<T>(
        &self,
        load: impl FnOnce(&Path, &[Peer]) -> Result<T, FileError>,
        of: impl FnOnce(&Credentials, &Path, &[Peer]) -> Result<T, FileError>,
    ) -> Result<Protection<T>, FileError> {
        match (&self.tls, &self.tls_dir) {
            (Some(read), _) => Ok(Protection::Tls(of(read, Path::new(""), &self.peers)?)),
            (None, Some(dir)) => Ok(Protection::Tls(load(dir, &self.peers)?)),
            (None, None) if self.insecure => Ok(Protection::Insecure),
            (None, None) => Ok(Protection::Local),
        }
    }
}

/// The field `tls`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    ca_cert: String,
    cert: String,
    key: String,
}
