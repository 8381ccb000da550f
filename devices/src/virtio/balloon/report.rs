//! A report of free pages, as a migration asks for it: free page hinting (virtio 1.2 §5.5.6.7), and what is given back
//! meanwhile.
//!
//! A migration wants pages that were free at some moment after it asked, and before it takes the answer: what the guest
//! writes to them later, it will find in its harvests. So the report is a window, open from [`FreeReport::ask`] to
//! [`FreeReport::take`], and nothing outside of it is kept.
//! - A page that is inflated or reported is the device's at the very moment at which it is served, so it counts when
//!   the window is open then.
//! - A hint may have waited in the queue for long, and its page been taken back meanwhile. It counts only behind the
//!   driver's word that it is answering *this* report, whose number it has read after the window was opened.
//!
//! Hints are advice: what there is no room for is left out.

use std::ops::Range;

use virtio_queue::desc::split::Descriptor;
use vm_memory::Bytes;

use super::pages;
use crate::{GuestMemory, virtio::ServeError};

/// Command: no report is wanted; also the driver's word that it has ended one.
const STOP: u32 = 0;
/// Command: the driver may have back what it has set aside.
const DONE: u32 = 1;
/// The first number of a report.
const FIRST: u32 = 2;
/// Most runs of pages that are kept: 256 GiB in blocks of 4 MiB, none next to the other.
const MAX_RUNS: usize = 64 << 10;

/// Where the driver is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Driver {
    /// It was not asked, or what it tells is of no use any more.
    #[default]
    Idle,
    /// It was asked, and has not begun.
    Asked,
    /// It tells.
    Telling,
}

/// Free pages since somebody asked.
#[derive(Debug, Default)]
pub struct FreeReport {
    /// What the driver reads: a report's number, or one of the two other commands.
    command: u32,
    /// The number of the last report: a driver answers only one that it has not seen.
    last: u32,
    driver: Driver,
    is_open: bool,
    runs: Vec<Range<u64>>,
}

impl FreeReport {
    /// What the driver reads in the configuration space.
    pub fn command(&self) -> u32 {
        self.command
    }

    /// The number of the last report.
    pub fn last(&self) -> u32 {
        self.last
    }

    /// Takes over where a driver stands; what was reported elsewhere is of no use here.
    pub fn restore(command: u32, last: u32) -> Self {
        Self { command, last, ..Self::default() }
    }

    /// Opens the window, and asks the driver where it gives `hints`.
    pub fn ask(&mut self, hints: bool) {
        self.runs.clear();
        self.is_open = true;
        if hints {
            self.last = self.last.wrapping_add(1).max(FIRST);
            self.command = self.last;
            self.driver = Driver::Asked;
        }
    }

    /// Whether the driver has yet to tell of what is free.
    pub fn is_awaited(&self) -> bool {
        self.is_open && self.driver != Driver::Idle
    }

    /// What has come since it was looked at last; the window stays as it is.
    pub fn more(&mut self) -> Vec<Range<u64>> {
        std::mem::take(&mut self.runs)
    }

    /// Closes the window; what was free while it was open, and was not looked at.
    pub fn take(&mut self) -> Vec<Range<u64>> {
        self.is_open = false;
        self.driver = Driver::Idle;
        std::mem::take(&mut self.runs)
    }

    /// Ends all reports; whether the driver's command has changed by it.
    pub fn end(&mut self) -> bool {
        self.take();
        let had_asked = self.command >= FIRST;
        if had_asked {
            self.command = DONE;
        }
        had_asked
    }

    /// The driver has been reset: it has set nothing aside, and has seen no number.
    pub fn forget(&mut self) {
        *self = Self { last: self.last, is_open: self.is_open, ..Self::default() };
    }

    /// Adds pages that are free now.
    pub fn add(&mut self, pages: Range<u64>) {
        if !self.is_open || pages.is_empty() {
            return;
        }
        let has_room = self.runs.len() < MAX_RUNS;
        match self.runs.last_mut() {
            Some(last) if last.end == pages.start => last.end = pages.end,
            Some(last) if pages.end == last.start => last.start = pages.start,
            _ if has_room => self.runs.push(pages),
            _ => {}
        }
    }

    /// Takes a chain of the hints' queue: numbers of reports in what is to be read, free blocks in what is to be written.
    ///
    /// # Errors
    /// [`ServeError::Chain`].
    pub fn hinted(&mut self, buffers: &[Descriptor], memory: &GuestMemory) -> Result<(), ServeError> {
        for buffer in buffers {
            if buffer.is_write_only() {
                self.add_hint(buffer);
            } else {
                if buffer.len() != 4 {
                    return Err(ServeError::Chain("has no number of a report in four bytes"));
                }
                let number = memory.read_obj(buffer.addr()).map_err(virtio_queue::Error::GuestMemory)?;
                self.heard(u32::from_le_bytes(number));
            }
        }
        Ok(())
    }

    fn add_hint(&mut self, buffer: &Descriptor) {
        if self.driver == Driver::Telling {
            self.add(pages::whole_pages(buffer));
        }
    }

    /// The driver begins a report, or ends one.
    fn heard(&mut self, number: u32) {
        self.driver = match (self.driver, number) {
            (Driver::Asked, number) if number == self.command => Driver::Telling,
            (Driver::Telling, STOP) => Driver::Idle,
            // The end of an older report, or the beginning of one.
            (driver, _) => driver,
        };
    }
}
