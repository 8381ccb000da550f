//! What Cloud Hypervisor's command-line client, ch-remote, says and hears: the bytes of its requests, in the pieces in
//! which it writes them, and no more of an answer than it looks at. It is not that program; its source was read for this.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde_json::Value;

/// How long an answer may take: as long as a migration.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a command of ch-remote ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// The HTTP status.
    pub status: u16,
    /// The body; none where the answer has no `Content-Length`, and then ch-remote reads none.
    pub body: Option<Value>,
}

impl Heard {
    /// Whether ch-remote would take it as done: it knows no other statuses than these.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.status, 100 | 200 | 204)
    }

    /// The sentences that ch-remote shows where it was refused.
    ///
    /// # Panics
    /// Where it was done, or nothing was said.
    #[must_use]
    pub fn refusal(&self) -> String {
        assert!(!self.is_done(), "{self:?}");
        let sentences = self.body.as_ref().and_then(Value::as_array);
        let sentences = sentences.unwrap_or_else(|| panic!("no array of sentences: {self:?}"));
        sentences.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(": ")
    }
}

/// `ch-remote --api-socket SOCKET COMMAND`, with the body that the command makes.
///
/// # Panics
/// For a command that there is not, and where ch-remote would panic or give up.
#[must_use]
pub fn ch_remote(socket: &Path, command: &str, body: Option<&str>) -> Heard {
    let (method, name) = match command {
        "ping" => ("GET", "vmm.ping".to_owned()),
        "shutdown-vmm" => ("PUT", "vmm.shutdown".to_owned()),
        "info" | "counters" => ("GET", format!("vm.{command}")),
        "create" | "boot" | "delete" | "pause" | "resume" | "reboot" | "shutdown" | "power-button"
        | "resize" | "resize-disk" | "send-migration" | "receive-migration" => {
            ("PUT", format!("vm.{command}"))
        }
        other => panic!("this part of ch-remote is not known here: {other}"),
    };
    let mut stream = UnixStream::connect(socket).unwrap_or_else(|e| panic!("{}: {e}", socket.display()));
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time-out");
    let mut say = |piece: String| stream.write_all(piece.as_bytes()).expect("the API reads");
    say(format!("{method} /api/v1/{name} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n"));
    if let Some(body) = body {
        say(format!("Content-Length: {}\r\n", body.len()));
    }
    say("\r\n".into());
    if let Some(body) = body {
        say(body.into());
    }
    hear(&mut stream)
}

/// As [`ch_remote`], for what must be done; its document, or null where it has none.
///
/// # Panics
/// Where it is refused, or has a document and should not, or the other way round.
pub fn done(socket: &Path, command: &str, body: Option<&str>) -> Value {
    let heard = ch_remote(socket, command, body);
    assert!(heard.is_done(), "{command}: {heard:?}");
    let has_document = matches!(command, "ping" | "info" | "counters" | "send-migration");
    let expected = if has_document { (200, true) } else { (204, false) };
    assert_eq!((heard.status, heard.body.is_some()), expected, "{command}: {heard:?}");
    heard.body.unwrap_or_default()
}

/// Reads as it does: until the header has ended, and after it as many bytes as `Content-Length` says, in that spelling. The
/// connection stays open.
fn hear(stream: &mut UnixStream) -> Heard {
    let mut heard = String::new();
    loop {
        let mut bytes = [0; 256];
        let count = stream.read(&mut bytes).unwrap_or_else(|e| panic!("no answer: {e}; so far {heard:?}"));
        heard += std::str::from_utf8(&bytes[..count]).expect("ch-remote takes text that no read cuts in two");
        let Some((header, body)) = heard.split_once("\r\n\r\n") else {
            assert!(count > 0, "the connection ended in the header: {heard:?}");
            continue;
        };
        let length = header.split("Content-Length: ").nth(1).map(|rest| {
            rest.lines().next().and_then(|n| n.trim().parse::<usize>().ok()).expect("a length is a number")
        });
        if count > 0 && length.is_some_and(|length| body.len() < length) {
            continue;
        }
        // All that follows the version is a number to it, and no words behind it.
        let line = header.lines().next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
        let status = line.and_then(|rest| rest.trim().parse().ok());
        return Heard {
            status: status.unwrap_or_else(|| panic!("no status: {header:?}")),
            body: length.map(|_| {
                serde_json::from_str(body).unwrap_or_else(|e| panic!("the body is no JSON ({e}): {body:?}"))
            }),
        };
    }
}
