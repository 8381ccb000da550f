//! Records as files: one a migration, written whole or not at all, and checked when read.
//!
//! A file is a line, `godwit-record VERSION CRC-32`, and a JSON object to which the checksum belongs. It is written beside
//! its place, made durable, moved there, and the directory made durable: a crash leaves the old one or the new one. A
//! directory belongs to one process at a time, so that what a record says of an earlier process is said of one that ended.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::Record;

/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;
const WORD: &str = "godwit-record";
const SUFFIX: &str = "migration";
/// Longest file that is read.
const MAX_RECORD_BYTES: u64 = 64 << 10;
/// Most records that are kept: the oldest go first.
const MAX_RECORDS: usize = 1024;

/// Why records cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The host said no.
    #[error("cannot {what} {path}")]
    Host {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// Two processes, one directory.
    #[error("the state directory {path} is in use by another process; each needs its own")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// What is there is no record.
    #[error("the record {path} cannot be used: {reason}; look at it, and move it away to go on without it")]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// A directory of records, held by this process.
pub struct StateDir {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl StateDir {
    /// Makes the directory where it is not there, and takes it.
    ///
    /// # Errors
    /// It cannot be made, written to, or another process has it.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let host = |what, path: &Path| {
            let path = path.to_owned();
            move |source| RecordError::Host { what, path, source }
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(host("make the state directory", path))?;
        let at = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&at)
            .map_err(host("open", &at))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(RecordError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(host("lock", &at)(source)),
        }
    }

    fn place(&self, session: u128) -> PathBuf {
        self.path.join(format!("{session:032x}.{SUFFIX}"))
    }

    /// Every record that is there.
    pub(super) fn load(&self) -> Result<Vec<(u128, Record)>, RecordError> {
        let mut files = vec![];
        let host = |source| RecordError::Host { what: "list", path: self.path.clone(), source };
        for entry in fs::read_dir(&self.path).map_err(host)? {
            let path = entry.map_err(host)?.path();
            if path.extension().is_some_and(|suffix| suffix == SUFFIX) {
                let changed = fs::metadata(&path).and_then(|about| about.modified());
                files.push((changed.unwrap_or(SystemTime::UNIX_EPOCH), path));
            }
        }
        files.sort();
        for (_, old) in files.drain(..files.len().saturating_sub(MAX_RECORDS)) {
            // One that stays is one more to read.
            let _ = fs::remove_file(old);
        }
        files.into_iter().map(|(_, path)| read(&path)).collect()
    }

    /// Writes a record in the place of the one that was `before`. Where that fails, the place holds what it held, as far as
    /// the host lets it.
    pub(super) fn write(
        &self,
        session: u128,
        record: &Record,
        before: Option<&Record>,
    ) -> Result<(), RecordError> {
        let place = self.place(session);
        let written = self.put(&place, record);
        if written.is_err() {
            // It may have got into its place without being durable; then it must not be found there later.
            let undone = before.map_or_else(|| fs::remove_file(&place), |before| self.put(&place, before));
            if let Err(error) = undone {
                tracing::debug!("after a record that could not be written: {error}");
            }
        }
        written.map_err(|source| RecordError::Host { what: "write the record", path: place, source })
    }

    fn put(&self, place: &Path, record: &Record) -> io::Result<()> {
        let body = serde_json::to_vec(record)?;
        let mut bytes = format!("{WORD} {VERSION} {:08x}\n", crc32fast::hash(&body)).into_bytes();
        bytes.extend(body);
        let beside = place.with_extension("new");
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, place)?;
        File::open(&self.path)?.sync_all()
    }
}

fn read(path: &Path) -> Result<(u128, Record), RecordError> {
    let bad = |reason: String| RecordError::Bad { path: path.to_owned(), reason };
    let host = |source| RecordError::Host { what: "read the record", path: path.to_owned(), source };
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let session = u128::from_str_radix(name, 16).map_err(|_| bad("its name is no migration's".into()))?;
    let bytes = fs::metadata(path).map_err(host)?.len();
    if bytes > MAX_RECORD_BYTES {
        return Err(bad(format!("it has {bytes} bytes; a record has at most {MAX_RECORD_BYTES}")));
    }
    let text = String::from_utf8(fs::read(path).map_err(host)?).map_err(|_| bad("it is no text".into()))?;
    let (head, body) = text.split_once('\n').ok_or_else(|| bad("it is cut off in its first line".into()))?;
    let mut words = head.split(' ');
    if words.next() != Some(WORD) {
        return Err(bad(format!("it does not begin with {WORD}")));
    }
    let version = words.next().unwrap_or_default();
    if version != VERSION.to_string() {
        return Err(bad(format!("it is of version {version:?}; this godwit reads version {VERSION}")));
    }
    if words.next() != Some(format!("{:08x}", crc32fast::hash(body.as_bytes())).as_str()) {
        return Err(bad("its checksum is wrong: it is cut off or damaged".into()));
    }
    let record = serde_json::from_str(body).map_err(|error| bad(format!("it does not decode: {error}")))?;
    Ok((session, record))
}
