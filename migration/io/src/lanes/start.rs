//! What every thread of a lane does first: whatever this process wants of threads that touch a peer's bytes.

use std::sync::OnceLock;

static FIRST: OnceLock<fn()> = OnceLock::new();

/// Lets each lane's thread, and each lane's drain, call `first` before it touches a socket. Only the first choice of a
/// process counts.
pub fn on_lane_start(first: fn()) {
    let _ = FIRST.set(first);
}

/// The beginning of such a thread.
pub(super) fn begin() {
    if let Some(first) = FIRST.get() {
        first();
    }
}
