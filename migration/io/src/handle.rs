//! How others watch a migration, cap its bandwidth and cancel it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use godwit_migration::{cancellation::Cancellation, limits::PAGE_BYTES, report::Progress};
use tokio::sync::Notify;

use crate::lanes::Pace;

/// A running migration, for whoever is not driving it. Clones are the same migration.
#[derive(Clone, Default)]
pub struct Handle(Arc<Inner>);

#[derive(Default)]
struct Inner {
    cancel: Notify,
    /// Why, as it was said first; but what is final counts more.
    why: Mutex<Option<Cancellation>>,
    pace: Arc<Pace>,
    cap_changed: Notify,
    sent_pages: AtomicU64,
    wire_bytes: AtomicU64,
    lane_bytes: AtomicU64,
    /// What the engine said last, and when.
    progress: Mutex<Option<(Progress, Instant)>>,
    round_began: Mutex<Option<Instant>>,
    /// Of a target: whether a source is here.
    receiving: AtomicBool,
    /// Of a target: whether the guest is ready, and whether its source is out of reach.
    ready: Mutex<Option<bool>>,
    /// What a person has decided of it.
    decision: Mutex<Option<bool>>,
    decided: Notify,
}

impl Handle {
    /// Asks for the end. Heard until the guest is handed over; then it is too late, and nothing happens.
    pub fn cancel(&self, why: Cancellation) {
        let mut said = self.0.why.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none() || why.is_final() {
            *said = Some(why);
        }
        drop(said);
        self.0.cancel.notify_one();
    }

    /// Whether it was cancelled for good: who waits for guests, one after the other, waits no longer.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.why.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(Cancellation::is_final)
    }

    /// At a target: whether a source is here, so that there is something to cancel but the wait.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        self.0.receiving.load(Ordering::Relaxed)
    }

    pub(crate) fn receives(&self, receiving: bool) {
        self.0.receiving.store(receiving, Ordering::Relaxed);
    }

    /// Caps all lanes together at so many bytes per second, from now on; `None` lets them go. Of a source only.
    pub fn set_bandwidth(&self, cap: Option<u64>) {
        self.0.pace.set_cap(cap);
        self.0.cap_changed.notify_one();
    }

    /// The bandwidth cap, bytes per second.
    #[must_use]
    pub fn bandwidth(&self) -> Option<u64> {
        self.0.pace.cap()
    }

    /// Where it stands; `None` before it has begun. What changes within a round is of this moment.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        let (mut progress, at) = self.0.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        progress.elapsed_s += at.elapsed().as_secs_f64();
        if let Some(began) = *self.0.round_began.lock().unwrap_or_else(PoisonError::into_inner) {
            progress.round_sent_bytes = (self.sent_pages() * PAGE_BYTES as u64).min(progress.round_bytes);
            progress.round_wire_bytes = self.0.wire_bytes.load(Ordering::Relaxed);
            progress.round_elapsed_s = began.elapsed().as_secs_f64();
        }
        Some(progress)
    }

    /// At a target: whether a guest is ready here and has not been told to run; and then, whether its source is out of
    /// reach.
    #[must_use]
    pub fn ready_and_alone(&self) -> Option<bool> {
        *self.0.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides at a target that the guest that is ready runs here (`true`), or never will. Not heard without one.
    pub fn decide(&self, runs: bool) {
        *self.0.decision.lock().unwrap_or_else(PoisonError::into_inner) = Some(runs);
        self.0.decided.notify_one();
    }

    pub(crate) fn stands(&self, ready_and_alone: Option<bool>) {
        *self.0.ready.lock().unwrap_or_else(PoisonError::into_inner) = ready_and_alone;
    }

    /// The next decision.
    pub(crate) async fn decision(&self) -> Option<bool> {
        self.0.decided.notified().await;
        self.0.decision.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Until somebody cancels: why.
    pub(crate) async fn cancelled(&self) -> Cancellation {
        self.0.cancel.notified().await;
        let why = self.0.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        why.unwrap_or(Cancellation::Request)
    }

    /// Bytes that all lanes have written, over all rounds.
    pub(crate) fn lane_bytes(&self) -> u64 {
        self.0.lane_bytes.load(Ordering::Relaxed)
    }

    /// The next change of the cap.
    pub(crate) async fn bandwidth_changed(&self) -> Option<u64> {
        self.0.cap_changed.notified().await;
        self.bandwidth()
    }

    pub(crate) fn pace(&self) -> Arc<Pace> {
        self.0.pace.clone()
    }

    pub(crate) fn publish(&self, progress: Progress) {
        let published = Some((progress, Instant::now()));
        *self.0.progress.lock().unwrap_or_else(PoisonError::into_inner) = published;
    }

    pub(crate) fn round_begins(&self) {
        self.0.pace.round_begins();
        self.0.sent_pages.store(0, Ordering::Relaxed);
        self.0.wire_bytes.store(0, Ordering::Relaxed);
        *self.0.round_began.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(crate) fn add_sent_pages(&self, pages: u64) {
        self.0.sent_pages.fetch_add(pages, Ordering::Relaxed);
    }

    /// So many bytes more of pages have gone, before whatever compression.
    pub(crate) fn add_page_bytes(&self, bytes: u64) {
        self.0.pace.add_pages(bytes);
    }

    pub(crate) fn add_wire_bytes(&self, bytes: u64) {
        self.0.wire_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.0.lane_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn sent_pages(&self) -> u64 {
        self.0.sent_pages.load(Ordering::Relaxed)
    }
}
