//! The body of `vm.resize-disk`: Cloud Hypervisor's `VmResizeDisk`.

use serde_json::{Value, json};

use super::{Refusal, fields::Fields};

/// A request to let the guest see another size of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResizeDisk {
    /// Which disk: `disk0` is the first.
    pub id: String,
    /// Its size in bytes from now on; none for that which its image has been given by now.
    pub desired_size: Option<u64>,
}

impl ResizeDisk {
    /// Reads the body.
    ///
    /// # Errors
    /// 400 naming the field.
    pub fn parse(endpoint: &'static str, body: &[u8]) -> Result<Self, Refusal> {
        let mut fields = Fields::parse(endpoint, &["id", "desired_size"], body)?;
        Ok(Self {
            id: fields.required("id", "the name of a disk, such as \"disk0\"")?,
            desired_size: fields.optional("desired_size", "a size in bytes, or null for the image's own")?,
        })
    }

    /// The body, as a client sends it.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({ "id": self.id, "desired_size": self.desired_size })
    }
}
