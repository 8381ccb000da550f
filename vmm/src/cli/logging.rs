//! What the program tells of itself beside its results: on stderr, little unless asked.

use std::{io::IsTerminal, str::FromStr};

use anyhow::{Context, anyhow};
use tracing::Level;

/// The environment's word for the level.
const VARIABLE: &str = "GODWIT_LOG";

/// Starts logging at the level of `-v`s, or of GODWIT_LOG where that says more.
///
/// # Errors
/// For a GODWIT_LOG that is no level.
pub fn start(verbose: u8) -> anyhow::Result<()> {
    let asked = match verbose {
        0 => Level::WARN,
        1 => Level::INFO,
        2 => Level::DEBUG,
        _ => Level::TRACE,
    };
    let level = match std::env::var(VARIABLE) {
        Ok(text) if !text.is_empty() => asked.max(
            Level::from_str(&text)
                .map_err(|_| anyhow!("it is '{text}'; it can be error, warn, info, debug or trace"))
                .with_context(|| format!("the environment's {VARIABLE} is no level"))?,
        ),
        _ => asked,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(level >= Level::DEBUG)
        .without_time()
        .init();
    Ok(())
}
