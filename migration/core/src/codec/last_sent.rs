//! What was last sent of each page, as far as memory was given for it: a set-associative cache.
//!
//! A page displaces another only where that was not sent in this round or the one before: a sweep over more pages
//! than fit then keeps those it has, where displacing the oldest would keep none.

use crate::{host::PageBytes, limits::PAGE_BYTES};

/// Places a page may be in.
const WAYS: usize = 8;

/// Pages and what was last sent of them.
pub(super) struct LastSent {
    sets: usize,
    round: u32,
    places: Vec<Place>,
}

#[derive(Clone, Default)]
struct Place {
    page: u32,
    round: u32,
    bytes: Option<Box<PageBytes>>,
}

impl LastSent {
    /// A cache of so many MiB. Nothing is allocated before the first page is kept.
    pub(super) fn new(mebibytes: u64) -> Self {
        let pages = mebibytes as usize * (1 << 20) / PAGE_BYTES;
        Self { sets: (pages / WAYS).max(1), round: 0, places: vec![] }
    }

    pub(super) fn begin_round(&mut self, round: u32) {
        self.round = round;
    }

    /// What was last sent of `page`.
    pub(super) fn get(&self, page: u32) -> Option<&PageBytes> {
        let set = self.places.get(self.set(page))?;
        set.iter().find(|place| place.page == page).and_then(|place| place.bytes.as_deref())
    }

    /// `page` is sent with these `bytes`. One that is in here is renewed; another is taken in where `keep`.
    pub(super) fn sent(&mut self, page: u32, bytes: &PageBytes, keep: bool) {
        if self.places.is_empty() {
            if !keep {
                return;
            }
            self.places = vec![Place::default(); self.sets * WAYS];
        }
        let (round, range) = (self.round, self.set(page));
        let set = &mut self.places[range];
        let known = set.iter().position(|place| place.page == page && place.bytes.is_some());
        let free = || {
            let old = |place: &Place| place.bytes.is_none() || place.round + 1 < round;
            set.iter().position(|place| place.bytes.is_none()).or_else(|| set.iter().position(old))
        };
        let Some(at) = known.or_else(|| if keep { free() } else { None }) else {
            return;
        };
        let place = &mut set[at];
        (place.page, place.round) = (page, round);
        match &mut place.bytes {
            Some(old) => **old = *bytes,
            none => *none = Some(Box::new(*bytes)),
        }
    }

    fn set(&self, page: u32) -> std::ops::Range<usize> {
        let scattered = u64::from(page.wrapping_mul(0x9e37_79b1));
        let set = ((scattered * self.sets as u64) >> 32) as usize;
        set * WAYS..(set + 1) * WAYS
    }
}
