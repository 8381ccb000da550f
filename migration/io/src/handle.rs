//! How others watch a migration and cancel it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use godwit_migration::{limits::PAGE_BYTES, report::Progress};
use tokio::sync::Notify;

/// A running migration, for whoever is not driving it. Clones are the same migration.
#[derive(Clone, Default)]
pub struct Handle(Arc<Inner>);

#[derive(Default)]
struct Inner {
    cancel: Notify,
    sent_pages: AtomicU64,
    progress: Mutex<Option<Progress>>,
}

impl Handle {
    /// Asks for the end. Heard until the guest is handed over; then it is too late, and nothing happens.
    pub fn cancel(&self) {
        self.0.cancel.notify_one();
    }

    /// Where it stands; `None` before it has begun.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        let mut progress =
            self.0.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()?;
        let sent = self.sent_pages() * PAGE_BYTES as u64;
        progress.round_sent_bytes = sent.min(progress.round_bytes);
        Some(progress)
    }

    pub(crate) async fn cancelled(&self) {
        self.0.cancel.notified().await;
    }

    pub(crate) fn publish(&self, progress: Progress) {
        *self.0.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(progress);
    }

    pub(crate) fn round_begins(&self) {
        self.0.sent_pages.store(0, Ordering::Relaxed);
    }

    pub(crate) fn add_sent_pages(&self, pages: u64) {
        self.0.sent_pages.fetch_add(pages, Ordering::Relaxed);
    }

    pub(crate) fn sent_pages(&self) -> u64 {
        self.0.sent_pages.load(Ordering::Relaxed)
    }
}
