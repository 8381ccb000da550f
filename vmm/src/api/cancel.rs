//! The body of `vm.cancel-migration`: nothing, or why.

use godwit_migration::cancellation::Cancellation;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Refusal, fields::Fields};

/// What made the client ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum CancelReason {
    /// A user's command.
    #[default]
    Request,
    /// Ctrl-C where the migration was followed.
    Interrupt,
}

/// A request to give the migration under way up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CancelMigration {
    /// What made the client ask.
    pub reason: CancelReason,
}

impl CancelMigration {
    /// Reads the body.
    ///
    /// # Errors
    /// 400 naming the field.
    pub fn parse(endpoint: &'static str, body: &[u8]) -> Result<Self, Refusal> {
        if matches!(body.trim_ascii(), b"" | b"null") {
            return Ok(Self::default());
        }
        let mut fields = Fields::parse(endpoint, &["reason"], body)?;
        let reason = fields.optional("reason", "\"Request\" or \"Interrupt\"")?;
        Ok(Self { reason: reason.unwrap_or_default() })
    }

    /// The body, as a client sends it.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({ "reason": self.reason })
    }

    /// In the engine's words.
    #[must_use]
    pub fn why(&self) -> Cancellation {
        match self.reason {
            CancelReason::Request => Cancellation::Request,
            CancelReason::Interrupt => Cancellation::Interrupt,
        }
    }
}
