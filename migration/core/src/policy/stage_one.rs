//! The first round of the three-stage schemes: what the observation window says of each page.
//!
//! No owed page dirtied in it: all are sent. Some dirtied: those that were not. All of them: those that pass the test
//! of the later rounds. Without a window nothing is known, and all are sent.

use crate::page::{PageBook, PageSet};

/// What the first round sends; `passes` is the test of the later rounds.
pub(super) fn pages(book: &PageBook, passes: impl Fn(u32) -> bool) -> PageSet {
    let clean = book.owed().filtered(|page| book.dirtied()[page as usize] == 0);
    if clean.is_empty() { book.owed().filtered(passes) } else { clean }
}

/// Over which pages a threshold is formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// All pages of the guest.
    All,
    /// Pages that were found dirty at least once.
    Touched,
}

impl Over {
    /// The words of the parameter.
    pub(super) const WORDS: &[&str] = &["all", "touched"];

    pub(super) fn of(word: &str) -> Self {
        if word == "touched" { Self::Touched } else { Self::All }
    }

    /// Counters of the pages that count.
    pub(super) fn counters(self, book: &PageBook) -> impl Iterator<Item = u8> + '_ {
        book.dirtied().iter().copied().filter(move |&u| self == Self::All || u > 0)
    }
}
