//! One page by zstd: for schemes that decide page by page. A batch compresses better; see `wire::pack`.

use zstd::bulk::{Compressor, Decompressor};

use super::{Codec, CodecRow, Coded, Held, refused};
use crate::{error::LaneError, host::PageBytes, limits::PAGE_BYTES};

pub(super) const ROW: CodecRow =
    CodecRow { name: "zstd-page", wire_id: 6, page_bytes: None, make: || Box::new(ZstdPage::new(1)) };

/// An encoding longer than this saves less than decoding costs.
const MOST_BYTES: usize = PAGE_BYTES - PAGE_BYTES / 8;

pub(super) struct ZstdPage {
    level: i32,
    compressor: Option<Compressor<'static>>,
    decompressor: Option<Decompressor<'static>>,
}

impl ZstdPage {
    /// At this level.
    pub(super) fn new(level: i32) -> Self {
        Self { level, compressor: None, decompressor: None }
    }
}

impl Codec for ZstdPage {
    fn encode(&mut self, _: u32, bytes: &PageBytes, out: &mut Vec<u8>) -> Coded {
        if self.compressor.is_none() {
            self.compressor = Compressor::new(self.level).ok();
        }
        let mut coded = [0; MOST_BYTES];
        // What does not fit is an error of zstd's, and so is want of memory: the page then goes another way.
        let length = self.compressor.as_mut().map(|zstd| zstd.compress_to_buffer(bytes, &mut coded[..]));
        let Some(Ok(length)) = length else {
            return Coded::Declined;
        };
        out.extend_from_slice(&coded[..length]);
        Coded::Used(ROW.wire_id)
    }

    fn decode(
        &mut self,
        _: u32,
        payload: &[u8],
        _: &dyn Held,
        bytes: &mut PageBytes,
    ) -> Result<(), LaneError> {
        let failed = |e: std::io::Error| refused(ROW.name, &format!("that zstd refuses: {e}"));
        let zstd = match &mut self.decompressor {
            Some(zstd) => zstd,
            none => none.insert(Decompressor::new().map_err(failed)?),
        };
        match zstd.decompress_to_buffer(payload, &mut bytes[..]).map_err(failed)? {
            PAGE_BYTES => Ok(()),
            length => Err(refused(ROW.name, &format!("that holds {length} bytes"))),
        }
    }
}
