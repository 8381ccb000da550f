//! The target's memory in these tests.

use std::sync::Mutex;

use godwit_migration::{
    codec,
    error::LaneError,
    host::{HostError, PageBytes, PageSink},
    limits::PAGE_BYTES,
};

/// Pages of the guest.
pub const PAGES: u32 = 1024;

/// What a decoder may look at: pages that hold a pattern.
pub struct Held;

impl codec::Held for Held {
    fn read(&self, page: u32, into: &mut PageBytes) -> Result<(), LaneError> {
        into.fill(page as u8);
        Ok(())
    }
}

/// A memory that checks every page number, and remembers what was put where that is wanted.
pub struct Target(Mutex<State>);

struct State {
    memory: Vec<PageBytes>,
    puts: Option<Vec<(u32, u64)>>,
}

impl Target {
    /// One that remembers.
    pub fn recording() -> Self {
        Self::new(Some(vec![]))
    }

    /// One that only checks.
    pub fn checking() -> Self {
        Self::new(None)
    }

    fn new(puts: Option<Vec<(u32, u64)>>) -> Self {
        Self(Mutex::new(State { memory: vec![[0; PAGE_BYTES]; PAGES as usize], puts }))
    }

    /// Pages in the order in which they came, with a checksum of each.
    pub fn into_puts(self) -> Vec<(u32, u64)> {
        self.0.into_inner().expect("no panics").puts.unwrap_or_default()
    }
}

impl PageSink for Target {
    fn pages(&self) -> u32 {
        PAGES
    }

    fn put(&self, page: u32, bytes: &PageBytes) -> Result<(), HostError> {
        let mut state = self.0.lock().expect("no panics");
        state.memory[page as usize] = *bytes;
        if let Some(puts) = &mut state.puts {
            let words =
                bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")));
            let sum =
                words.fold(0u64, |sum, word| (sum.rotate_left(7) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            puts.push((page, sum));
        }
        Ok(())
    }

    fn get(&self, page: u32, into: &mut PageBytes) -> Result<(), HostError> {
        *into = self.0.lock().expect("no panics").memory[page as usize];
        Ok(())
    }

    fn put_zero(&self, page: u32) -> Result<(), HostError> {
        self.put(page, &[0; PAGE_BYTES])
    }
}
