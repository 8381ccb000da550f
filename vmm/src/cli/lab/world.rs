//! The flags that the lab's commands share: the guest's size, the link, the hosts, the budget; and rates as people write
//! them.

use std::{ops::RangeInclusive, time::Duration};

use clap::Args;
use godwit_lab::{
    link::Link,
    replay::{Coders, Model, Replay},
    trace::synth::Synth,
    trace::{Content, Tape, Trace},
};
use godwit_migration::{
    limits::{MAX_LANES, PAGE_BYTES, REGION_ALIGN_PAGES},
    preset::Scheme,
    source::OnTimeout,
};

use crate::cli::units::{parse_size, parse_time};

/// Most bytes per second that a link may have.
const MAX_RATE: f64 = 1e12;
/// Cores that lanes may have.
const CORES: RangeInclusive<f64> = 0.1..=128.0;
/// Largest guest of the lab.
const MAX_MEMORY: u64 = 1 << 40;

/// The guest of a made-up workload.
#[derive(Debug, Clone, Args)]
pub struct GuestArgs {
    /// Memory of a guest whose workload is made up, such as 1G
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = parse_memory)]
    pub memory: u64,
    /// How much of it has content when the migration begins [default: all of it]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub resident: Option<u64>,
}

impl GuestArgs {
    /// The trace of this guest doing what `workload` says.
    pub fn trace(&self, workload: &Synth) -> anyhow::Result<Trace> {
        let pages = |bytes: u64| (bytes / PAGE_BYTES as u64).min(u64::from(u32::MAX)) as u32;
        let memory = pages(self.memory).next_multiple_of(REGION_ALIGN_PAGES);
        let resident = self.resident.map_or(memory, pages);
        workload.trace(memory, resident).map_err(anyhow::Error::msg)
    }
}

/// The world around a replay, but for the link's rate.
#[derive(Debug, Clone, Args)]
pub struct WorldArgs {
    /// Time of flight on the link, each way, such as 0.05ms
    #[arg(long, value_name = "TIME", default_value = "0.05ms", value_parser = parse_time)]
    pub latency: Duration,
    /// The guest may stand still for so long, such as 30ms
    #[arg(long, value_name = "TIME", default_value = "30ms", value_parser = parse_time)]
    pub downtime: Duration,
    /// Pre-copy may take so long; then the final copy is forced, whatever the downtime
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = parse_time)]
    pub timeout: Duration,
    /// Lanes, which encode side by side
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_LANES)))]
    pub lanes: u8,
    /// Cores of a side that lanes can use, such as 1.5 [default: 2; predict: what the host has to spare]
    #[arg(long, value_name = "N", value_parser = parse_cores)]
    pub cores: Option<f64>,
    /// Source and target are one host, so their lanes share these cores
    #[arg(long)]
    pub one_host: bool,
    /// How fast a core compresses with zstd at level 1 [default: as was measured with a trace, or 187MB/s]
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub zstd_speed: Option<f64>,
    /// What the guest loses by its first write to a page after a harvest, such as 0.028ms [default: nothing]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub fault: Option<Duration>,
}

impl WorldArgs {
    /// A replay by `scheme` over a link of so many bytes per second.
    pub fn replay(&self, scheme: Scheme, bytes_per_s: f64) -> Replay {
        let mut model = Model::over(Link { bytes_per_s, latency: self.latency });
        model.coders.cores = self.cores.unwrap_or(model.coders.cores);
        model.coders.one_host = self.one_host;
        model.coders.zstd_bytes_per_s = self.zstd_speed;
        model.fault = self.fault.unwrap_or_default();
        let mut replay = Replay::new(scheme, model);
        replay.lanes = self.lanes;
        replay.downtime = self.downtime;
        replay.timeout = Some(self.timeout);
        replay.on_timeout = OnTimeout::Force;
        replay
    }

    /// Threads that compute side by side on these cores: a target's lanes have a third to do of what the source's have.
    pub fn threads(&self) -> f64 {
        f64::from(self.lanes) * if self.one_host { 1.3 } else { 1.0 }
    }

    /// In a sentence, for reports.
    pub fn words(&self) -> String {
        let coders = Coders { zstd_bytes_per_s: self.zstd_speed, ..Coders::default() };
        format!(
            "Latency {:?} each way, downtime budget {:?}, forced after {:?}, {} lanes on {} cores{}, zstd at {:.0} MB/s a core{}, \
             {:?} for a fault.",
            self.latency,
            self.downtime,
            self.timeout,
            self.lanes,
            self.cores.unwrap_or(coders.cores),
            if self.one_host { " of one host" } else { "" },
            coders.zstd(&Content::default()) / 1e6,
            if self.zstd_speed.is_none() { " unless it was measured with a trace" } else { "" },
            self.fault.unwrap_or_default()
        )
    }
}

/// What a trace is, in a sentence.
pub fn about(tape: &Tape) -> String {
    let trace = tape.trace();
    let mib = |pages: f64| pages * PAGE_BYTES as f64 / f64::from(1 << 20);
    format!(
        "{} ({}): {:.0} MiB, {:.0} MiB of it with content, {} vCPUs; {:.1} s by {:?}, {:.0} pages dirtied per second, \
         working set {:.0} MiB.",
        trace.about.workload,
        trace.about.guest,
        mib(f64::from(trace.pages())),
        mib(f64::from(trace.resident().count())),
        trace.about.vcpus,
        trace.length().as_secs_f64(),
        trace.interval(),
        trace.dirty_pages_per_s(),
        mib(f64::from(trace.working_set_pages())),
    )
}

/// A size that a guest of the lab can have.
fn parse_memory(text: &str) -> Result<u64, String> {
    let bytes = parse_size(text)?;
    if (1 << 20..=MAX_MEMORY).contains(&bytes) {
        return Ok(bytes);
    }
    Err(format!("'{text}' cannot be a guest's memory; it must be from 1M to {}G", MAX_MEMORY >> 30))
}

/// Cores, or parts of them.
pub fn parse_cores(text: &str) -> Result<f64, String> {
    let cores = text.parse::<f64>().ok().filter(|cores| CORES.contains(cores));
    cores.ok_or_else(|| {
        format!(
            "'{text}' cannot be a number of cores; it must be from {} to {}, such as 1.5",
            CORES.start(),
            CORES.end()
        )
    })
}

/// A workload by its words.
pub fn parse_workload(text: &str) -> Result<Synth, String> {
    Synth::parse(text)
}

/// A rate in bytes per second: a number with B/s, KB/s, MB/s or GB/s, powers of 1000 (KiB/s and the like of 1024).
///
/// # Errors
/// A sentence with an example.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    let wrong = || format!("'{text}' is not a rate; write bytes per second, such as 125MB/s or 12.5MB/s");
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = match &text[end..] {
        "B/s" => 1.0,
        "KB/s" => 1e3,
        "MB/s" => 1e6,
        "GB/s" => 1e9,
        "KiB/s" => 1024.0,
        "MiB/s" => 1024.0 * 1024.0,
        "GiB/s" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let rate = text[..end].parse::<f64>().map_err(|_| wrong())? * unit;
    if (1000.0..=MAX_RATE).contains(&rate) {
        return Ok(rate);
    }
    Err(format!("'{text}' cannot be a rate; it must be from 1KB/s to {}GB/s", MAX_RATE / 1e9))
}
