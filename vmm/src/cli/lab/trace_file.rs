//! Trace files on the disk, and files that are there whole or not at all.

use std::{
    fs::{self, File},
    io::{BufReader, ErrorKind},
    path::Path,
};

use anyhow::Context;
use godwit_lab::trace::{Tape, Trace};

/// Reads a trace and makes it ready to be played.
///
/// # Errors
/// The file and what is wrong with it.
pub fn read_trace(path: &Path) -> anyhow::Result<Tape> {
    let file = File::open(path).with_context(|| format!("cannot open the trace {}", path.display()))?;
    let trace = Trace::read(BufReader::new(file))
        .with_context(|| format!("cannot read the trace {}", path.display()))?;
    Ok(Tape::new(trace))
}

/// Writes a file beside its place and moves it there, so that an interrupted command leaves no half of one.
///
/// # Errors
/// The file and what is wrong with it.
pub fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let context = || format!("cannot write {}", path.display());
    // A device or a pipe has no place beside it.
    match fs::metadata(path) {
        Ok(there) if !there.is_file() => return fs::write(path, bytes).with_context(context),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(context),
        _ => {}
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let beside = Path::new(&beside);
    let written = fs::write(beside, bytes).and_then(|()| fs::rename(beside, path));
    if written.is_err() {
        // The error is of the writing; that nothing may be left to remove is no news.
        let _ = fs::remove_file(beside);
    }
    written.with_context(context)
}
