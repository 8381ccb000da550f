//! What a lane knows of its link and of its coders, and what it makes of a batch because of that.
//!
//! Time comes from outside: after each write the lane is told how long the batch took to make and to write, and how its
//! way out stands: how much of what was written waits there, and what a cap would let through at once. While something
//! waits, the link is busy whatever the lane does: time to compress. Where nothing does, the lane sends pages as they
//! are. So on a slow link every batch is compressed, on a somewhat faster one as many as keep both the CPU and the link
//! busy, and on one that is faster than the coder none, not even to try: there the rate of the link alone decides. A
//! link that waits for its target is not slow: what the target has no time to read it would have no time to unpack.

use std::time::Duration;

use crate::codec::Packing;

/// A window of measurement is at least this long: a preempted thread must not look like a slow link.
const WINDOW: Duration = Duration::from_millis(10);
/// And it holds at least this much, or is this long.
const WINDOW_BYTES: u64 = 256 << 10;
const LONGEST_WINDOW: Duration = Duration::from_millis(250);
/// Rate of zstd's level 1 where it has not been measured, bytes/s: low, so that doubt means no compression.
const CODER_RATE: f64 = 300e6;
/// A link is slow when it is slower than the coder times this. Beyond, little is won; and where both hosts are one, or
/// busy, what looks like a link of that rate is the CPU that both need.
const SLOW: f64 = 1.0;
/// A cap is not guessed, and what a batch may take of it is known, so a share of it may be as many times faster than the coder:
/// other batches go raw while one is compressed. Beyond, so few find time that it saves nothing to speak of.
pub const SLOW_CAP: f64 = 4.0;
/// By how many more windows must say so than do not: a coder's tables cost memory, and a busy host makes any link look
/// slow for a while. As many the other way round undo it.
const SURE: u32 = 4;
/// A window in which the link stood idle may mean that it is faster: what is believed of it grows by this.
const DOUBT: f64 = 1.2;
/// Content that compresses to more than this is not worth it.
pub const WORTH: f64 = 0.92;
/// Batches between two attempts on content that was not worth it: at first, and at most.
const PATIENCE: (u32, u32) = (8, 256);
/// Coders do harm where this part of what a cap lets through raw is more than what goes with them.
const HARM: f64 = 0.9;
/// Windows without coders after such as carried less than the cap lets through raw: at first, and at most.
const RECOVERY: (u32, u32) = (8, 256);
/// Levels of zstd that a lane steps through, while there is time left and when there is none. A trace file has a place for what is
/// measured at each.
pub const LEVELS: [i32; 4] = [1, 3, 6, 9];
/// Batches between two steps.
const STEP_BATCHES: u32 = 32;
/// A higher level is kept where it makes of a byte at most such a part of what the one below it made.
pub const STEP_GAIN: f64 = 0.99;
/// Steps until a level that brought nothing is tried again: at first, and at most. Memory is not of one kind.
const SETTLED: (u32, u32) = (8, 64);
/// A higher level is tried where the coder fills the link so many times over: that no batch found the link empty says
/// little on a link that several lanes share, because each waits for the others' turns.
pub const HEADROOM: f64 = 2.0;
/// One batch in so many that finds no time means that the level is too high.
const STARVED: u32 = 16;

/// Rates of one lane and the choice for its next batch.
pub(super) struct Pace {
    packing: Packing,
    /// Bytes/s that the link takes, once it is known.
    link: Option<f64>,
    /// By how many windows more it was found slower than the coder, and what is believed because of that.
    slow_windows: u32,
    slow: bool,
    /// Bytes/s that compression takes in, and what comes of a byte.
    coder: f64,
    ratio: f64,
    /// How the way out stood after the last write.
    backlog: Backlog,
    /// Size of the last batch before compression.
    batch_bytes: u64,
    window: Window,
    /// Batches until content that was not worth it is tried again, and the wait after that.
    rest: u32,
    patience: u32,
    /// Bytes of pages that go in a second while batches are compressed under a cap, once that is known.
    page_rate: Option<f64>,
    /// Windows until coders are used again on a host that has no time for them, and the wait after that.
    recovery: u32,
    next_recovery: u32,
    level: usize,
    highest: usize,
    /// Rate of the link on which no level above `highest` was worth it.
    highest_on: f64,
    since_step: Since,
    /// What came of a byte on the level below, with what was lost meanwhile and without, while the one above it is tried.
    below: Option<(f64, f64)>,
    /// What each level made of a byte, for each that the one below made of it, when it was tried.
    gains: [f64; LEVELS.len()],
    /// Steps until a level that brought nothing is tried again, and the wait after that.
    settled: u32,
    next_settled: u32,
    last: bool,
}

/// How a lane's way out stands after a write.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Backlog {
    /// Bytes that were written and have not yet arrived, as far as this host knows.
    pub queued: u64,
    /// How many they were when the write began.
    pub before: u64,
    /// For how long, since the lane began, bytes waited because the target did not read.
    pub peer_was_full: Duration,
    /// The cap on bandwidth, where there is one.
    pub cap: Option<Allowance>,
}

/// What a cap leaves a lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowance {
    /// Its share, bytes/s.
    pub share: f64,
    /// Bytes that may be written at once, by whichever lane.
    pub unused: u64,
    /// The most that they can become: of time in which nobody wrote, no more is kept.
    pub kept: u64,
    /// Bytes that were not kept so far: of those of all lanes, a lane's share of them.
    pub lost: u64,
    /// Bytes of pages that went so far, before whatever compression: of all lanes, a lane's share of them.
    pub pages: u64,
}

/// Batches since the last step, how many of them found no time, and what those that were compressed came to; and what was lost of
/// a cap meanwhile.
#[derive(Default)]
struct Since {
    batches: u32,
    starved: u32,
    bytes: u64,
    wire: u64,
    lost: u64,
}

#[derive(Default)]
struct Window {
    carried: u64,
    /// Bytes of pages, before whatever compression, that a lane sent meanwhile on average: what one leaves of a cap while it
    /// compresses, the others use.
    pages: u64,
    time: Duration,
    /// Whether the link was found with too little to do.
    idle: bool,
    /// For how long it waited for the target.
    peer_was_full: Duration,
    packed: bool,
}

/// A batch that was made and written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Batch {
    /// Bytes before and after compression.
    pub(super) bytes: usize,
    pub(super) wire: usize,
    pub(super) packed: bool,
}

impl Pace {
    pub(super) fn new(packing: Packing) -> Self {
        Self {
            packing,
            link: None,
            slow_windows: 0,
            slow: false,
            coder: CODER_RATE,
            ratio: 0.5,
            backlog: Backlog::default(),
            batch_bytes: 0,
            window: Window::default(),
            rest: 0,
            patience: PATIENCE.0,
            page_rate: None,
            recovery: 0,
            next_recovery: RECOVERY.0,
            level: 0,
            highest: LEVELS.len() - 1,
            highest_on: 0.0,
            since_step: Since::default(),
            below: None,
            gains: [1.0; LEVELS.len()],
            settled: 0,
            next_settled: SETTLED.0,
            last: false,
        }
    }

    pub(super) fn begin_round(&mut self, last: bool) {
        self.last = last;
    }

    /// Whether the link is known to leave coders time, and they may be used because of that.
    pub(super) fn slow(&self) -> bool {
        self.packing == Packing::Auto && self.lags(SLOW_CAP)
    }

    /// Whether the link is known to be slower than coders are, a cap than `times` as fast: a cap is known, a link must have
    /// shown it. On a host that has no time for coders none is.
    fn lags(&self, times: f64) -> bool {
        let capped = self.backlog.cap.is_some_and(|cap| cap.share < times * self.coder);
        (self.slow || capped) && self.recovery == 0
    }

    /// Bytes/s that may be counted on.
    fn rate(&self) -> f64 {
        let link = self.link.unwrap_or(f64::INFINITY);
        self.backlog.cap.map_or(link, |cap| cap.share.min(link))
    }

    /// Level to compress the next batch at, or not at all.
    pub(super) fn level(&mut self) -> Option<i32> {
        if let Packing::Always(level) = self.packing {
            return Some(level);
        }
        // While the guest stands still nothing is won by a rest: what matters is which of the two is faster.
        let pays = match (self.last, self.packing) {
            (true, _) => self.lags(1.0 - self.ratio),
            (false, Packing::Auto) => self.slow() && self.has_time(),
            (false, _) => false,
        };
        if !pays || !self.worth() {
            return None;
        }
        Some(LEVELS[self.level])
    }

    /// Whether the link is busy while a batch is compressed.
    fn has_time(&mut self) -> bool {
        let Backlog { queued, cap, .. } = self.backlog;
        let drained = self.rate() * self.batch_bytes as f64 / self.coder;
        // What a cap holds up waits with the lanes: no lane waits where a batch might go at once.
        let has =
            queued as f64 >= drained || cap.is_some_and(|cap| cap.unused < self.batch_bytes.min(cap.kept));
        self.since_step.batches += 1;
        self.since_step.starved += u32::from(!has);
        has
    }

    /// Whether the content is worth it, as far as it is known; tries again now and then.
    fn worth(&mut self) -> bool {
        if self.ratio <= WORTH {
            return true;
        }
        self.rest = self.rest.saturating_sub(1);
        if self.rest > 0 {
            return false;
        }
        self.patience = (self.patience * 2).min(PATIENCE.1);
        self.rest = self.patience;
        true
    }

    /// `batch` took so long to make and so long to write, and so stands the way out now.
    pub(super) fn spent(&mut self, batch: Batch, encode: Duration, write: Duration, backlog: Backlog) {
        let before = std::mem::replace(&mut self.backlog, backlog);
        self.batch_bytes = batch.bytes as u64;
        if batch.packed {
            self.coded(batch, encode);
        }
        let window = &mut self.window;
        window.carried += (before.queued + batch.wire as u64).saturating_sub(backlog.queued);
        if let (Some(cap), Some(before)) = (backlog.cap, before.cap) {
            window.pages += cap.pages.saturating_sub(before.pages);
            self.since_step.lost += cap.lost.saturating_sub(before.lost);
        }
        window.time += encode + write;
        window.idle |= backlog.before == 0;
        window.peer_was_full += backlog.peer_was_full.saturating_sub(before.peer_was_full);
        window.packed |= batch.packed;
        if window.time >= LONGEST_WINDOW || window.time >= WINDOW && window.carried >= WINDOW_BYTES {
            let window = std::mem::take(window);
            self.looked(&window);
        }
    }

    fn coded(&mut self, batch: Batch, encode: Duration) {
        self.since_step.bytes += batch.bytes as u64;
        self.since_step.wire += batch.wire as u64;
        let seconds = encode.as_secs_f64().max(1e-9);
        let mix = |old: f64, new: f64| old + (new - old) / 4.0;
        self.coder = mix(self.coder, batch.bytes as f64 / seconds);
        let ratio = batch.wire as f64 / batch.bytes.max(1) as f64;
        // One batch tells whether content has changed its kind; its rate is blurred by whatever else ran.
        self.ratio = if (ratio > WORTH) == (self.ratio > WORTH) { mix(self.ratio, ratio) } else { ratio };
        if ratio <= WORTH {
            self.patience = PATIENCE.0;
        }
    }

    fn looked(&mut self, window: &Window) {
        let rate = window.carried as f64 / window.time.as_secs_f64();
        // A target that does not keep up with what comes has no time to unpack it either.
        let link_waited = window.peer_was_full > window.time / 2;
        let idle = window.idle || link_waited;
        // A link that stood idle is no slower than what it carried.
        self.link = match self.link {
            Some(link) if idle => Some(link.max(rate) * DOUBT),
            Some(link) => Some(link + (rate - link) / 2.0),
            None => (!link_waited).then_some(if idle { rate * DOUBT } else { rate }),
        };
        if !window.packed {
            // What is believed of a coder that is not used is let go: a busy host may have made it slow.
            self.coder += (CODER_RATE - self.coder) / 8.0;
        }
        self.recovery = self.recovery.saturating_sub(1);
        if self.backlog.cap.is_some() && window.packed {
            self.judge_coders(window.pages as f64 / window.time.as_secs_f64());
        }
        let below = self.rate() < SLOW * self.coder;
        self.slow_windows =
            if below { (self.slow_windows + 1).min(SURE) } else { self.slow_windows.saturating_sub(1) };
        self.slow = if self.slow { self.slow_windows > 0 } else { self.slow_windows == SURE };
        self.step();
    }

    /// So many bytes of pages went in a second of a window with coders. Where the cap, and the link as far as it is known, would have
    /// let more through raw, the host's CPUs have no time for them: other guests, or the far end on this same host.
    fn judge_coders(&mut self, page_rate: f64) {
        let share = self.rate();
        let before = self.page_rate.unwrap_or(share);
        let mean = before + (page_rate - before) / 4.0;
        self.page_rate = Some(mean);
        if mean < HARM * share {
            self.page_rate = None;
            self.recovery = self.next_recovery;
            self.next_recovery = (self.next_recovery * 2).min(RECOVERY.1);
        } else if page_rate >= share {
            self.next_recovery = RECOVERY.0;
        }
    }

    /// Goes to a higher level where time is left, to a lower one where there is none, and back from one that brought nothing.
    fn step(&mut self) {
        if self.since_step.batches < STEP_BATCHES {
            return;
        }
        let since = std::mem::take(&mut self.since_step);
        let (link, ratio) = (self.rate(), since.ratio());
        let below = self.below.take();
        if let Some((_, coded)) = below {
            self.gains[self.level] = since.coded() / coded.max(1e-9);
        }
        self.settled = self.settled.saturating_sub(1);
        if link * 1.5 < self.highest_on || self.settled == 0 {
            self.highest = LEVELS.len() - 1;
        }
        let gained = below.is_none_or(|(below, _)| ratio < below * STEP_GAIN);
        // More is lost than the level gains.
        let loses = ratio * self.gains[self.level] > since.coded();
        let starves = since.starved * STARVED > since.batches || loses;
        if self.level > 0 && (!gained || starves) {
            self.level -= 1;
            (self.highest, self.highest_on) = (self.level, link);
            self.settled = self.next_settled;
            self.next_settled = (self.next_settled * 2).min(SETTLED.1);
            self.coder = CODER_RATE;
        } else if since.starved == 0
            && self.coder * ratio >= HEADROOM * link
            && self.level < self.highest
            && ratio <= WORTH
        {
            self.below = Some((ratio, since.coded()));
            self.level += 1;
        }
    }
}

impl Since {
    /// What came of a byte, with what the link might have carried besides.
    fn ratio(&self) -> f64 {
        (self.wire + self.lost) as f64 / self.bytes.max(1) as f64
    }

    /// What the coder made of a byte.
    fn coded(&self) -> f64 {
        self.wire as f64 / self.bytes.max(1) as f64
    }
}

#[cfg(test)]
#[path = "pace_test.rs"]
mod pace_test;
