//! The encode axis of a scheme: coders in the order in which they are tried, and what happens to whole batches.

use std::fmt;

use super::{
    Codec, Coded,
    adaptive::Adaptive,
    dedup::Dedup,
    rle::{self, Rle},
    xbzrle::Xbzrle,
    zero::Zero,
};
use crate::{
    host::PageBytes,
    part::{Choice, Kind, Param, Row},
};

/// A part of the encode axis.
pub enum Part {
    /// Pages as they are.
    Nothing,
    /// A coder in the chain.
    Coder(Box<dyn Codec>),
    /// Every batch compressed, at this level.
    Zstd(i32),
    /// What gets bytes to the target soonest, batch by batch; the coders are for a link that is slower than they are.
    Auto(Vec<Box<dyn Codec>>),
}

const LEVEL: Param = Param {
    name: "level",
    about: "zstd's level: lower is faster, higher is smaller",
    default: "1",
    kind: Kind::Word(&["-5", "-4", "-3", "-2", "-1", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
};

const CACHE: Param = Param {
    name: "cache",
    about: "MiB on each lane for pages as they were last sent",
    default: "64",
    kind: Kind::Whole(1, 4096),
};

const TABLE: Param =
    Param { default: "16", about: "MiB on each lane for pages that others may equal", ..CACHE };

/// All parts of the encode axis.
pub static ENCODINGS: &[Row<Part>] = &[
    Row { name: "none", about: "pages as they are", params: &[], make: |_| Box::new(Part::Nothing) },
    Row {
        name: "zero",
        about: "a page of zeros travels as its number",
        params: &[],
        make: |_| Box::new(Part::Coder(Box::new(Zero))),
    },
    Row {
        name: "rle",
        about: "words that repeat are counted",
        params: &[],
        make: |_| Box::new(Part::Coder(Box::new(Rle))),
    },
    Row {
        name: "xbzrle",
        about: "the difference to what was last sent",
        params: &[CACHE],
        make: |values| Box::new(Part::Coder(Box::new(Xbzrle::new(values.whole("cache"))))),
    },
    Row {
        name: "dedup",
        about: "a page equal to one already sent travels as a reference",
        params: &[TABLE],
        make: |values| Box::new(Part::Coder(Box::new(Dedup::new(values.whole("cache"))))),
    },
    Row {
        name: "adaptive",
        about: "rle, zstd or neither, page by page, by how alike its words are",
        params: &[LEVEL],
        make: |values| Box::new(Part::Coder(Box::new(Adaptive::new(level(values.word("level")))))),
    },
    Row {
        name: "zstd",
        about: "whole batches compressed",
        params: &[LEVEL],
        make: |values| Box::new(Part::Zstd(level(values.word("level")))),
    },
    Row {
        name: "auto",
        about: "what gets bytes there soonest: on a slow link rle, deltas and zstd, on a fast one nothing but zeros",
        params: &[CACHE],
        make: |values| {
            Box::new(Part::Auto(vec![Box::new(Xbzrle::new(values.whole("cache"))), Box::new(Rle)]))
        },
    },
];

fn level(word: &str) -> i32 {
    word.parse().expect("levels are numbers")
}

/// How pages travel: a list of [`ENCODINGS`], as a scheme names it.
#[derive(Clone)]
pub struct Encoding(Vec<Choice<Part>>);

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Encoding {
    /// As [`Encoding::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&parts.join(","))
    }
}

impl Encoding {
    /// Reads a list of parts in the grammar of [`crate::part`]: `none`, `zero,rle`, `zero,xbzrle,cache=128,zstd`, `auto`.
    ///
    /// # Errors
    /// A sentence that names what is wrong and what may stand there.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = Choice::list("encode", ENCODINGS, text)?;
        let named = |name| parts.iter().filter(|part| part.name() == name).count();
        if parts.is_empty() {
            let names: Vec<_> = ENCODINGS.iter().map(|row| row.name).collect();
            return Err(format!("'encode' names no part; there are: {}", names.join(", ")));
        }
        if named("none") > 0 && parts.len() > 1 {
            return Err(format!("'encode' is '{text}'; 'none' stands alone"));
        }
        if named("zstd") + named("auto") > 1 {
            return Err(format!(
                "'encode' is '{text}'; one of 'zstd' and 'auto' decides about batches, once"
            ));
        }
        Ok(Self(parts))
    }

    /// The names of its parts, in the order in which they are tried.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().map(Choice::name)
    }

    /// MiB on each lane for pages as they were last sent; zero where no part sends differences.
    #[must_use]
    pub fn last_sent_mebibytes(&self) -> u64 {
        let keeps = self.0.iter().filter(|part| matches!(part.name(), "xbzrle" | "auto"));
        keeps.map(|part| part.values().whole(CACHE.name)).sum()
    }

    /// Whether a part has a parameter of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|part| part.has(name))
    }

    /// Sets a parameter of the first part that has it.
    ///
    /// # Errors
    /// A sentence that names what the parameter may hold, or that no part has it.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match self.0.iter_mut().find(|part| part.has(name)) {
            Some(part) => part.set(name, value),
            None => Err(format!("no part of '{self}' has a parameter '{name}'")),
        }
    }

    /// The coders of one lane, and what happens to its batches.
    pub(crate) fn make(&self) -> (Chain, Packing) {
        let (mut chain, mut packing) = (Chain::default(), Packing::Never);
        for part in &self.0 {
            match *part.make() {
                Part::Nothing => {}
                Part::Coder(coder) => chain.links.push(Link { coder, slow_only: false }),
                Part::Zstd(level) => packing = Packing::Always(level),
                Part::Auto(coders) => {
                    packing = Packing::Auto;
                    chain.links.push(Link { coder: Box::new(Zero), slow_only: false });
                    chain.links.extend(coders.into_iter().map(|coder| Link { coder, slow_only: true }));
                }
            }
        }
        chain.names_rle = self.0.iter().any(|part| part.name() == rle::ROW.name);
        (chain, packing)
    }
}

/// What happens to whole batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Nothing, until the last round.
    Never,
    /// Compressed at this level.
    Always(i32),
    /// What is sooner.
    Auto,
}

struct Link {
    coder: Box<dyn Codec>,
    slow_only: bool,
}

/// The coders of a lane.
#[derive(Default)]
pub(crate) struct Chain {
    links: Vec<Link>,
    names_rle: bool,
    /// The last round is run-length coded whatever the others were.
    last: bool,
}

impl Chain {
    pub(crate) fn begin_round(&mut self, round: u32, last: bool) {
        self.last = last && !self.names_rle;
        self.links.iter_mut().for_each(|link| link.coder.begin_round(round));
    }

    /// Lets each coder try, and tells all of them what goes. `slow` on a link that is slower than the coders.
    pub(crate) fn encode(&mut self, page: u32, bytes: &PageBytes, slow: bool, out: &mut Vec<u8>) -> Coded {
        let mut coded = Coded::Declined;
        for link in self.links.iter_mut().filter(|link| slow || !link.slow_only) {
            coded = link.coder.encode(page, bytes, out);
            if coded != Coded::Declined {
                break;
            }
        }
        if coded == Coded::Declined && self.last {
            coded = Rle.encode(page, bytes, out);
        }
        let by = match coded {
            Coded::Used(id) => id,
            Coded::Declined => super::RAW,
        };
        for link in &mut self.links {
            link.coder.sent(page, bytes, by, slow || !link.slow_only);
        }
        coded
    }
}
