//! What a source has done so far, and the report that comes of it.

use std::{collections::BTreeMap, time::Duration};

use super::{SourceConfig, Time};
use crate::{
    codec,
    error::MigrationError,
    limits::PAGE_BYTES,
    report::{
        Asked, Bytes, CpuTime, Downtime, GuestSlowed, Outcome, Pages, Predicted, Report, Round, StepTaken,
    },
    wire::LaneTotals,
};

/// A round smaller than this says more about latency than about the link.
const TELLING_BYTES: u64 = 1 << 20;
/// Version of the report document.
const REPORT_SCHEMA: u32 = 1;

/// The moments of a stop-and-copy, as far as it has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    pub(super) pause: Option<Time>,
    pub(super) paused: Option<Time>,
    pub(super) harvested: Option<Time>,
    pub(super) ready: Option<Time>,
    pub(super) running: Option<Time>,
}

pub(super) struct Account {
    pub(super) began: Time,
    pub(super) set_up: Option<Time>,
    pub(super) moments: Moments,
    pub(super) rounds: Vec<Round>,
    pub(super) totals: LaneTotals,
    pub(super) bytes_per_s: f64,
    /// Bytes on the wire per byte of page in the last telling round.
    pub(super) wire_ratio: f64,
    /// The same for pages that went whole.
    whole_ratio: f64,
    /// Pages that were planned, and that no lane has sent yet, as far as numbers of pages tell.
    unsent: u64,
    /// Pages that had been in any plan when the last round ended.
    distinct_before: u64,
    /// Pages that the last harvest found.
    pub(super) last_dirty: u64,
    /// Pages that the harvest before it found.
    pub(super) dirty_before: u64,
    /// How long the interval was that the last harvest ended.
    pub(super) interval: Duration,
    /// When the last harvest was, or tracking began.
    pub(super) harvested_at: Time,
    pub(super) untouched: u64,
    /// Pages that were owed and then free, also those that a lane found so.
    pub(super) free: u64,
    /// Time taken from the vCPUs so far, and up to the last harvest.
    pub(super) slowed: Duration,
    slowed_before: Duration,
    /// When the harvest under way began, and how long the last one took.
    harvest_began: Time,
    pub(super) harvest: Duration,
    /// Steps of the ladder.
    pub(super) steps: Vec<StepTaken>,
    /// Pages that have been in any plan.
    pub(super) distinct: u64,
    pub(super) round_planned: u64,
    pub(super) owed_before_round: u64,
    /// Pages owed at the last harvest, or when tracking began.
    pub(super) owed_when_known: u64,
    pub(super) stop_reason: Option<String>,
    pub(super) predicted_downtime: Option<Duration>,
    /// Total time as it was expected after the first round, in seconds.
    pub(super) predicted_total_s: Option<f64>,
    pub(super) target_cpu_s: Option<f64>,
    cpus: u8,
    pages: u32,
    /// Pages that the harvests since the last round began have found.
    dirty_since_round: u64,
    round_dirty: u64,
    round_began: Time,
    rounds_begun: u32,
}

impl Account {
    pub(super) fn new(now: Time, pages: u32, cpus: u8) -> Self {
        Self {
            began: now,
            set_up: None,
            moments: Moments::default(),
            rounds: vec![],
            totals: LaneTotals::default(),
            bytes_per_s: 0.0,
            wire_ratio: 1.0,
            whole_ratio: 1.0,
            unsent: 0,
            distinct_before: 0,
            last_dirty: 0,
            dirty_before: 0,
            interval: Duration::ZERO,
            harvested_at: now,
            untouched: 0,
            free: 0,
            slowed: Duration::ZERO,
            slowed_before: Duration::ZERO,
            harvest_began: now,
            harvest: Duration::ZERO,
            steps: vec![],
            distinct: 0,
            round_planned: 0,
            owed_before_round: u64::from(pages),
            owed_when_known: u64::from(pages),
            stop_reason: None,
            predicted_downtime: None,
            predicted_total_s: None,
            target_cpu_s: None,
            cpus,
            pages,
            dirty_since_round: 0,
            round_dirty: 0,
            round_began: now,
            rounds_begun: 0,
        }
    }

    pub(super) fn rounds_begun(&self) -> u32 {
        self.rounds_begun
    }

    /// Pages sent that had been sent before.
    pub(super) fn duplicate_pages(&self) -> u64 {
        self.totals.pages.saturating_sub(self.distinct)
    }

    pub(super) fn harvest_begins(&mut self, now: Time) {
        self.harvest_began = now;
    }

    pub(super) fn harvest_took(&mut self, now: Time) {
        self.harvest = now.saturating_sub(self.harvest_began);
    }

    /// `taken` as a share of the time of all vCPUs.
    fn share(&self, taken: Duration, time: Duration) -> f64 {
        let time = time.as_secs_f64() * f64::from(self.cpus);
        if time > 0.0 { (taken.as_secs_f64() / time).min(1.0) } else { 0.0 }
    }

    pub(super) fn harvested(&mut self, now: Time, dirty: u64, owed: u64) {
        self.interval = now.saturating_sub(self.harvested_at);
        self.harvested_at = now;
        self.dirty_before = self.last_dirty;
        self.last_dirty = dirty;
        self.dirty_since_round += dirty;
        self.owed_when_known = owed;
        let taken = self.slowed.saturating_sub(std::mem::replace(&mut self.slowed_before, self.slowed));
        let share = self.share(taken, self.interval);
        let running = self.moments.pause.is_none();
        if let Some(round) = self.rounds.last_mut() {
            round.owed_after = owed;
            if running {
                round.throttle = share;
            }
        }
    }

    pub(super) fn round_begins(&mut self, now: Time, planned: u64, owed: u64) {
        self.rounds_begun += 1;
        self.round_dirty = std::mem::take(&mut self.dirty_since_round);
        self.round_began = now;
        self.round_planned = planned;
        self.owed_before_round = owed;
        self.owed_when_known = owed;
    }

    /// Bytes on the wire per byte of `owed` pages. Of those that no lane has sent, because the guest had written them again each time
    /// that its turn came, the target has no copy to which a difference could be sent.
    pub(super) fn owed_ratio(&self, owed: u64) -> f64 {
        let share = (self.unsent as f64 / owed.max(1) as f64).min(1.0);
        self.wire_ratio + share * (self.whole_ratio - self.wire_ratio).max(0.0)
    }

    pub(super) fn round_ends(&mut self, now: Time, totals: &LaneTotals) {
        let seconds = now.saturating_sub(self.round_began).as_secs_f64();
        let bandwidth = if seconds > 0.0 { totals.wire_bytes as f64 / seconds } else { 0.0 };
        if totals.wire_bytes >= TELLING_BYTES || self.bytes_per_s == 0.0 {
            self.bytes_per_s = bandwidth;
            let content = totals.pages.saturating_sub(totals.by_codec[usize::from(codec::ZERO)]);
            let per_byte_of =
                |pages: u64| totals.wire_bytes as f64 / (pages.max(1) * PAGE_BYTES as u64) as f64;
            self.wire_ratio = if content > 0 { per_byte_of(content) } else { 1.0 };
            self.whole_ratio = per_byte_of(content.saturating_sub(codec::differences(totals))).min(1.0);
        }
        let fresh = self.distinct - std::mem::replace(&mut self.distinct_before, self.distinct);
        let whole = totals.pages.saturating_sub(codec::differences(totals)) + totals.free;
        let left_out = self.round_planned.saturating_sub(totals.pages + totals.free);
        self.unsent = (self.unsent + fresh).saturating_sub(whole).min(left_out);
        self.totals.add(totals);
        self.free += totals.free;
        self.rounds.push(Round {
            n: self.rounds_begun,
            dirty_pages: self.round_dirty,
            sent_pages: totals.pages,
            bytes: totals.wire_bytes,
            seconds,
            bandwidth,
            owed_after: 0,
            throttle: 0.0,
            by_encoding: by_encoding(totals),
        });
    }

    pub(super) fn report(
        &self,
        now: Time,
        config: &SourceConfig,
        outcome: Outcome,
        error: Option<MigrationError>,
    ) -> Report {
        let since = |from: Option<Time>, to: Option<Time>| match (from, to) {
            (Some(from), Some(to)) => to.saturating_sub(from).as_secs_f64(),
            _ => 0.0,
        };
        let Moments { pause, paused, harvested, ready, running } = self.moments;
        Report {
            schema: REPORT_SCHEMA,
            preset: config.scheme.name.clone(),
            asked: Some(Asked {
                downtime_s: config.downtime.as_secs_f64(),
                timeout_s: config.timeout.map(|timeout| timeout.as_secs_f64()),
                on_timeout: config.on_timeout,
            }),
            lanes: config.lanes,
            tracking: config.tracking.clone(),
            outcome,
            error,
            stop_reason: self.stop_reason.clone(),
            setup_s: since(Some(self.began), self.set_up),
            total_s: since(Some(self.began), Some(now)),
            downtime_s: Downtime {
                total: since(pause, running.or(Some(now))),
                pause: since(pause, paused),
                harvest: since(paused, harvested),
                transfer: since(harvested, ready),
                handover: since(ready, running),
            },
            resume_s: since(ready, running),
            bandwidth_cap: config.bandwidth_cap,
            rounds: self.rounds.clone(),
            pages: self.report_pages(),
            bytes: Bytes {
                wire: self.totals.wire_bytes,
                before_encoding: self.totals.pages * PAGE_BYTES as u64,
            },
            cpu_s: CpuTime { source: 0.0, target: self.target_cpu_s },
            predicted: Predicted {
                total_s: self.predicted_total_s,
                downtime_s: self.predicted_downtime.map(|d| d.as_secs_f64()),
            },
            guest_slowed: GuestSlowed {
                vcpu_s: self.slowed.as_secs_f64(),
                share: self
                    .set_up
                    .map_or(0.0, |from| self.share(self.slowed, pause.unwrap_or(now).saturating_sub(from))),
            },
            steps: self.steps.clone(),
        }
    }

    fn report_pages(&self) -> Pages {
        let by = |id: u8| self.totals.by_codec[usize::from(id)];
        Pages {
            total: u64::from(self.pages),
            untouched: self.untouched,
            free: self.free,
            sent: self.totals.pages,
            duplicate: self.duplicate_pages(),
            zero: by(codec::ZERO),
            by_encoding: by_encoding(&self.totals),
        }
    }
}

/// Pages by the names of their encodings.
fn by_encoding(totals: &LaneTotals) -> BTreeMap<String, u64> {
    codec::reported()
        .map(|(name, id)| (name.to_string(), totals.by_codec[usize::from(id)]))
        .filter(|(_, n)| *n > 0)
        .collect()
}

#[cfg(test)]
mod account_test {
    use super::*;

    /// Adds a round of `planned` pages of which the lanes sent 1000 of 4 KiB: some as differences, the others half as long.
    fn send(account: &mut Account, planned: u64, differences: u64) {
        account.round_begins(Duration::ZERO, planned, planned);
        let mut totals =
            LaneTotals { pages: 1000, wire_bytes: (1000 - differences) * 2048, ..LaneTotals::default() };
        totals.by_codec[usize::from(codec::XBZRLE)] = differences;
        account.round_ends(Duration::from_secs(1), &totals);
    }

    /// After a round of so many pages that had not been in a plan, of which 600 were sent, with 400 that had.
    fn after(fresh: u64, differences: u64) -> Account {
        let mut account = Account::new(Duration::ZERO, 100_000, 1);
        account.distinct = fresh;
        send(&mut account, fresh + 400, differences);
        account
    }

    #[test]
    fn what_no_lane_has_sent_is_not_expected_to_go_as_differences() {
        let ratio = |fresh, owed| after(fresh, 400).owed_ratio(owed);
        assert!((ratio(600, 500) - 0.3).abs() < 1e-9, "nothing was left out");
        assert!((ratio(850, 500) - 0.4).abs() < 1e-9, "half of it was");
        assert!((ratio(1100, 500) - 0.5).abs() < 1e-9, "all of it was");
        assert!((ratio(9000, 500) - 0.5).abs() < 1e-9, "and no more than all");
        assert!((after(1500, 0).owed_ratio(500) - 0.5).abs() < 1e-9, "where nothing goes as a difference");
        assert!(after(1500, 1000).owed_ratio(500) <= 1.0);
    }

    #[test]
    fn what_is_left_out_after_it_was_sent_may_go_as_a_difference() {
        let mut account = after(1500, 400);
        assert!(account.owed_ratio(900) > 0.49, "900 have never been sent");
        // The same pages again: 600 of them were among those.
        send(&mut account, 1500, 400);
        assert!((account.owed_ratio(500) - (0.3 + 0.2 * 300.0 / 500.0)).abs() < 1e-9);
        send(&mut account, 1500, 400);
        assert!((account.owed_ratio(500) - 0.3).abs() < 1e-9, "all have, whatever is left out now");
    }
}
