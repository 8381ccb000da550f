//! What stands in a block, and what may. It knows no disk.

/// Bytes of a block: several sectors, so that one that was written in part is found.
pub const BLOCK_BYTES: usize = 16 << 10;
const SECTOR_BYTES: usize = 512;
/// What direct I/O wants its memory to be aligned to.
const ALIGN: usize = 4096;

/// Memory for a block, aligned for direct I/O.
pub struct Aligned {
    memory: Vec<u8>,
    begin: usize,
}

impl Aligned {
    pub fn new() -> Self {
        let memory = vec![0; BLOCK_BYTES + ALIGN];
        let begin = memory.as_ptr().align_offset(ALIGN);
        Self { memory, begin }
    }

    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.begin..self.begin + BLOCK_BYTES]
    }
}

/// A block of the disk.
pub struct Block {
    /// Where it is.
    pub number: u64,
    /// The last write that was answered; none before the first.
    stands: Option<u64>,
    /// Of the writes up to this one, those behind `stands` may have been made in part: nobody has said.
    tried: u64,
}

impl Block {
    pub fn new(number: u64) -> Self {
        Self { number, stands: None, tried: 0 }
    }

    /// Fills `bytes` for the next write.
    pub fn fill_next(&mut self, bytes: &mut [u8]) {
        self.tried += 1;
        for (sector, bytes) in (0..).zip(bytes.chunks_mut(SECTOR_BYTES)) {
            let words = bytes.chunks_exact_mut(8);
            words
                .zip(pattern(self.number, sector, self.tried))
                .for_each(|(word, value)| word.copy_from_slice(&value.to_le_bytes()));
        }
    }

    /// The write that was filled in last was answered, or failed.
    pub fn was_written(&mut self, well: bool) {
        if well {
            self.stands = Some(self.tried);
        }
    }

    /// What is wrong with `bytes`, that were read from it.
    pub fn check(&self, bytes: &[u8]) -> Result<(), String> {
        // What stood there before the first write is not ours to know.
        let Some(stands) = self.stands else { return Ok(()) };
        for (sector, bytes) in (0..).zip(bytes.chunks(SECTOR_BYTES)) {
            let is = |version| {
                bytes
                    .chunks_exact(8)
                    .zip(pattern(self.number, sector, version))
                    .all(|(word, value)| word == value.to_le_bytes())
            };
            if !(stands..=self.tried).any(is) {
                let (block, head) = (self.number, &bytes[..8]);
                return Err(format!(
                    "block {block}, sector {sector} is not of write {stands} to {}, it begins {head:x?}",
                    self.tried
                ));
            }
        }
        Ok(())
    }
}

/// The words of a sector: its place and the number of the write in all of them.
fn pattern(block: u64, sector: u64, version: u64) -> impl Iterator<Item = u64> {
    let seed = (block << 40 | sector << 32 | version).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..(SECTOR_BYTES / 8) as u64).map(move |word| (seed ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_answered_stands_and_what_failed_may() {
        let (mut block, mut old, mut new) = (Block::new(7), vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
        block.fill_next(&mut old);
        assert!(block.check(&new).is_ok(), "nothing is known yet");
        block.was_written(true);
        assert!(block.check(&old).is_ok());
        assert!(block.check(&new).is_err());
        block.fill_next(&mut new);
        block.was_written(false);
        assert!(block.check(&old).is_ok() && block.check(&new).is_ok());
        let torn = [&new[..SECTOR_BYTES], &old[SECTOR_BYTES..]].concat();
        assert!(block.check(&torn).is_ok(), "in part");
        block.was_written(true);
        assert!(block.check(&new).is_ok());
        assert!(block.check(&torn).is_err() && block.check(&old).is_err());
    }

    #[test]
    fn a_sector_is_no_other_blocks_or_places() {
        let (mut block, mut bytes) = (Block::new(7), vec![0; BLOCK_BYTES]);
        block.fill_next(&mut bytes);
        block.was_written(true);
        let mut other = Block::new(8);
        other.fill_next(&mut vec![0; BLOCK_BYTES]);
        other.was_written(true);
        assert!(other.check(&bytes).is_err());
        bytes.rotate_left(SECTOR_BYTES);
        assert!(block.check(&bytes).is_err());
    }

    #[test]
    fn memory_is_aligned() {
        assert_eq!(Aligned::new().bytes().as_ptr().align_offset(ALIGN), 0);
    }
}
