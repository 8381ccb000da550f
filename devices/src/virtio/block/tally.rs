//! What a disk counts: the reads and writes that it has done for its driver, and how long they took. Names and units are
//! those of Cloud Hypervisor's `vm.counters`.

use std::time::{Duration, Instant};

use super::sys::Way;
use crate::Counters;

/// Data that a request has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Which way.
    pub way: Way,
    /// How much, in bytes.
    pub bytes: u64,
    /// When the device took the request.
    pub since: Instant,
}

/// What has been done since the disk was made. A reset by the driver does not change it.
#[derive(Debug, Default)]
pub struct Tally {
    reads: Requests,
    writes: Requests,
}

impl Tally {
    /// Adds a request that is answered now.
    pub fn add(&mut self, moved: &Moved) {
        let requests = match moved.way {
            Way::Read => &mut self.reads,
            Way::Write => &mut self.writes,
        };
        requests.add(moved.bytes, moved.since.elapsed());
    }

    /// By name; latencies, in microseconds, once there are any.
    pub fn counters(&self) -> Counters {
        let reads = self.reads.counters([
            "read_ops",
            "read_bytes",
            "read_latency_min",
            "read_latency_max",
            "read_latency_avg",
        ]);
        let writes = self.writes.counters([
            "write_ops",
            "write_bytes",
            "write_latency_min",
            "write_latency_max",
            "write_latency_avg",
        ]);
        reads.chain(writes).collect()
    }
}

/// Requests of one kind.
#[derive(Debug, Default)]
struct Requests {
    count: u64,
    bytes: u64,
    /// The shortest and the longest that one took.
    latencies: Option<(Duration, Duration)>,
    total: Duration,
}

impl Requests {
    fn add(&mut self, bytes: u64, took: Duration) {
        self.count += 1;
        self.bytes += bytes;
        let (least, most) = self.latencies.unwrap_or((took, took));
        self.latencies = Some((least.min(took), most.max(took)));
        self.total += took;
    }

    /// Number, bytes, least, most and mean latency by these names.
    fn counters(
        &self,
        [count, bytes, least, most, mean]: [&'static str; 5],
    ) -> impl Iterator<Item = (&'static str, u64)> {
        // Half a million years fit.
        let micros = |time: Duration| time.as_micros() as u64;
        let average = micros(self.total).checked_div(self.count).unwrap_or_default();
        let latencies = self.latencies.into_iter();
        let latencies = latencies
            .flat_map(move |(low, high)| [(least, micros(low)), (most, micros(high)), (mean, average)]);
        [(count, self.count), (bytes, self.bytes)].into_iter().chain(latencies)
    }
}
