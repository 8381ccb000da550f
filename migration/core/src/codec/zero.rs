//! A page of zeros: no bytes at all.

use super::{Codec, CodecRow, Coded};
use crate::{error::ProtocolError, host::PageBytes};

pub(super) const ROW: CodecRow =
    CodecRow { name: "zero", wire_id: 2, page_bytes: 0, make: || Box::new(Zero) };

struct Zero;

impl Codec for Zero {
    fn encode(&mut self, page: &PageBytes, _: &mut Vec<u8>) -> Coded {
        if is_zero(page) { Coded::Used } else { Coded::Declined }
    }

    fn decode(&mut self, payload: &[u8], page: &mut PageBytes) -> Result<(), ProtocolError> {
        if !payload.is_empty() {
            return Err(ProtocolError::new("a zero page with content"));
        }
        page.fill(0);
        Ok(())
    }
}

/// Whether every byte is zero. Most other pages are told by their first words; the rest goes by 128 bytes, which the
/// compiler turns into vector code.
fn is_zero(page: &PageBytes) -> bool {
    page[..64].iter().all(|&b| b == 0)
        && page.chunks_exact(128).all(|chunk| chunk.iter().fold(0, |a, b| a | b) == 0)
}
