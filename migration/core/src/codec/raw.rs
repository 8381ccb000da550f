//! A page as it is: what is left when every other coder has declined.

use super::{Codec, CodecRow, Coded};
use crate::{error::ProtocolError, host::PageBytes, limits::PAGE_BYTES};

pub(super) const ROW: CodecRow =
    CodecRow { name: "raw", wire_id: 1, page_bytes: PAGE_BYTES, make: || Box::new(Raw) };

struct Raw;

impl Codec for Raw {
    fn encode(&mut self, page: &PageBytes, out: &mut Vec<u8>) -> Coded {
        out.extend_from_slice(page);
        Coded::Used
    }

    fn decode(&mut self, payload: &[u8], page: &mut PageBytes) -> Result<(), ProtocolError> {
        *page = payload.try_into().map_err(|_| ProtocolError::new("a raw page of another length"))?;
        Ok(())
    }
}
