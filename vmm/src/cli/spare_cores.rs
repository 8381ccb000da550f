//! What the CPUs of this host have to spare for lanes, beside all that they do already.

use std::fs;

/// The kernel's count of CPU time (`cpu` lines of /proc/stat, proc(5)), in its ticks since it was started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CpuTimes {
    cpus: u32,
    /// What all CPUs did something in, or had taken away by the host above.
    busy: u64,
    all: u64,
}

impl CpuTimes {
    /// Until now. Nothing where there is no /proc/stat to be read.
    pub fn now() -> Option<Self> {
        Self::of(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn of(stat: &str) -> Option<Self> {
        let mut lines = stat.lines().map_while(|line| line.strip_prefix("cpu"));
        let times: Option<Vec<u64>> =
            lines.next()?.split_whitespace().take(8).map(|time| time.parse().ok()).collect();
        let times = times.filter(|times| times.len() == 8)?;
        // user, nice, system, idle, iowait, irq, softirq, steal
        let all: u64 = times.iter().sum();
        Some(Self { cpus: lines.count() as u32, busy: all - times[3] - times[4], all })
    }

    /// Cores that `lanes` threads of computation would have got in the time from here to `later`, on average: those that did
    /// nothing, or what the kernel's scheduler gives them beside others that want a CPU as well.
    pub fn spare(self, later: Self, lanes: f64) -> Option<f64> {
        let all = later.all.checked_sub(self.all).filter(|&all| all > 0)? as f64;
        let cpus = f64::from(later.cpus);
        let busy = later.busy.saturating_sub(self.busy) as f64 / all * cpus;
        Some((cpus - busy).max(cpus * lanes / (lanes + busy)))
    }
}

#[cfg(test)]
mod spare_cores_test {
    use super::*;

    fn times(cpus: u32, busy: u64, all: u64) -> CpuTimes {
        CpuTimes { cpus, busy, all }
    }

    #[test]
    fn the_kernels_lines_are_read() {
        let stat = "cpu  10 1 20 400 30 2 3 4 9 0\ncpu0 5 0 10 200 15 1 1 2 0 0\ncpu1 5 1 10 200 15 1 2 2 9 0\nintr 5 cpu\n";
        assert_eq!(CpuTimes::of(stat), Some(times(2, 40, 470)));
        for broken in ["", "cpu 1 2 3\n", "cpu a b c d e f g h\n", "intr 1\n"] {
            assert_eq!(CpuTimes::of(broken), None, "{broken:?}");
        }
        assert!(CpuTimes::now().is_some_and(|now| now.cpus > 0 && now.all >= now.busy));
    }

    #[test]
    fn lanes_get_what_is_idle_or_their_share() {
        let spare = |busy: u64, lanes| times(4, 100, 1000).spare(times(4, 100 + busy, 1400), lanes).unwrap();
        assert!((spare(0, 2.0) - 4.0).abs() < 1e-9);
        // One of four is busy.
        assert!((spare(100, 2.0) - 3.0).abs() < 1e-9);
        // All four are: two lanes beside four threads.
        assert!((spare(400, 2.0) - 4.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn no_time_says_nothing() {
        assert_eq!(times(2, 5, 10).spare(times(2, 5, 10), 2.0), None);
        assert_eq!(times(2, 5, 10).spare(times(2, 1, 4), 2.0), None);
    }
}
