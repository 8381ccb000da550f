//! A deterministic mutator: bytes changed, cut, repeated, spliced from another seed.
//!
//! It knows no format, so that the tests of other packages can mutate by it, too.

/// Values that tend to stand at a limit.
pub const TELLING: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, 4, 7, 0x10];

/// A sequence of random choices (splitmix64).
pub struct Mutator(u64);

impl Mutator {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A random number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// A mutation of one of the seeds.
    pub fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        if self.below(8) == 0 {
            let other = &seeds[self.below(seeds.len())];
            let cut = self.below(input.len() + 1);
            input.truncate(cut);
            input.extend_from_slice(&other[self.below(other.len() + 1)..]);
        }
        for _ in 0..1 + self.below(4) {
            self.tamper(&mut input);
        }
        input
    }

    /// One change.
    pub fn tamper(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len());
        match self.below(6) {
            _ if input.is_empty() => input.push(self.next() as u8),
            0 => input[at] ^= 1 << self.below(8),
            1 => input[at] = TELLING[self.below(8)],
            2 => input[at] = self.next() as u8,
            3 => input.truncate(at),
            4 => {
                let to = (at + 1 + self.below(64)).min(input.len());
                let piece = input[at..to].to_vec();
                input.splice(at..at, piece);
            }
            _ => {
                let to = (at + 1 + self.below(64)).min(input.len());
                input.drain(at..to);
            }
        }
    }
}
