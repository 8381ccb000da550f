//! What a process says to the person who started it.

use std::{
    fmt::Display,
    io::{Write, stderr},
};

/// Says a sentence on stderr, in one write. That nobody listens there any more is no reason to fail.
pub(crate) fn notice(sentence: impl Display) {
    let _ = stderr().write_all(format!("godwit: {sentence}\n").as_bytes());
}
