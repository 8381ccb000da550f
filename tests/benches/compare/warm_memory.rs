//! Memory that costs everybody the same.

use anyhow::{Context, Result};
use memmap2::{Advice, MmapMut};

/// Memory touched here and given back at the moment a move begins, more than the move needs.
///
/// Where this machine's memory is itself virtual, the machine under it takes back what lies fallow for a second or two, and a
/// page costs ten times as much when it is touched again: without this, that lottery is all that a total time tells. It is
/// touched by huge pages, as both contestants take theirs. What comes free by small pages joins older blocks, which may
/// be cold: then the lottery goes on.
pub struct WarmMemory {
    _held: MmapMut,
}

impl WarmMemory {
    const BYTES: usize = 2 << 30;

    pub fn take() -> Result<Self> {
        let mut held = MmapMut::map_anon(Self::BYTES).context("memory to warm up")?;
        held.advise(Advice::HugePage).context("huge pages for the memory to warm up")?;
        held.fill(1);
        Ok(Self { _held: held })
    }
}
