//! Delta coding against what was last sent (Svärd et al., VEE 2011; QEMU's XBZRLE): unchanged words are counted, changed
//! ones written.
//!
//! The source keeps copies of what it sent; the target needs none, because its memory holds exactly that. Where QEMU
//! counts bytes this counts words of 8, which is how memory is written: the delta is a little longer and found faster.

use super::{
    Codec, CodecRow, Coded, Held,
    last_sent::LastSent,
    refused,
    runs::{self, Fresh, WORDS},
    zero,
};
use crate::{error::LaneError, host::PageBytes};

pub(super) const ROW: CodecRow =
    CodecRow { name: "xbzrle", wire_id: 4, page_bytes: None, make: || Box::new(Xbzrle::new(64)) };

/// A page with more changed words than this is left to others.
const MOST_FRESH: u32 = (WORDS - WORDS / 4) as u32;

pub(super) struct Xbzrle(LastSent);

impl Xbzrle {
    /// With a cache of so many MiB.
    pub(super) fn new(cache: u64) -> Self {
        Self(LastSent::new(cache))
    }
}

impl Codec for Xbzrle {
    fn begin_round(&mut self, round: u32) {
        self.0.begin_round(round);
    }

    fn encode(&mut self, page: u32, bytes: &PageBytes, out: &mut Vec<u8>) -> Coded {
        let Some(old) = self.0.get(page) else {
            return Coded::Declined;
        };
        let fresh = Fresh::against(bytes, old);
        if fresh.count() > MOST_FRESH {
            return Coded::Declined;
        }
        fresh.put(bytes, out);
        Coded::Used(ROW.wire_id)
    }

    fn sent(&mut self, page: u32, bytes: &PageBytes, by: u8, keep: bool) {
        // A page of zeros needs no copy: what is then written to it is short anyway.
        self.0.sent(page, bytes, keep && by != zero::ROW.wire_id);
    }

    fn decode(
        &mut self,
        page: u32,
        payload: &[u8],
        held: &dyn Held,
        bytes: &mut PageBytes,
    ) -> Result<(), LaneError> {
        held.read(page, bytes)?;
        runs::get(payload, bytes, |_, _, _| ()).ok_or_else(|| refused(ROW.name, "whose runs are not a page"))
    }
}
