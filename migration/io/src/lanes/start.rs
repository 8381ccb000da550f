//! What every thread of a lane does first: whatever this process wants of threads that touch a peer's bytes.

use std::sync::OnceLock;

use crate::sys;

static FIRST: OnceLock<fn()> = OnceLock::new();

/// Lets each lane's thread, and each lane's drain, call `first` before it touches a socket. Only the first choice of a
/// process counts.
pub fn on_lane_start(first: fn()) {
    let _ = FIRST.set(first);
}

/// The beginning of such a thread. A lane that is woken up by every piece that comes would push the guest's vCPUs, and the
/// lane at the other end, off their CPU each time; it does better with much at once.
pub(super) fn begin() {
    sys::compute_in_batches();
    if let Some(first) = FIRST.get() {
        first();
    }
}

#[cfg(test)]
mod start_test {
    #[test]
    fn a_lane_computes_in_batches() {
        // The 41st field is the policy, and the second ends with the last parenthesis (proc_pid_stat(5)).
        let policy = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            stat.rsplit(')').next().unwrap().split_whitespace().nth(38).unwrap().parse::<i32>().unwrap()
        };
        let lane = std::thread::spawn(move || {
            let before = policy();
            super::begin();
            (before, policy())
        });
        assert_eq!(lane.join().unwrap(), (libc::SCHED_OTHER, libc::SCHED_BATCH));
    }
}
