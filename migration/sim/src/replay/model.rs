//! What a replay takes from the world: the link, the hosts' tasks, and what coders do with pages.

use std::time::Duration;

use godwit_migration::{
    codec::{self, Encoding},
    limits::{MAX_FRAME_BYTES, PAGE_BYTES},
    wire::{FRAME_HEADER_BYTES, HEADROOM, LaneTotals, SLOW_CAP, STEP_GAIN, WORTH},
};

use crate::{costs::Costs, link::Link, trace::Content};

/// How fast a core codes, in bytes of page per second, what it costs to look and to send, and how many cores there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coders {
    /// zstd at level 1, by the batch. Where it is not given the trace tells what was measured.
    pub zstd_bytes_per_s: Option<f64>,
    /// Run lengths, deltas, and whatever else looks at a page word by word.
    pub words_bytes_per_s: f64,
    /// The test for zeros, which reads a page at memory speed.
    pub zero_bytes_per_s: f64,
    /// Bytes that a core passes to a socket, or takes from one.
    pub socket_bytes_per_s: f64,
    /// Cores that the lanes of a side can use, on average.
    pub cores: f64,
    /// Whether the lanes of both sides share them, as where a guest moves within its host.
    pub one_host: bool,
}

/// zstd at level 1 on a core of some years, where nobody measured it.
const ZSTD_BYTES_PER_S: f64 = 187e6;
/// How many times faster it is the other way round.
const UNPACKING: f64 = 3.8;

impl Default for Coders {
    /// Two cores of some years.
    fn default() -> Self {
        Self {
            zstd_bytes_per_s: None,
            words_bytes_per_s: 2e9,
            zero_bytes_per_s: 10e9,
            socket_bytes_per_s: 2.5e9,
            cores: 2.0,
            one_host: false,
        }
    }
}

impl Coders {
    /// Bytes of pages with such `content` that a core compresses in a second.
    #[must_use]
    pub fn zstd(&self, content: &Content) -> f64 {
        let measured = Some(content.zstd_bytes_per_s).filter(|&rate| rate > 0.0);
        self.zstd_bytes_per_s.or(measured).unwrap_or(ZSTD_BYTES_PER_S)
    }

    /// A page through zstd at so many bytes per second, and back at the other side.
    fn packs(&self, content: &Content, bytes_per_s: f64) -> Work {
        Work { source_s: RAW_BYTES / bytes_per_s, target_s: RAW_BYTES / self.zstd(content) / UNPACKING }
    }

    /// How long the lanes take for `work`, of both sides at once.
    fn elapsed(&self, work: Work, lanes: u8) -> f64 {
        let lanes = f64::from(lanes.max(1));
        let apart = work.source_s.max(work.target_s) / self.cores.min(lanes);
        if self.one_host {
            apart.max((work.source_s + work.target_s) / self.cores.min(2.0 * lanes))
        } else {
            apart
        }
    }
}

/// CPU time of the lanes at either side.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    source_s: f64,
    target_s: f64,
}

impl Work {
    /// As often as `count`.
    fn times(self, count: f64) -> Self {
        Self { source_s: self.source_s * count, target_s: self.target_s * count }
    }

    fn and(self, other: Self) -> Self {
        Self { source_s: self.source_s + other.source_s, target_s: self.target_s + other.target_s }
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
    /// Bytes of everything that is not memory: 9 KiB for one vCPU and no device but the serial port.
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
            state_bytes: 16 << 10,
        }
    }
}

/// Pages of a round, by what coders can do with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// Pages of zeros.
    pub(super) zeros: u64,
    /// Pages that are not zeros, and of which the lanes know what they last sent.
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
    work: Work,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Zeros,
    Again,
    New,
}

const RAW_BYTES: f64 = PAGE_BYTES as f64;
/// How fast zstd is where each page is one of its own, and how well it compresses, as parts of what it does with batches: 1.53 and
/// 1.05 s of CPU for 256 MiB of text, 1732 and 1515 bytes a page.
const PAGE_BY_PAGE: (f64, f64) = (0.69, 0.88);
/// Where half of the batches are compressed and half go raw, to keep both the link and the cores busy, each waits for the other now
/// and then: such a part of the time, where it was measured.
const ALTERNATING: f64 = 0.12;
/// Where the cores could just compress all, a batch goes raw now and then that finds the link empty: how sharp the bend is between
/// the share that they could and all, as the power of a smooth minimum. With it 4% go raw where they could just do it, as
/// was measured (2 to 5%).
const BEND: f64 = 16.0;

impl Model {
    /// What `batch` of a round, the `last` or another, comes to by the chain `encode` on `lanes` lanes.
    pub(super) fn code(
        &self,
        batch: &Batch,
        last: bool,
        encode: &Encoding,
        content: &Content,
        lanes: u8,
    ) -> Coded {
        let mut coded = Coded::default();
        let (mut bytes, mut work) = (0.0, Work::default());
        for (kind, count) in [(Kind::Zeros, batch.zeros), (Kind::Again, batch.again), (Kind::New, batch.new)]
        {
            let page = self.page(kind, last, encode, content, lanes);
            // A frame takes a whole run of zeros, or a few pages with content.
            let frames = if page.bytes > 0.0 {
                count.div_ceil((MAX_FRAME_BYTES / PAGE_BYTES) as u64)
            } else {
                count.div_ceil(64)
            };
            bytes += page.bytes * count as f64 + (frames * FRAME_HEADER_BYTES as u64) as f64;
            work = work.and(page.work.times(count as f64));
            coded.totals.pages += count;
            if let Some(by) = coded.totals.by_codec.get_mut(usize::from(page.codec)) {
                *by += count;
            }
        }
        coded.totals.wire_bytes = bytes as u64;
        work = work.and(self.socket().times(bytes));
        coded.cpu_s = work.source_s;
        coded.seconds = self.coders.elapsed(work, lanes).max(bytes / self.link.bytes_per_s);
        coded
    }

    /// What a page costs at either side, whatever becomes of it.
    fn look(&self) -> Work {
        let second = self.costs.page.as_secs_f64();
        Work { source_s: second, target_s: second }
    }

    /// What a byte costs on its way.
    fn socket(&self) -> Work {
        let second = 1.0 / self.coders.socket_bytes_per_s;
        Work { source_s: second, target_s: second }
    }

    /// Bytes of a page on average when all are sent for the first time, frames included, and how many go in a second.
    pub(crate) fn mean_page(&self, encode: &Encoding, content: &Content, lanes: u8) -> (f64, f64) {
        const PAGES: u64 = 1 << 16;
        let zeros = (content.zero_share * PAGES as f64) as u64;
        let batch = Batch { zeros, again: 0, new: PAGES - zeros };
        let coded = self.code(&batch, false, encode, content, lanes);
        let bytes = (coded.totals.wire_bytes as f64 / PAGES as f64).max(0.1);
        (bytes, PAGES as f64 / coded.seconds.max(1e-9))
    }

    /// A page of a kind: the first coder of the chain that takes it, and the time of those that looked before. In the last round
    /// the chain goes on as that of every lane does.
    fn page(&self, kind: Kind, last: bool, encode: &Encoding, content: &Content, lanes: u8) -> Page {
        let mut work = self.look();
        let rest: &[&str] = if last { &["rle", "auto"] } else { &[] };
        for name in encode.names().chain(rest.iter().copied()) {
            let (looks, taken) = self.coder(name, kind, last, content, lanes);
            work = work.and(looks);
            if let Some(bytes) = taken {
                let codec = match (name, kind) {
                    ("auto" | "adaptive", Kind::Zeros) => codec::ZERO,
                    ("auto", Kind::Again) if self.codes_deltas(content, lanes) => codec::XBZRLE,
                    ("adaptive", _) => codec::by_name("zstd-page").map_or(codec::PACKED, |row| row.wire_id),
                    // What no coder of that name takes page by page travels in packed batches.
                    _ => codec::by_name(name).map_or(codec::PACKED, |row| row.wire_id),
                };
                return Page { codec, bytes, work };
            }
        }
        Page { codec: codec::RAW, bytes: RAW_BYTES, work }
    }

    /// What the coder of that name costs per page, and to how many bytes it makes a page of that kind, where it takes it.
    /// A coder that the model does not know declines at no cost.
    fn coder(&self, name: &str, kind: Kind, last: bool, content: &Content, lanes: u8) -> (Work, Option<f64>) {
        let looks = |bytes_per_s: f64| Work { source_s: RAW_BYTES / bytes_per_s, target_s: 0.0 };
        let (nothing, zero) = (Work::default(), looks(self.coders.zero_bytes_per_s));
        let words = looks(self.coders.words_bytes_per_s);
        let taken_words = Work { target_s: words.source_s, ..words };
        let small = RAW_BYTES / content.ratio;
        let shrinks = content.ratio > 1.0;
        let delta = RAW_BYTES / content.delta_ratio;
        let packed_delta = delta / content.packed_deltas;
        match (name, kind) {
            ("zero", Kind::Zeros) => (zero, Some(0.0)),
            // A page with content shows so in its first words.
            ("zero", _) => (nothing, None),
            ("xbzrle", Kind::Again) if content.delta_ratio > 1.0 => (taken_words, Some(delta)),
            ("xbzrle", _) => (nothing, None),
            ("rle" | "dedup", Kind::Zeros) => (words, Some(16.0)),
            ("rle" | "dedup", _) => (words, None),
            (_, Kind::Zeros) if name.starts_with("zstd") || name == "auto" || name == "adaptive" => {
                (zero, Some(16.0))
            }
            (_, _) if name.starts_with("zstd") => {
                (self.coders.packs(content, self.coders.zstd(content)), shrinks.then_some(small))
            }
            ("auto", Kind::Again) if self.codes_deltas(content, lanes) => (taken_words, Some(packed_delta)),
            ("adaptive", _) => {
                let (speed, ratio) =
                    (self.coders.zstd(content) * PAGE_BY_PAGE.0, content.ratio * PAGE_BY_PAGE.1);
                // What is not like anything before it is not tried.
                if ratio > 1.0 {
                    (self.coders.packs(content, speed), Some(RAW_BYTES / ratio))
                } else {
                    (words, None)
                }
            }
            ("auto", _) if self.codes(content, lanes) => {
                let (work, bytes) = self.paced(last, content, lanes);
                (work, shrinks.then_some(bytes))
            }
            _ => (nothing, None),
        }
    }

    /// Whether lanes that choose by the link use their coders for more than an attempt now and then.
    fn codes(&self, content: &Content, lanes: u8) -> bool {
        1.0 / content.ratio.max(content.delta_ratio) <= WORTH
            && self.link.bytes_per_s <= SLOW_CAP * self.coders.zstd(content) * f64::from(lanes.max(1))
    }

    /// Whether such lanes send a page of which they know what they last sent as the difference to that.
    fn codes_deltas(&self, content: &Content, lanes: u8) -> bool {
        self.codes(content, lanes) && content.delta_ratio > content.ratio
    }

    /// A page at the highest level that lanes climb to from the first, at which it costs and comes to `fast`; `None` where they
    /// stay there. They climb where the coder fills the link so many times over, and stay if it still does and that gained something.
    fn slower(&self, content: &Content, fast: (Work, f64), lanes: u8) -> Option<(Work, f64)> {
        let fills = |(work, bytes): (Work, f64), times: f64| {
            self.coders.elapsed(work, lanes) * times <= bytes / self.link.bytes_per_s
        };
        let mut reached = None;
        for level in content.slower.iter().filter(|level| level.bytes_per_s > 0.0) {
            let below = reached.unwrap_or(fast);
            let here = (self.coders.packs(content, level.bytes_per_s), RAW_BYTES / level.ratio);
            if !(fills(below, HEADROOM) && fills(here, 1.0) && here.1 < below.1 * STEP_GAIN) {
                break;
            }
            reached = Some(here);
        }
        reached
    }

    /// A page with content where lanes choose by the link, on average: its cost and its bytes. Batches are compressed as far as
    /// that keeps both the link and the cores busy, and go raw beyond.
    fn paced(&self, last: bool, content: &Content, lanes: u8) -> (Work, f64) {
        let elapsed = |work| self.coders.elapsed(work, lanes);
        let zstd = self.coders.packs(content, self.coders.zstd(content));
        let small = RAW_BYTES / content.ratio;
        if let Some(slower) = self.slower(content, (zstd, small), lanes) {
            return slower;
        }
        // Of the time that a page takes on the link, the cores need some to read it and to bring it there.
        let left = (1.0 / self.link.bytes_per_s - elapsed(self.socket())).max(0.0);
        let time = (RAW_BYTES * left - elapsed(self.look())).max(0.0);
        let could = time / (elapsed(zstd) + (RAW_BYTES - small) * left);
        // In the last round a batch does not ask whether the link is empty.
        let share =
            if last || could <= 0.0 { could.min(1.0) } else { (1.0 + could.powf(-BEND)).powf(-1.0 / BEND) };
        let bytes = share * small + (1.0 - share) * RAW_BYTES;
        let waits = ALTERNATING * 4.0 * share * (1.0 - share) * bytes / self.link.bytes_per_s;
        (zstd.times(share + waits / elapsed(zstd)), bytes)
    }
}
