//! Pages of the round that are dirty again before a lane comes to them.

use std::time::Instant;

use godwit_migration::{
    host::{DirtySource, HostError},
    page::PageSet,
};

/// One part in so many of a lane's time goes into looking.
const PARTS: u32 = 20;

/// What a lane knows of the writes since the last harvest.
///
/// A look is at the whole guest, and costs more the larger that is: with one for each block the round of a large guest would
/// be nothing but looks. What was seen stays true until the next harvest, which comes after the round.
pub(super) struct Redirtied {
    pages: PageSet,
    /// When it is worth to look again.
    due: Instant,
}

impl Redirtied {
    /// Of a guest of `pages` pages nothing is known yet.
    pub(super) fn new(pages: u32) -> Self {
        Self { pages: PageSet::empty(pages), due: Instant::now() }
    }

    /// Looks again, unless that was done a moment ago.
    pub(super) fn look(&mut self, dirty: &dyn DirtySource) -> Result<(), HostError> {
        let began = Instant::now();
        if began < self.due {
            return Ok(());
        }
        self.pages.clear();
        dirty.peek(&mut self.pages)?;
        let now = Instant::now();
        self.due = now + (now - began) * (PARTS - 1);
        Ok(())
    }

    /// Whether `page` is known to be dirty again.
    pub(super) fn has(&self, page: u32) -> bool {
        self.pages.contains(page)
    }
}

#[cfg(test)]
mod redirtied_test {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    use super::*;

    const LOOK: Duration = Duration::from_millis(5);

    /// The log of a guest so large that a look takes its time; each look finds one page more.
    #[derive(Default)]
    struct Large(AtomicU32);

    impl DirtySource for Large {
        fn name(&self) -> &'static str {
            "large"
        }

        fn begin(&self) -> Result<(), HostError> {
            Ok(())
        }

        fn harvest(&self, _: &mut PageSet) -> Result<(), HostError> {
            Ok(())
        }

        fn peek(&self, dirty: &mut PageSet) -> Result<(), HostError> {
            std::thread::sleep(LOOK);
            dirty.insert_range(0..self.0.fetch_add(1, Ordering::Relaxed) + 1);
            Ok(())
        }

        fn end(&self) -> Result<(), HostError> {
            Ok(())
        }
    }

    #[test]
    fn looks_take_a_small_part_of_a_lane_s_time() {
        let (large, mut redirtied) = (Large::default(), Redirtied::new(64));
        redirtied.look(&large).unwrap();
        assert!(redirtied.has(0) && !redirtied.has(1));
        let began = Instant::now();
        while !redirtied.has(1) {
            redirtied.look(&large).unwrap();
        }
        assert!(began.elapsed() >= LOOK * PARTS, "it is looked again, and not before: {:?}", began.elapsed());
    }
}
