//! Cuts what a process prints into lines.

use std::io::Read;

/// Longest line; a longer one is cut into pieces of this length.
const MAX_LINE_BYTES: usize = 4096;

/// Reads `from` to its end on the calling thread, and hands each line to `to` until that returns false.
pub fn forward(mut from: impl Read, mut to: impl FnMut(String) -> bool) {
    let mut line = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        for &byte in &piece[..read] {
            if byte != b'\n' && line.len() < MAX_LINE_BYTES {
                line.push(byte);
                continue;
            }
            if !to(text(&line)) {
                return;
            }
            line.clear();
            if byte != b'\n' {
                line.push(byte);
            }
        }
    }
    if !line.is_empty() {
        to(text(&line));
    }
}

/// The line as text that does nothing to a terminal.
fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod lines_test {
    use super::*;

    fn cut(bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        forward(bytes, |line| {
            lines.push(line);
            true
        });
        lines
    }

    #[test]
    fn lines_and_the_unfinished_last_one_come_without_control_characters() {
        assert_eq!(cut(b"one\r\ntw\x1b[31mo\n\nlast"), ["one", "tw[31mo", "", "last"]);
    }

    #[test]
    fn an_endless_line_is_cut() {
        let lines = cut(&[b'x'; 10_000]);
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [4096, 4096, 1808]);
    }

    #[test]
    fn it_stops_when_nobody_listens() {
        let mut heard = 0;
        forward(&b"1\n2\n3\n"[..], |_| {
            heard += 1;
            heard < 2
        });
        assert_eq!(heard, 2);
    }
}
