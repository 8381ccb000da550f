//! A page as it is: what is left when every other coder has declined.

use super::{Codec, CodecRow, Coded, Held, refused};
use crate::{error::LaneError, host::PageBytes, limits::PAGE_BYTES};

pub(super) const ROW: CodecRow =
    CodecRow { name: "raw", wire_id: 1, page_bytes: Some(PAGE_BYTES), make: || Box::new(Raw) };

struct Raw;

impl Codec for Raw {
    fn encode(&mut self, _: u32, bytes: &PageBytes, out: &mut Vec<u8>) -> Coded {
        out.extend_from_slice(bytes);
        Coded::Used(ROW.wire_id)
    }

    fn decode(
        &mut self,
        _: u32,
        payload: &[u8],
        _: &dyn Held,
        bytes: &mut PageBytes,
    ) -> Result<(), LaneError> {
        *bytes = payload.try_into().map_err(|_| refused(ROW.name, "of another length"))?;
        Ok(())
    }
}
