//! TLS between the processes, where the program under test speaks it.

use std::sync::OnceLock;

use crate::{
    program::run,
    site::{Site, text},
};

/// What both processes are called.
const NAME: &str = "127.0.0.1";

/// Whether the program under test speaks TLS.
pub fn has_tls() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| run(&["receive", "--help"]).out.contains("--tls"))
}

/// Flags of both `godwit receive` and `godwit migrate` for TLS with an authority made for `site`.
///
/// # Panics
/// Where no certificates can be made.
#[must_use]
pub fn flags(site: &Site) -> Vec<String> {
    let folder = text(&site.file("tls"));
    let made = run(&["certs", &folder, "--name", NAME]);
    assert_eq!(made.status, 0, "{}", made.err);
    vec!["--tls".to_owned(), folder]
}
