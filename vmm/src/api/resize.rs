//! The body of `vm.resize`: Cloud Hypervisor's `VmResizeData`, of which godwit serves the balloon.

use serde_json::{Value, json};

use super::{Refusal, fields::Fields};

/// A request to ask the guest for memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resize {
    /// Bytes that the guest shall give back, all in all; none to leave it as it is.
    pub desired_balloon: Option<u64>,
}

impl Resize {
    /// Reads the body.
    ///
    /// # Errors
    /// 400 naming the field; also for vCPUs and memory, whose numbers cannot change.
    pub fn parse(endpoint: &'static str, body: &[u8]) -> Result<Self, Refusal> {
        let known = ["desired_vcpus", "desired_ram", "desired_balloon"];
        let mut fields = Fields::parse(endpoint, &known, body)?;
        fields.only("desired_vcpus", &[])?;
        fields.only("desired_ram", &[])?;
        Ok(Self { desired_balloon: fields.optional("desired_balloon", "a size in bytes")? })
    }

    /// The body, as a client sends it.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({ "desired_balloon": self.desired_balloon })
    }
}
