//! A person's terminal, lent to the command in the nested host: raw while lent, and given back on every way out.

use std::io::{Read, Stdin, Write, stdin};

use anyhow::{Context, Result};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};

/// Ctrl-]: ends the nested host.
const ESCAPE: u8 = 0x1d;

/// Standard input in raw mode, until dropped. Nothing to do where it is no terminal.
#[derive(Debug)]
pub struct RawTerminal {
    before: Option<Termios>,
}

impl RawTerminal {
    /// Switches to raw mode.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn enter() -> Result<Self> {
        if !isatty(stdin()) {
            return Ok(Self { before: None });
        }
        let before = tcgetattr(stdin()).context("the terminal does not say its settings")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw).context("the terminal does not take raw mode")?;
        Ok(Self { before: Some(before) })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // There is nobody left to tell.
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

/// The terminal's size as words for `stty`; nothing where it has none.
pub(super) fn size_words() -> String {
    match tcgetwinsize(stdin()) {
        Ok(size) if size.ws_row > 0 => format!("rows {} cols {}", size.ws_row, size.ws_col),
        _ => String::new(),
    }
}

/// Copies what is typed to `port`. Returns whether it ended with the escape character, and not with the input.
pub(super) fn copy_typed(mut input: impl Read, mut port: impl Write) -> bool {
    let mut bytes = [0; 256];
    while let Ok(count @ 1..) = input.read(&mut bytes) {
        let typed = &bytes[..count];
        let end = typed.iter().position(|&byte| byte == ESCAPE);
        if port.write_all(&typed[..end.unwrap_or(count)]).and_then(|()| port.flush()).is_err() {
            return false;
        }
        if end.is_some() {
            return true;
        }
    }
    false
}

/// Standard input as something to read from on a thread.
pub(super) fn keyboard() -> Stdin {
    stdin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_goes_through_until_the_escape_character() {
        let mut port = Vec::new();
        assert!(copy_typed(&b"ls\n\x03\x1dlost"[..], &mut port));
        assert_eq!(port, b"ls\n\x03");
        assert!(!copy_typed(&b"ls\n"[..], Vec::new()));
    }
}
