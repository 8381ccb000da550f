//! Deduplication (Zhang et al., Cluster 2010): a page equal to one that the target has travels as its number.
//!
//! A bounded table per lane holds pages as they were last sent, found by a hash of 128 bits and compared in full before
//! use, so the hash decides about speed alone. A page that is sent again leaves the table with what it was. Only pages
//! of one lane refer to one another: what that lane has sent before is at the target before.

use std::collections::HashMap;

use super::{Codec, CodecRow, Coded, Held, refused, zero};
use crate::{error::LaneError, host::PageBytes, limits::PAGE_BYTES};

pub(super) const ROW: CodecRow =
    CodecRow { name: "dedup", wire_id: 5, page_bytes: Some(4), make: || Box::new(Dedup::new(16)) };

pub(super) struct Dedup {
    capacity: usize,
    /// Each hash has one place.
    places: Vec<Option<Box<Place>>>,
    /// The place of each page that is in the table.
    by_page: HashMap<u32, usize>,
    /// The page that was hashed last: it is the one that is sent next.
    hashed: Option<(u32, u128)>,
}

struct Place {
    hash: u128,
    page: u32,
    bytes: PageBytes,
}

impl Dedup {
    /// With a table of so many MiB.
    pub(super) fn new(table: u64) -> Self {
        let capacity = table as usize * (1 << 20) / PAGE_BYTES;
        Self { capacity, places: vec![], by_page: HashMap::new(), hashed: None }
    }

    fn place_of(&self, hash: u128) -> usize {
        (hash % self.capacity as u128) as usize
    }
}

impl Codec for Dedup {
    fn encode(&mut self, page: u32, bytes: &PageBytes, out: &mut Vec<u8>) -> Coded {
        let hash = hash(bytes);
        self.hashed = Some((page, hash));
        match self.places.get(self.place_of(hash)) {
            Some(Some(place)) if place.hash == hash && place.bytes == *bytes => {
                out.extend_from_slice(&place.page.to_le_bytes());
                Coded::Used(ROW.wire_id)
            }
            _ => Coded::Declined,
        }
    }

    fn sent(&mut self, page: u32, bytes: &PageBytes, by: u8, keep: bool) {
        let hashed = self.hashed.take().filter(|(hashed, _)| *hashed == page).map(|(_, hash)| hash);
        if let Some(&at) = self.by_page.get(&page) {
            if self.places[at].as_ref().is_some_and(|place| place.bytes == *bytes) {
                return;
            }
            self.places[at] = None;
            self.by_page.remove(&page);
        }
        if !keep || by == zero::ROW.wire_id || by == ROW.wire_id {
            return;
        }
        if self.places.is_empty() {
            self.places.resize_with(self.capacity, || None);
        }
        let hash = hashed.unwrap_or_else(|| hash(bytes));
        let at = self.place_of(hash);
        let place = Box::new(Place { hash, page, bytes: *bytes });
        if let Some(displaced) = self.places[at].replace(place) {
            self.by_page.remove(&displaced.page);
        }
        self.by_page.insert(page, at);
    }

    fn decode(
        &mut self,
        _: u32,
        payload: &[u8],
        held: &dyn Held,
        bytes: &mut PageBytes,
    ) -> Result<(), LaneError> {
        let page = payload.try_into().map_err(|_| refused(ROW.name, "of another length"))?;
        held.read(u32::from_le_bytes(page), bytes)
    }
}

/// A hash that is quick over a page: multiplications in independent lanes, folded together at the end.
fn hash(bytes: &PageBytes) -> u128 {
    const KEYS: [u64; 4] =
        [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 0xd6e8_feb8_6659_fd93];
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let mut lanes = KEYS;
    for chunk in bytes.chunks_exact(64) {
        for ((lane, pair), key) in lanes.iter_mut().zip(chunk.chunks_exact(16)).zip(KEYS) {
            let word = |at: usize| u64::from_le_bytes(pair[at..at + 8].try_into().expect("8 bytes"));
            *lane = lane.rotate_left(29) ^ fold(word(0) ^ key, word(8) ^ *lane);
        }
    }
    let [a, b, c, d] = lanes;
    u128::from(fold(a ^ KEYS[1], b ^ KEYS[2]) ^ c) << 64 | u128::from(fold(c ^ KEYS[3], d ^ KEYS[0]) ^ a)
}
