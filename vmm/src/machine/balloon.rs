//! What the host asks of a guest's balloon: memory, statistics, and its free pages while it moves.

use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use godwit_devices::{
    Shared,
    virtio::{Balloon, VirtioMmio},
};
use godwit_migration::{
    host::{FreePages, HostError, PageSource},
    page::PageSet,
};

use super::Machine;
use crate::{config, error::MachineError, memory::GuestPages};

impl Machine {
    fn balloon(&self) -> Option<MutexGuard<'_, VirtioMmio<Balloon>>> {
        self.wiring.balloon.as_ref().map(|balloon| balloon.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks the guest for so many bytes of its memory, or gives it back what is above them. When, is the guest's own
    /// business.
    ///
    /// # Errors
    /// [`MachineError::NoDevice`] without a balloon; [`crate::ConfigError::BalloonTooLarge`].
    pub fn resize_balloon(&self, bytes: u64) -> Result<(), MachineError> {
        let Some(mut balloon) = self.balloon() else {
            return Err(MachineError::NoBalloon);
        };
        config::check_balloon(bytes, self.memory_bytes())?;
        balloon.update(|balloon| balloon.set_target_bytes(bytes));
        Ok(())
    }

    /// Bytes of memory that the guest has given back, and those that it was asked for; nothing without a balloon.
    #[must_use]
    pub fn balloon_bytes(&self) -> Option<(u64, u64)> {
        let balloon = self.balloon()?;
        Some((balloon.device().actual_bytes(), balloon.device().target_bytes()))
    }

    /// Asks the guest for new statistics of its memory; whether it gives any.
    #[must_use]
    pub fn ask_statistics(&self) -> bool {
        self.balloon().is_some_and(|mut balloon| balloon.update(Balloon::ask_statistics))
    }

    /// Whether statistics that were asked for have not come.
    #[must_use]
    pub fn awaits_statistics(&self) -> bool {
        self.balloon().is_some_and(|balloon| balloon.device().awaits_statistics())
    }

    /// What the guest tells of its free pages, where it has a balloon.
    #[must_use]
    pub fn free_pages(&self) -> Option<Arc<dyn FreePages>> {
        let balloon = Arc::clone(self.wiring.balloon.as_ref()?);
        Some(Arc::new(FreeReport::new(balloon, self.pages())))
    }
}

/// A balloon's report of free pages, in the engine's numbers.
struct FreeReport {
    balloon: Shared<VirtioMmio<Balloon>>,
    pages: Arc<GuestPages>,
    /// What has been taken out of the balloon of the open report.
    found: Mutex<PageSet>,
}

impl FreeReport {
    fn new(balloon: Shared<VirtioMmio<Balloon>>, pages: Arc<GuestPages>) -> Self {
        let found = Mutex::new(PageSet::empty(PageSource::pages(&*pages)));
        Self { balloon, pages, found }
    }

    fn balloon(&self) -> MutexGuard<'_, VirtioMmio<Balloon>> {
        self.balloon.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was found so far, with what `look` finds. Held over the look, so that nothing found for one report gets into
    /// another.
    fn found(&self, look: impl FnOnce(&mut Balloon) -> Vec<Range<u64>>) -> MutexGuard<'_, PageSet> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let more = look(self.balloon().device_mut());
        more.into_iter().for_each(|addresses| self.pages.add_numbers(addresses, &mut found));
        found
    }
}

impl FreePages for FreeReport {
    fn begin(&self) -> Result<(), HostError> {
        let mut found = self.found(Balloon::take_free);
        found.clear();
        self.balloon().update(Balloon::ask_free);
        Ok(())
    }

    fn is_awaited(&self) -> bool {
        self.balloon().device().awaits_free()
    }

    fn peek(&self, pages: Range<u32>, free: &mut PageSet) -> Result<(), HostError> {
        let found = self.found(Balloon::more_free);
        let pages = pages.start..pages.end.min(found.pages());
        found.runs_in(pages).for_each(|run| free.insert_range(run));
        Ok(())
    }

    fn take(&self, free: &mut PageSet) -> Result<(), HostError> {
        let mut found = self.found(Balloon::take_free);
        free.union(&found);
        found.clear();
        Ok(())
    }

    fn end(&self) -> Result<(), HostError> {
        self.balloon().update(Balloon::end_free);
        Ok(())
    }
}
