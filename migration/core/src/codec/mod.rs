//! How a page travels. The coders of a lane form a chain: each takes the page or declines, and `raw` takes what is left.
//!
//! A codec is one file and one line in [`CODECS`]; the tests of this module run over that table.

mod raw;
mod zero;

#[cfg(test)]
mod codec_test;

use crate::{error::ProtocolError, host::PageBytes};

/// What a coder did with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coded {
    /// It appended the page's encoding to the output.
    Used,
    /// It left the output alone; the next in the chain may try.
    Declined,
}

/// A codec: stateless ones are unit structs, others keep their tables per lane and direction.
pub trait Codec: Send {
    /// Appends the encoding of `page` to `out`, or declines.
    fn encode(&mut self, page: &PageBytes, out: &mut Vec<u8>) -> Coded;

    /// Decodes exactly `payload` into `page`.
    ///
    /// # Errors
    /// A payload that no encoder writes. `page` is then undefined.
    fn decode(&mut self, payload: &[u8], page: &mut PageBytes) -> Result<(), ProtocolError>;
}

/// A row of the registry.
pub struct CodecRow {
    /// Name in presets and reports.
    pub name: &'static str,
    /// Number on the wire; never used again for anything else.
    pub wire_id: u8,
    /// Bytes of every encoded page.
    pub page_bytes: usize,
    /// Makes one for a lane.
    pub make: fn() -> Box<dyn Codec>,
}

/// All codecs.
pub static CODECS: &[CodecRow] = &[raw::ROW, zero::ROW];

/// Wire id of pages that travel as they are.
pub const RAW: u8 = raw::ROW.wire_id;
/// Wire id of pages that hold only zeros.
pub const ZERO: u8 = zero::ROW.wire_id;

/// The codec with that wire id.
#[must_use]
pub fn by_wire_id(id: u8) -> Option<&'static CodecRow> {
    CODECS.iter().find(|row| row.wire_id == id)
}

/// The codec of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static CodecRow> {
    CODECS.iter().find(|row| row.name == name)
}
