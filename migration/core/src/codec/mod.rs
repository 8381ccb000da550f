//! How a page travels. The coders of a lane form a chain: each takes the page or declines, and `raw` takes what is left.
//!
//! A codec is one file and one line in [`CODECS`]; the tests of this module run over that table. What a user writes
//! (`zero,xbzrle,cache=64,zstd`) is an [`Encoding`]: coders, and whether whole batches of frames are compressed on top
//! of them, which is `wire::pack`'s work. `ME2`'s three ways of a page (NODATA, COMPRESSED, NOCHANGE) are `zero`, `rle`
//! and `raw` here: the frame's header says which, for a run of pages at once.

mod adaptive;
mod dedup;
mod encoding;
mod last_sent;
mod raw;
mod rle;
mod runs;
mod xbzrle;
mod zero;
mod zstd_page;

#[cfg(test)]
mod codec_test;
#[cfg(test)]
mod dedup_test;
#[cfg(test)]
mod encoding_test;
#[cfg(test)]
mod xbzrle_test;

pub use encoding::{ENCODINGS, Encoding, Part};

pub(crate) use encoding::{Chain, Packing};

use crate::{
    error::{LaneError, ProtocolError},
    host::PageBytes,
    wire::LaneTotals,
};

/// What a coder did with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coded {
    /// It appended the page's encoding to the output, for the decoder of this wire id.
    Used(u8),
    /// It left the output alone; the next in the chain may try.
    Declined,
}

/// The target's memory, as far as a decoder may look at it: the pages of its own lane.
pub trait Held {
    /// Copies out what `page` holds now, which is what was last sent of it.
    ///
    /// # Errors
    /// A page that is not this lane's, or does not exist; a memory that cannot be read.
    fn read(&self, page: u32, into: &mut PageBytes) -> Result<(), LaneError>;
}

/// A codec: stateless ones are unit structs, others keep their tables per lane and direction, made when first used.
pub trait Codec: Send {
    /// A round begins.
    fn begin_round(&mut self, _round: u32) {}

    /// Appends the encoding of `page`, which holds `bytes`, to `out`, or declines. An encoding is shorter than a page.
    fn encode(&mut self, page: u32, bytes: &PageBytes, out: &mut Vec<u8>) -> Coded;

    /// `page` goes to the target with these `bytes`, by whatever codec: what was known of it is known no more. `keep`
    /// when it is worth remembering.
    fn sent(&mut self, _page: u32, _bytes: &PageBytes, _by: u8, _keep: bool) {}

    /// Decodes exactly `payload` into `bytes`, the new content of `page`.
    ///
    /// # Errors
    /// A payload that no encoder writes. `bytes` are then undefined.
    fn decode(
        &mut self,
        page: u32,
        payload: &[u8],
        held: &dyn Held,
        bytes: &mut PageBytes,
    ) -> Result<(), LaneError>;
}

/// A row of the registry.
pub struct CodecRow {
    /// Name in reports.
    pub name: &'static str,
    /// Number on the wire; never used again for anything else.
    pub wire_id: u8,
    /// Bytes of every encoded page; where it is `None`, each page is preceded by its length (u16, little endian).
    pub page_bytes: Option<usize>,
    /// Makes one for a lane, with its parameters at their defaults.
    pub make: fn() -> Box<dyn Codec>,
}

impl std::fmt::Debug for CodecRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All codecs.
pub static CODECS: &[CodecRow] = &[raw::ROW, zero::ROW, rle::ROW, xbzrle::ROW, dedup::ROW, zstd_page::ROW];

/// Wire id of pages that travel as they are.
pub const RAW: u8 = raw::ROW.wire_id;
/// Wire id of pages that hold only zeros.
pub const ZERO: u8 = zero::ROW.wire_id;
/// Wire id of pages that travel as the difference to what was last sent.
pub const XBZRLE: u8 = xbzrle::ROW.wire_id;
/// Wire id of packed batches: whole frames, compressed together. Not a page's codec, and not in [`CODECS`].
pub const PACKED: u8 = 7;

/// Name and wire id of everything that a report counts pages by. A page that no coder took counts by how it travelled:
/// as it is, or in a packed batch.
pub fn reported() -> impl Iterator<Item = (&'static str, u8)> {
    CODECS.iter().map(|row| (row.name, row.wire_id)).chain([("zstd", PACKED)])
}

/// Of the pages in `totals`, those of which only went what the target could not have known.
pub(crate) fn differences(totals: &LaneTotals) -> u64 {
    [xbzrle::ROW, dedup::ROW].iter().map(|row| totals.by_codec[usize::from(row.wire_id)]).sum()
}

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

/// A payload that no encoder writes.
fn refused(codec: &str, what: &str) -> LaneError {
    ProtocolError(format!("a page in encoding '{codec}' {what}")).into()
}
