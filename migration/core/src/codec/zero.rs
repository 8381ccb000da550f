//! A page of zeros: no bytes at all.

use super::{Codec, CodecRow, Coded, Held, refused};
use crate::{error::LaneError, host::PageBytes, limits::PAGE_BYTES};

pub(super) const ROW: CodecRow =
    CodecRow { name: "zero", wire_id: 2, page_bytes: Some(0), make: || Box::new(Zero) };

pub(super) struct Zero;

impl Codec for Zero {
    fn encode(&mut self, _: u32, bytes: &PageBytes, _: &mut Vec<u8>) -> Coded {
        if is_zero(bytes) { Coded::Used(ROW.wire_id) } else { Coded::Declined }
    }

    fn decode(
        &mut self,
        _: u32,
        payload: &[u8],
        _: &dyn Held,
        bytes: &mut PageBytes,
    ) -> Result<(), LaneError> {
        if !payload.is_empty() {
            return Err(refused(ROW.name, "with content"));
        }
        bytes.fill(0);
        Ok(())
    }
}

/// Whether every byte is zero. Most other pages are told by their first words; the rest is compared with a page of zeros,
/// which stays in the innermost cache, by the C library's `memcmp`: it takes the widest vectors that the CPU has.
fn is_zero(page: &PageBytes) -> bool {
    static ZEROS: PageBytes = [0; PAGE_BYTES];
    page[..64].iter().all(|&b| b == 0) && *page == ZEROS
}
