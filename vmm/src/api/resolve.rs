//! What `vm.resolve-migration` takes.

use super::{Refusal, fields::Fields};

/// A person's word on a guest of which this side does not know what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolve {
    /// Whether it goes on here, or is let go here.
    pub keep: bool,
    /// Whether that counts whatever the other side says.
    pub force: bool,
}

impl Resolve {
    /// Reads the body.
    ///
    /// # Errors
    /// 400 naming what is wrong.
    pub fn parse(endpoint: &'static str, body: &[u8]) -> Result<Self, Refusal> {
        let mut fields = Fields::parse(endpoint, &["keep", "force"], body)?;
        let truth = "it must be true or false";
        Ok(Self {
            keep: fields.required("keep", truth)?,
            force: fields.optional("force", truth)?.unwrap_or(false),
        })
    }

    /// The body.
    #[must_use]
    pub fn body(self) -> serde_json::Value {
        serde_json::json!({"keep": self.keep, "force": self.force})
    }
}

#[cfg(test)]
mod resolve_test {
    use super::*;

    #[test]
    fn the_body_goes_there_and_back_and_what_is_wrong_is_named() {
        let all = Resolve { keep: true, force: true };
        assert_eq!(Resolve::parse("x", all.body().to_string().as_bytes()).unwrap(), all);
        let keep = Resolve::parse("x", b"{\"keep\": false}").unwrap();
        assert_eq!(keep, Resolve { keep: false, force: false });
        for wrong in [&b"{}"[..], b"{\"keep\": 1}", b"{\"keep\": true, \"x\": 1}"] {
            assert!(Resolve::parse("x", wrong).is_err());
        }
    }
}
