//! What the stop of a guest costs beside its last pages, which nobody can measure before it happens.

use std::time::Duration;

use crate::shape::CpuShape;

/// Time of each task, for a guest of so many vCPUs. As it was on two cores of an EPYC of family 25, where a guest stood still for
/// 1.0 to 1.6 ms with one vCPU, 1.7 to 2.4 with two, 2.5 to 4.3 with four and 5.8 to 8.8 with eight.
pub(super) struct Costs {
    /// Pausing it.
    pub(super) pause: Duration,
    /// Saving its state, while the last pages travel.
    pub(super) save: Duration,
    /// Restoring that, and resuming it.
    pub(super) restore: Duration,
}

impl Costs {
    /// Those of a guest with such vCPUs.
    pub(super) fn of(cpus: &CpuShape) -> Self {
        let us = |once: u64, each: u64| Duration::from_micros(once + each * u64::from(cpus.count));
        Self { pause: us(100, 50), save: us(200, 150), restore: us(400, 400) }
    }
}
