//! Payloads of released versions, kept as hexadecimal text in `golden/<kind>.v<version>.hex`,
//! after a line that says what they are of.

use std::path::PathBuf;

/// The payload kept of `kind` in `version`.
pub(crate) fn payload(kind: &str, version: u16) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("golden/{kind}.v{version}.hex"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let payload = text.lines().filter(|line| !line.starts_with('#'));
    let digits: Vec<u8> = payload.flat_map(str::bytes).filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}
