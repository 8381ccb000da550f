//! What a client is told when a request is not served: an HTTP status and a chain of sentences, outermost first.
//!
//! The body is a JSON array of strings, as Cloud Hypervisor answers errors.

use hyper::StatusCode;

/// Why a request was not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The class, for programs.
    pub status: StatusCode,
    /// Sentences for a person, from what happened down to its cause. Never empty.
    pub sentences: Vec<String>,
}

impl Refusal {
    /// The request itself is wrong: 400.
    pub fn bad_request(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }

    /// There is nothing there to act on: 404.
    pub fn not_found(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, sentence)
    }

    /// Not in the present state of the machine: 405, as Cloud Hypervisor's specification has it.
    pub fn wrong_state(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, sentence)
    }

    /// Something else is under way: 409.
    pub fn conflict(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, sentence)
    }

    /// It was tried and it failed: 500, with the error and its causes.
    pub fn failed(what: impl Into<String>, error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string);
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            sentences: std::iter::once(what.into()).chain(causes).collect(),
        }
    }

    /// A status with one sentence.
    pub fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { status, sentences: vec![sentence.into()] }
    }

    /// The body: a JSON array of the sentences.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        serde_json::Value::from(self.sentences.clone()).to_string().into_bytes()
    }
}
