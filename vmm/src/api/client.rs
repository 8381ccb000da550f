//! Asks a godwit process over its API socket. One connection a request.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use super::ROOT;

/// Largest answer taken: a report of many thousand rounds fits.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// Largest file taken: a dirty trace that does not compress.
const MAX_FILE_BYTES: usize = 512 << 20;
/// How long a process may take to answer what it should answer at once.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a request was not answered, or what it was refused with.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody is there.
    #[error("no godwit process listens on {path}; is its --api the same path, and is it still running?")]
    NotListening {
        /// The socket.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// The socket cannot be opened.
    #[error("cannot open the API socket {path}")]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// The process did not answer, or not in HTTP.
    #[error("the process behind {path} did not answer {name}: {reason}")]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// The endpoint.
        name: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// The process refused, and says why.
    #[error("{}", sentences.join(": "))]
    Refused {
        /// The status.
        status: StatusCode,
        /// What the process said, outermost first.
        sentences: Vec<String>,
    },
}

/// A client of one process.
#[derive(Debug, Clone)]
pub struct Client {
    path: PathBuf,
}

impl Client {
    /// A client of the process whose `--api` is `path`. Does not connect yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.into() }
    }

    /// Asks for a document.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn get(&self, name: &'static str) -> Result<Value, ClientError> {
        self.soon(name, self.request(Method::GET, name, None)).await
    }

    /// Asks for something to be done at once.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn put(&self, name: &'static str) -> Result<Value, ClientError> {
        self.soon(name, self.request(Method::PUT, name, None)).await
    }

    /// Asks for something to be done at once, with `body`.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn put_with(&self, name: &'static str, body: &Value) -> Result<Value, ClientError> {
        self.soon(name, self.request(Method::PUT, name, Some(body))).await
    }

    /// Asks for something that takes as long as it takes, such as a migration.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn put_and_wait(&self, name: &'static str, body: &Value) -> Result<Value, ClientError> {
        self.request(Method::PUT, name, Some(body)).await
    }

    /// Asks for a file that takes as long as it takes, such as a dirty trace.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn put_for_file(&self, name: &'static str, body: &Value) -> Result<Vec<u8>, ClientError> {
        let (status, bytes) = self.exchange(Method::PUT, name, Some(body), MAX_FILE_BYTES).await?;
        if status.is_success() {
            return Ok(bytes.into());
        }
        // What a refusal says is JSON; where it is not, its status says enough.
        let document = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Err(ClientError::Refused { status, sentences: sentences(status, &document) })
    }

    async fn soon(
        &self,
        name: &'static str,
        request: impl Future<Output = Result<Value, ClientError>>,
    ) -> Result<Value, ClientError> {
        tokio::time::timeout(ANSWER_TIMEOUT, request).await.unwrap_or_else(|_| {
            Err(self.no_answer(name, format!("nothing came within {} s", ANSWER_TIMEOUT.as_secs())))
        })
    }

    async fn request(
        &self,
        method: Method,
        name: &'static str,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let (status, body) = self.exchange(method, name, body, MAX_ANSWER_BYTES).await?;
        let document = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body)
                .map_err(|e| self.no_answer(name, format!("its answer is not JSON: {e}")))?
        };
        if status.is_success() {
            return Ok(document);
        }
        Err(ClientError::Refused { status, sentences: sentences(status, &document) })
    }

    async fn exchange(
        &self,
        method: Method,
        name: &'static str,
        body: Option<&Value>,
        most_bytes: usize,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let stream = UnixStream::connect(&self.path).await.map_err(|e| self.unreachable(e))?;
        let no_answer = |e: hyper::Error| self.no_answer(name, because(&e));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(no_answer)?;
        tokio::spawn(connection);
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("{ROOT}{name}"))
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| self.no_answer(name, e.to_string()))?;
        let response = sender.send_request(request).await.map_err(no_answer)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), most_bytes)
            .collect()
            .await
            .map_err(|e| self.no_answer(name, e.to_string()))?
            .to_bytes();
        Ok((status, body))
    }

    fn unreachable(&self, source: io::Error) -> ClientError {
        let path = self.path.clone();
        match source.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => ClientError::NotListening { path, source },
            _ => ClientError::Unreachable { path, source },
        }
    }

    fn no_answer(&self, name: &'static str, reason: String) -> ClientError {
        ClientError::NoAnswer { path: self.path.clone(), name, reason }
    }
}

/// hyper's error in words that a user knows.
fn because(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return "it closed the connection".into();
    }
    if error.is_parse() {
        return "what it sent is not HTTP".into();
    }
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What an error's body says; the status alone, where it says nothing.
fn sentences(status: StatusCode, document: &Value) -> Vec<String> {
    let said: Vec<String> = document
        .as_array()
        .map(|all| all.iter().filter_map(|s| s.as_str().map(str::to_owned)).collect())
        .unwrap_or_default();
    if said.is_empty() { vec![format!("the process answered {status}")] } else { said }
}
