//! What a source has done so far, and the report that comes of it.

use std::time::Duration;

use super::{SourceConfig, Time};
use crate::{
    codec::{self, CODECS},
    error::MigrationError,
    limits::PAGE_BYTES,
    report::{Bytes, CpuTime, Downtime, Outcome, Pages, Predicted, Report, Round},
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
    /// Pages that the last harvest found.
    pub(super) last_dirty: u64,
    pub(super) untouched: u64,
    /// Pages that have been in any plan.
    pub(super) distinct: u64,
    pub(super) round_planned: u64,
    pub(super) owed_before_round: u64,
    pub(super) stop_reason: Option<String>,
    pub(super) predicted_downtime: Option<Duration>,
    pub(super) target_cpu_s: Option<f64>,
    pages: u32,
    /// Pages that the harvests since the last round began have found.
    dirty_since_round: u64,
    round_dirty: u64,
    round_began: Time,
    rounds_begun: u32,
}

impl Account {
    pub(super) fn new(now: Time, pages: u32) -> Self {
        Self {
            began: now,
            set_up: None,
            moments: Moments::default(),
            rounds: vec![],
            totals: LaneTotals::default(),
            bytes_per_s: 0.0,
            last_dirty: 0,
            untouched: 0,
            distinct: 0,
            round_planned: 0,
            owed_before_round: u64::from(pages),
            stop_reason: None,
            predicted_downtime: None,
            target_cpu_s: None,
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

    pub(super) fn harvested(&mut self, dirty: u64, owed: u64) {
        self.last_dirty = dirty;
        self.dirty_since_round += dirty;
        if let Some(round) = self.rounds.last_mut() {
            round.owed_after = owed;
        }
    }

    pub(super) fn round_begins(&mut self, now: Time, planned: u64, owed: u64) {
        self.rounds_begun += 1;
        self.round_dirty = std::mem::take(&mut self.dirty_since_round);
        self.round_began = now;
        self.round_planned = planned;
        self.owed_before_round = owed;
    }

    pub(super) fn round_ends(&mut self, now: Time, totals: &LaneTotals) {
        let seconds = now.saturating_sub(self.round_began).as_secs_f64();
        let bandwidth = if seconds > 0.0 { totals.wire_bytes as f64 / seconds } else { 0.0 };
        if totals.wire_bytes >= TELLING_BYTES || self.bytes_per_s == 0.0 {
            self.bytes_per_s = bandwidth;
        }
        self.totals.add(totals);
        self.rounds.push(Round {
            n: self.rounds_begun,
            dirty_pages: self.round_dirty,
            sent_pages: totals.pages,
            bytes: totals.wire_bytes,
            seconds,
            bandwidth,
            owed_after: 0,
            throttle: 0.0,
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
            preset: config.preset.name.into(),
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
            rounds: self.rounds.clone(),
            pages: self.report_pages(),
            bytes: Bytes {
                wire: self.totals.wire_bytes,
                before_encoding: self.totals.pages * PAGE_BYTES as u64,
            },
            cpu_s: CpuTime { source: 0.0, target: self.target_cpu_s },
            predicted: Predicted {
                total_s: None,
                downtime_s: self.predicted_downtime.map(|d| d.as_secs_f64()),
            },
        }
    }

    fn report_pages(&self) -> Pages {
        let by = |id: u8| self.totals.by_codec[usize::from(id)];
        Pages {
            total: u64::from(self.pages),
            untouched: self.untouched,
            sent: self.totals.pages,
            duplicate: self.totals.pages.saturating_sub(self.distinct),
            zero: by(codec::ZERO),
            by_encoding: CODECS
                .iter()
                .map(|row| (row.name.to_string(), by(row.wire_id)))
                .filter(|(_, n)| *n > 0)
                .collect(),
        }
    }
}
