//! The escape keys of a serial console on a terminal: Ctrl-A, then `x` to quit, Ctrl-A to send one Ctrl-A.
//!
//! Any other key after Ctrl-A is swallowed with it, so that a slip of the finger sends nothing to the guest.

const CTRL_A: u8 = 1;

/// What to do with a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Key {
    /// Send it to the guest.
    Send(u8),
    /// Nothing: part of an escape.
    Swallow,
    /// The user wants the VMM to end.
    Quit,
}

/// Whether the last key was Ctrl-A.
#[derive(Debug, Default)]
pub struct Escape {
    pending: bool,
}

impl Escape {
    /// Takes the next key.
    pub fn key(&mut self, byte: u8) -> Key {
        match (std::mem::take(&mut self.pending), byte) {
            (false, CTRL_A) => {
                self.pending = true;
                Key::Swallow
            }
            (false, byte) | (true, byte @ CTRL_A) => Key::Send(byte),
            (true, b'x') => Key::Quit,
            (true, _) => Key::Swallow,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Escape, Key};

    fn typed(keys: &[u8]) -> Vec<Key> {
        let mut escape = Escape::default();
        keys.iter().map(|key| escape.key(*key)).filter(|key| *key != Key::Swallow).collect()
    }

    #[test]
    fn keys_pass_and_escapes_do_not() {
        assert_eq!(typed(b"x\x01qa"), [Key::Send(b'x'), Key::Send(b'a')]);
    }

    #[test]
    fn ctrl_a_x_quits_and_ctrl_a_twice_sends_it_once() {
        assert_eq!(typed(b"\x01x"), [Key::Quit]);
        assert_eq!(typed(b"\x01\x01x"), [Key::Send(1), Key::Send(b'x')]);
    }
}
