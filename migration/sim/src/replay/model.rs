//! What a replay takes from the world: the link, the hosts' tasks, and what coders do with pages.

use std::time::Duration;

use godwit_migration::{
    codec::{self, Encoding},
    limits::{MAX_FRAME_BYTES, PAGE_BYTES},
    wire::{FRAME_HEADER_BYTES, LaneTotals},
};

use crate::{costs::Costs, link::Link, trace::Content};

/// How fast a core codes, in bytes of page per second, and what it costs to look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coders {
    /// zstd at level 1, by the batch.
    pub zstd_bytes_per_s: f64,
    /// Run lengths, deltas, and whatever else looks at a page word by word.
    pub words_bytes_per_s: f64,
    /// The test for zeros, which reads a page at memory speed.
    pub zero_bytes_per_s: f64,
    /// Cores that the lanes of a side can use.
    pub cores: u8,
}

impl Default for Coders {
    /// Two cores of some years.
    fn default() -> Self {
        Self { zstd_bytes_per_s: 187e6, words_bytes_per_s: 2e9, zero_bytes_per_s: 10e9, cores: 2 }
    }
}

/// The world around a replay.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// The link.
    pub link: Link,
    /// What hosts take for their tasks.
    pub costs: Costs,
    /// What coders do.
    pub coders: Coders,
    /// What the guest loses by writing a page for the first time after a harvest; zero where the trace holds it already.
    pub fault: Duration,
    /// Bytes of everything that is not memory.
    pub state_bytes: u32,
}

impl Model {
    /// Over `link`, with hosts and coders of some years, and no faults.
    #[must_use]
    pub fn over(link: Link) -> Self {
        Self {
            link,
            costs: Costs::default(),
            coders: Coders::default(),
            fault: Duration::ZERO,
            state_bytes: 64 << 10,
        }
    }
}

/// Pages of a round, by what coders can do with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// Pages of zeros.
    pub(super) zeros: u64,
    /// Pages that were sent before, and are not zeros.
    pub(super) again: u64,
    /// All others.
    pub(super) new: u64,
}

/// What a batch comes to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Coded {
    pub(super) totals: LaneTotals,
    /// CPU time of the lanes.
    pub(super) cpu_s: f64,
    /// Time until it has left, with the lanes at work side by side.
    pub(super) seconds: f64,
}

/// What a page comes to.
#[derive(Clone, Copy)]
struct Page {
    codec: u8,
    bytes: f64,
    cpu_s: f64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Zeros,
    Again,
    New,
}

const RAW_BYTES: f64 = PAGE_BYTES as f64;
/// A link so many times faster than the coders is not worth an attempt.
const FAST: f64 = 1.5;

impl Model {
    /// What `batch` comes to by the chain `encode` on `lanes` lanes.
    pub(super) fn code(&self, batch: &Batch, encode: &Encoding, content: &Content, lanes: u8) -> Coded {
        let mut coded = Coded::default();
        let mut bytes = 0.0;
        for (kind, count) in [(Kind::Zeros, batch.zeros), (Kind::Again, batch.again), (Kind::New, batch.new)]
        {
            let page = self.page(kind, encode, content, lanes);
            // A frame takes a whole run of zeros, or a few pages with content.
            let frames = if page.bytes > 0.0 {
                count.div_ceil((MAX_FRAME_BYTES / PAGE_BYTES) as u64)
            } else {
                count.div_ceil(64)
            };
            bytes += page.bytes * count as f64 + (frames * FRAME_HEADER_BYTES as u64) as f64;
            coded.cpu_s += page.cpu_s * count as f64;
            coded.totals.pages += count;
            if let Some(by) = coded.totals.by_codec.get_mut(usize::from(page.codec)) {
                *by += count;
            }
        }
        coded.totals.wire_bytes = bytes as u64;
        let side_by_side = f64::from(lanes.min(self.coders.cores).max(1));
        coded.seconds = (coded.cpu_s / side_by_side).max(bytes / self.link.bytes_per_s);
        coded
    }

    /// Bytes of a page on average when all are sent for the first time, frames included, and how many go in a second.
    pub(crate) fn mean_page(&self, encode: &Encoding, content: &Content, lanes: u8) -> (f64, f64) {
        const PAGES: u64 = 1 << 16;
        let zeros = (content.zero_share * PAGES as f64) as u64;
        let batch = Batch { zeros, again: 0, new: PAGES - zeros };
        let coded = self.code(&batch, encode, content, lanes);
        let bytes = (coded.totals.wire_bytes as f64 / PAGES as f64).max(0.1);
        (bytes, PAGES as f64 / coded.seconds.max(1e-9))
    }

    /// A page of a kind: the first coder of the chain that takes it, and the time of those that looked before.
    fn page(&self, kind: Kind, encode: &Encoding, content: &Content, lanes: u8) -> Page {
        let mut cpu_s = self.costs.page.as_secs_f64();
        for name in encode.names() {
            let (looks_s, taken) = self.coder(name, kind, content, lanes);
            cpu_s += looks_s;
            if let Some(bytes) = taken {
                let codec = match (name, kind) {
                    ("auto" | "adaptive", Kind::Zeros) => codec::ZERO,
                    // What no coder of that name takes page by page travels in packed batches.
                    _ => codec::by_name(name).map_or(codec::PACKED, |row| row.wire_id),
                };
                return Page { codec, bytes, cpu_s };
            }
        }
        Page { codec: codec::RAW, bytes: RAW_BYTES, cpu_s }
    }

    /// What the coder of that name costs per page, and to how many bytes it makes a page of that kind, where it takes it.
    /// A coder that the model does not know declines at no cost.
    fn coder(&self, name: &str, kind: Kind, content: &Content, lanes: u8) -> (f64, Option<f64>) {
        let Coders { zstd_bytes_per_s, words_bytes_per_s, zero_bytes_per_s, cores } = self.coders;
        let (zero_s, words_s, zstd_s) =
            (RAW_BYTES / zero_bytes_per_s, RAW_BYTES / words_bytes_per_s, RAW_BYTES / zstd_bytes_per_s);
        let small = RAW_BYTES / content.ratio;
        let shrinks = content.ratio > 1.0;
        let delta = RAW_BYTES / content.delta_ratio;
        match (name, kind) {
            ("zero", Kind::Zeros) => (zero_s, Some(0.0)),
            // A page with content shows so in its first words.
            ("zero", _) => (0.0, None),
            ("xbzrle" | "delta", Kind::Again) if content.delta_ratio > 1.0 => (words_s, Some(delta)),
            ("xbzrle" | "delta", _) => (0.0, None),
            ("rle" | "dedup", Kind::Zeros) => (words_s, Some(16.0)),
            ("rle" | "dedup", _) => (words_s, None),
            (_, Kind::Zeros) if name.starts_with("zstd") || name == "auto" || name == "adaptive" => {
                (zero_s, Some(16.0))
            }
            (_, _) if name.starts_with("zstd") => (zstd_s, shrinks.then_some(small)),
            ("auto" | "adaptive", _) => {
                let side_by_side = f64::from(lanes.min(cores).max(1));
                let link_bytes_per_s = self.link.bytes_per_s;
                if link_bytes_per_s > FAST * zstd_bytes_per_s * side_by_side {
                    return (0.0, None);
                }
                if kind == Kind::Again && content.delta_ratio > content.ratio {
                    return (words_s, Some(delta));
                }
                // Batches are compressed as far as that keeps both the link and the cores busy, and go raw beyond.
                let share = (RAW_BYTES
                    / (link_bytes_per_s * zstd_s / side_by_side + RAW_BYTES - small).max(1.0))
                .min(1.0);
                let bytes = share * small + (1.0 - share) * RAW_BYTES;
                (share * zstd_s, shrinks.then_some(bytes))
            }
            _ => (0.0, None),
        }
    }
}
