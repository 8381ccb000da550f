//! What is saved of a balloon. The memory that it holds is not: those pages are not populated, here or there.

use godwit_state::{Save, Schema, StateError};
use serde::{Deserialize, Serialize};

use super::{Balloon, report::FreeReport, statistics::StatisticsQueue};

/// Saved state, version 1.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct BalloonState {
    /// Pages of 4 KiB that the driver is asked for.
    pub target_pages: u32,
    /// Pages that it says it has given.
    pub actual_pages: u32,
    /// Generation of the configuration space.
    pub generation: u32,
    /// What the driver reads about free page hints.
    pub report_command: u32,
    /// The number of the last report of free pages.
    pub last_report: u32,
    /// Head of the chain of the driver's buffer for statistics, while the device keeps it.
    pub statistics_kept: Option<u16>,
}

impl Schema for BalloonState {
    const KIND: &'static str = "virtio-balloon";
    const VERSION: u16 = 1;
}

impl Save for Balloon {
    type State = BalloonState;

    fn save(&self) -> Result<BalloonState, StateError> {
        Ok(BalloonState {
            target_pages: self.target_pages,
            actual_pages: self.actual_pages,
            generation: self.generation,
            report_command: self.report.command(),
            last_report: self.report.last(),
            statistics_kept: self.statistics.kept(),
        })
    }

    fn restore(&mut self, state: &BalloonState) -> Result<(), StateError> {
        self.target_pages = state.target_pages;
        self.actual_pages = state.actual_pages;
        self.generation = state.generation;
        self.report = FreeReport::restore(state.report_command, state.last_report);
        self.statistics = StatisticsQueue::keeping(state.statistics_kept);
        Ok(())
    }
}
