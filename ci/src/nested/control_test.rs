//! What the second serial port means, and what it cannot be made to mean.

use std::sync::OnceLock;

use super::control::{Heard, nonce};

fn listen(text: &[u8]) -> Heard {
    Heard::listen(text, "abc", &OnceLock::new())
}

#[test]
fn the_init_is_heard() {
    let up = OnceLock::new();
    let heard = Heard::listen(&b"abc up\r\n[  1.0] something\r\nabc exit 3\r\n"[..], "abc", &up);
    assert!(up.get().is_some());
    assert_eq!(heard.code, Some(3));
    assert_eq!(heard.console_text(), "[  1.0] something");
}

#[test]
fn nobody_else_gives_an_exit_code() {
    let heard = listen(b"exit 0\nabd exit 0\n abc exit 0 too late\nprefix abc exit 0\nabc exit x\n");
    assert_eq!(heard.code, None);
    let heard = listen(b"abc exit 1\nabc exit 0\n");
    assert_eq!(heard.code, Some(1), "the first one stands");
}

#[test]
fn what_failed_is_kept_in_its_words() {
    let heard = listen(b"abc failed insmod 03-kvm.ko\n");
    assert_eq!(heard.failed, ["insmod 03-kvm.ko"]);
}

#[test]
fn a_flood_is_bounded() {
    let flood = vec![b'x'; 1 << 20];
    let heard = listen(&flood);
    assert!(heard.console_text().len() < 64 << 10);
}

#[test]
fn a_nonce_is_used_once() {
    let (one, other) = (nonce().unwrap(), nonce().unwrap());
    assert_ne!(one, other);
    assert_eq!(one.len(), 32);
}
