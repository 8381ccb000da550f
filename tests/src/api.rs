//! A client of the API that knows nothing of godwit's own: HTTP/1.1 on a Unix socket, one connection a request.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde_json::Value;

/// How long an answer may take: as long as a migration.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a request was answered with.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The header, as it came.
    pub header: String,
    /// The body; null where there is none.
    pub body: Value,
}

impl Response {
    /// The sentences of an error, as one text.
    ///
    /// # Panics
    /// Where the body is not an array of strings.
    #[must_use]
    pub fn sentences(&self) -> String {
        let all = self.body.as_array().unwrap_or_else(|| panic!("no sentences: {self:?}"));
        let texts: Vec<_> =
            all.iter().map(|s| s.as_str().unwrap_or_else(|| panic!("no text: {self:?}"))).collect();
        assert!(!texts.is_empty(), "an error without a word: {self:?}");
        texts.join(": ")
    }
}

/// Asks for a document.
///
/// # Panics
/// Where there is no answer in HTTP.
#[must_use]
pub fn get(socket: &Path, name: &str) -> Response {
    request(socket, "GET", name, "")
}

/// Asks for something to be done.
///
/// # Panics
/// Where there is no answer in HTTP.
#[must_use]
pub fn put(socket: &Path, name: &str, body: &str) -> Response {
    request(socket, "PUT", name, body)
}

/// Sends a request to the endpoint `name`.
///
/// # Panics
/// Where there is no answer in HTTP.
#[must_use]
pub fn request(socket: &Path, method: &str, name: &str, body: &str) -> Response {
    let head = format!(
        "{method} /api/v1/{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    raw(socket, &[head.as_bytes(), body.as_bytes()].concat())
}

/// Sends `bytes`, whatever they are, and reads the answer.
///
/// # Panics
/// Where it is not HTTP.
#[must_use]
pub fn raw(socket: &Path, bytes: &[u8]) -> Response {
    let mut stream = UnixStream::connect(socket).unwrap_or_else(|e| panic!("{} : {e}", socket.display()));
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time-out");
    stream.write_all(bytes).expect("the API reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap_or_else(|e| panic!("no answer: {e}"));
    let answer = String::from_utf8(answer).expect("the answer is text");
    let (header, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no header: {answer:?}"));
    let status = header.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    Response {
        status: status.unwrap_or_else(|| panic!("no status: {header:?}")),
        header: header.to_owned(),
        body: match body {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|e| panic!("no JSON ({e}): {text:?}")),
        },
    }
}
