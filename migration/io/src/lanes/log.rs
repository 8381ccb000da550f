//! What a lane has to do with the dirty log during a round: it arms what it is about to send, or leaves out what is dirty
//! again before it comes to it, or neither.

use std::time::Instant;

use godwit_migration::{
    arming,
    host::{DirtySource, HostError},
    page::{PageSet, Plan},
};

/// One part in so many of a lane's time goes into looking.
const PARTS: u32 = 20;

/// The log in a round.
pub(super) enum Log {
    /// Pages are armed, block by block.
    Arms { began: Instant },
    /// What is dirty again is left out.
    Skips(Redirtied),
    /// All of the plan goes.
    Ignored,
}

impl Log {
    /// The log in a round of `plan`, whose pages are armed as it goes, if it `arms`.
    pub(super) fn new(plan: &Plan, arms: bool) -> Self {
        if arms {
            Self::Arms { began: Instant::now() }
        } else if plan.skip_redirtied {
            Self::Skips(Redirtied::new(plan.pages.pages()))
        } else {
            Self::Ignored
        }
    }

    /// Before the first of `blocks`, those of the lane that are left, is copied. All lanes have sent about so many pages.
    pub(super) fn look(
        &mut self,
        dirty: &dyn DirtySource,
        plan: &Plan,
        blocks: &[u32],
        sent: u64,
    ) -> Result<(), HostError> {
        if let Self::Arms { began } = self {
            let goes_on = arming::pays(sent, began.elapsed());
            let now = if goes_on { &blocks[..1.min(blocks.len())] } else { blocks };
            for &block in now {
                dirty.arm(&plan.pages, Plan::block_range(block))?;
            }
            if !goes_on {
                *self = Self::new(plan, false);
            }
        }
        match self {
            Self::Skips(redirtied) => redirtied.look(dirty),
            Self::Arms { .. } | Self::Ignored => Ok(()),
        }
    }

    /// Whether `page` is known to be dirty again, and is to be left out.
    pub(super) fn has(&self, page: u32) -> bool {
        matches!(self, Self::Skips(redirtied) if redirtied.has(page))
    }
}

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
    fn new(pages: u32) -> Self {
        Self { pages: PageSet::empty(pages), due: Instant::now() }
    }

    /// Looks again, unless that was done a moment ago.
    fn look(&mut self, dirty: &dyn DirtySource) -> Result<(), HostError> {
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
    fn has(&self, page: u32) -> bool {
        self.pages.contains(page)
    }
}

#[cfg(test)]
mod log_test {
    use std::{
        ops::Range,
        sync::{
            Mutex,
            atomic::{AtomicU32, Ordering},
        },
        thread::sleep,
        time::Duration,
    };

    use godwit_migration::limits::BLOCK_PAGES;

    use super::*;

    const LOOK: Duration = Duration::from_millis(5);

    /// The log of a guest so large that a look takes its time; each look finds one page more.
    #[derive(Default)]
    struct Large {
        looks: AtomicU32,
        armed: Mutex<Vec<Range<u32>>>,
    }

    impl DirtySource for Large {
        fn name(&self) -> &'static str {
            "large"
        }

        fn begin(&self) -> Result<(), HostError> {
            Ok(())
        }

        fn arm(&self, _: &PageSet, range: Range<u32>) -> Result<(), HostError> {
            self.armed.lock().unwrap().push(range);
            Ok(())
        }

        fn harvest(&self, _: &mut PageSet) -> Result<(), HostError> {
            Ok(())
        }

        fn peek(&self, dirty: &mut PageSet) -> Result<(), HostError> {
            sleep(LOOK);
            dirty.insert_range(0..self.looks.fetch_add(1, Ordering::Relaxed) + 1);
            Ok(())
        }

        fn end(&self) -> Result<(), HostError> {
            Ok(())
        }
    }

    fn plan() -> Plan {
        Plan { skip_redirtied: true, ..Plan::all(PageSet::full(4 * BLOCK_PAGES)) }
    }

    #[test]
    fn looks_take_a_small_part_of_a_lane_s_time() {
        let (large, plan) = (Large::default(), plan());
        let mut log = Log::new(&plan, false);
        log.look(&large, &plan, &[0], 0).unwrap();
        assert!(log.has(0) && !log.has(1));
        let began = Instant::now();
        while !log.has(1) {
            log.look(&large, &plan, &[0], 0).unwrap();
        }
        assert!(began.elapsed() >= LOOK * PARTS, "it is looked again, and not before: {:?}", began.elapsed());
        assert!(large.armed.lock().unwrap().is_empty(), "all is armed");
    }

    #[test]
    fn a_round_arms_block_by_block_as_long_as_it_is_fast() {
        let (large, plan) = (Large::default(), plan());
        let mut log = Log::new(&plan, true);
        log.look(&large, &plan, &[3, 0, 2], 0).unwrap();
        sleep(Duration::from_millis(10));
        log.look(&large, &plan, &[0, 2], u64::MAX).unwrap();
        assert_eq!(*large.armed.lock().unwrap(), [Plan::block_range(3), Plan::block_range(0)]);
        assert!(
            !log.has(0) && large.looks.load(Ordering::Relaxed) == 0,
            "a page in the log may be not armed"
        );
    }

    #[test]
    fn a_round_that_is_slow_arms_the_rest_and_leaves_out_what_is_dirty_again() {
        let (large, plan) = (Large::default(), plan());
        let mut log = Log::new(&plan, true);
        sleep(Duration::from_millis(10));
        log.look(&large, &plan, &[3, 0], 1).unwrap();
        log.look(&large, &plan, &[0], 1).unwrap();
        assert_eq!(*large.armed.lock().unwrap(), [Plan::block_range(3), Plan::block_range(0)], "each once");
        assert!(log.has(0) && !log.has(1));
    }
}
