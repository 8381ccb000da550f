//! What a migration did: the document that `--json` and the API give. Times in seconds, sizes in bytes.
//!
//! Fields are only ever added; `schema` is raised when the meaning of one changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{error::MigrationError, source::OnTimeout};

/// How a migration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The guest runs at the target.
    Completed,
    /// It failed; the guest runs at the source as before.
    Failed,
    /// Somebody cancelled it; the guest runs at the source as before.
    Cancelled,
    /// The right to run was given away and no answer came; the source is paused and keeps everything.
    Unknown,
}

/// A whole migration, as its source saw it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Version of this document.
    pub schema: u32,
    /// The preset.
    pub preset: String,
    /// The limits it was given; older versions do not tell.
    #[serde(default)]
    pub asked: Option<Asked>,
    /// Number of lanes.
    pub lanes: u8,
    /// How dirty pages were found: `kvm-log`, `kvm-ring`.
    pub tracking: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it did not complete.
    pub error: Option<MigrationError>,
    /// Why pre-copy was over.
    pub stop_reason: Option<String>,
    /// From the first message until the lanes were open and tracking ran.
    pub setup_s: f64,
    /// From the first message until the end.
    pub total_s: f64,
    /// The guest stood still for so long, as the source saw it. Zero when it never did.
    pub downtime_s: Downtime,
    /// From `Go` until the target answered that the guest runs.
    pub resume_s: f64,
    /// The bandwidth cap at the end, bytes/s; null for none.
    #[serde(default)]
    pub bandwidth_cap: Option<u64>,
    /// The rounds; the last is the stop-and-copy.
    pub rounds: Vec<Round>,
    /// Pages.
    pub pages: Pages,
    /// Bytes.
    pub bytes: Bytes,
    /// CPU time.
    pub cpu_s: CpuTime,
    /// What was predicted at the decision to stop.
    pub predicted: Predicted,
    /// What the guest lost by being slowed.
    #[serde(default)]
    pub guest_slowed: GuestSlowed,
    /// The steps of the user's ladder that were taken, in order.
    #[serde(default)]
    pub steps: Vec<StepTaken>,
}

/// The limits that a migration was given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Downtime allowed, in seconds, as far as the ladder has raised it.
    pub downtime_s: f64,
    /// How long pre-copy may take, in seconds; null for as long as it likes.
    pub timeout_s: Option<f64>,
    /// What happens then.
    pub on_timeout: OnTimeout,
}

/// Time that was taken from the guest's vCPUs so that pre-copy could catch up, as measured where they slept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GuestSlowed {
    /// Seconds, of all vCPUs together.
    pub vcpu_s: f64,
    /// The same as a share, 0 to 1, of the vCPUs' time from the start of tracking until the pause, or until the end
    /// where there was none.
    pub share: f64,
}

/// A step of the ladder of escalation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepTaken {
    /// Seconds since the migration began.
    pub at_s: f64,
    /// Rounds begun by then.
    pub round: u32,
    /// What was done, in words.
    pub what: String,
    /// Why, in words.
    pub why: String,
}

/// Downtime and its steps, in the order they happen; the steps add up to the total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Downtime {
    /// From the order to pause until the target said that the guest runs (or, after a failure, until it ran here again).
    pub total: f64,
    /// Stopping the vCPUs and quiescing the devices.
    pub pause: f64,
    /// The last harvest.
    pub harvest: f64,
    /// Sending the final pages, saving and sending the state, until the target had loaded all of it.
    pub transfer: f64,
    /// From `Ready` until `Running`.
    pub handover: f64,
}

/// One round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// From 1.
    pub n: u32,
    /// Pages found dirty since the round before it began; before the stop-and-copy that is two harvests.
    pub dirty_pages: u64,
    /// Pages sent.
    pub sent_pages: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// How long it took, until the target had all of it.
    pub seconds: f64,
    /// Bytes per second.
    pub bandwidth: f64,
    /// Pages owed after it.
    pub owed_after: u64,
    /// Share of the vCPUs' time that was taken from them, 0 to 1, as measured; of the stop-and-copy it is 0.
    pub throttle: f64,
    /// Pages sent by encoding, without those of which there were none.
    #[serde(default)]
    pub by_encoding: BTreeMap<String, u64>,
}

/// Pages of the whole migration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pages {
    /// Pages of the guest.
    pub total: u64,
    /// Pages that nobody had ever touched: not read, not sent.
    pub untouched: u64,
    /// Pages that were owed and then not sent, because the guest had given them free; each time counts.
    #[serde(default)]
    pub free: u64,
    /// Pages sent, copies included.
    pub sent: u64,
    /// Of these, pages that had been sent before.
    pub duplicate: u64,
    /// Of these, pages of zeros sent as such.
    pub zero: u64,
    /// Pages by encoding.
    pub by_encoding: BTreeMap<String, u64>,
}

/// Bytes of the whole migration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// On the lanes, frame headers included.
    pub wire: u64,
    /// The pages sent, before encoding.
    pub before_encoding: u64,
}

/// CPU time of the processes while the migration ran, the guest's own included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuTime {
    /// The source's.
    pub source: f64,
    /// The target's, where it told.
    pub target: Option<f64>,
}

/// What was expected while it ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    /// Total time, after the first round: by its rate, and by the writes that the first harvest found.
    pub total_s: Option<f64>,
    /// Downtime, at the decision to stop.
    pub downtime_s: Option<f64>,
}

/// Where a running migration stands: what `vm.migration-progress` answers and `migrate` draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Phase, in the protocol's words: `hello`, `prepare`, `rounds`, `final`, `handover`, …
    pub phase: String,
    /// Seconds since it began.
    pub elapsed_s: f64,
    /// Rounds begun.
    pub round: u32,
    /// Bytes that this round is to send, before encoding.
    pub round_bytes: u64,
    /// Bytes of it that have been sent, before encoding.
    pub round_sent_bytes: u64,
    /// Bytes on the wire that the lanes have written of this round so far.
    #[serde(default)]
    pub round_wire_bytes: u64,
    /// How long this round has been under way, or took where it is over.
    #[serde(default)]
    pub round_elapsed_s: f64,
    /// The bandwidth cap, bytes/s.
    #[serde(default)]
    pub bandwidth_cap: Option<u64>,
    /// Bytes owed when the round began.
    pub owed_bytes: u64,
    /// Bytes on the wire so far.
    pub wire_bytes: u64,
    /// Rate of the lanes together in the last round that tells of it, bytes/s.
    pub bandwidth: f64,
    /// Downtime if pre-copy had stopped at the last harvest.
    pub predicted_downtime_s: Option<f64>,
    /// Downtime asked for.
    pub budget_s: f64,
    /// Rounds done, for who prints them.
    pub rounds: Vec<Round>,
    /// Steps of the ladder of escalation that were taken.
    #[serde(default)]
    pub steps: Vec<StepTaken>,
}
