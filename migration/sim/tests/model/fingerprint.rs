//! A state as a number of 128 bits. Two states that share one are out of the question: with 100 million of them the
//! chance is under 10⁻²². States are hashed field by field, mostly bytes, where the library's hasher is slow.

use std::hash::{Hash, Hasher};

/// The number of `state`.
pub fn fingerprint(state: &impl Hash) -> u128 {
    let mut hasher = Wide(0x9E37_79B9_7F4A_7C15, 0xD1B5_4A32_D192_ED03);
    state.hash(&mut hasher);
    let Wide(a, b) = hasher;
    u128::from(mixed(a, b ^ 0x94D0_49BB_1331_11EB)) << 64 | u128::from(mixed(b, a ^ 0xBF58_476D_1CE4_E5B9))
}

/// Two hashes that are fed together.
struct Wide(u64, u64);

/// Both halves of a product, folded.
fn mixed(a: u64, b: u64) -> u64 {
    let product = u128::from(a | 1) * u128::from(b | 1);
    product as u64 ^ (product >> 64) as u64 ^ a.rotate_left(32) ^ b
}

impl Hasher for Wide {
    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..piece.len()].copy_from_slice(piece);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = mixed(self.0.wrapping_add(word), 0xA076_1D64_78BD_642F);
        self.1 = mixed(self.1 ^ word, 0xE703_7ED1_A0B4_28DB).wrapping_add(0x8EBC_6AF0_9C88_C6E3);
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(word.into());
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The hash of a fingerprint in a table: it is one already.
#[derive(Default)]
pub struct Already(u64);

impl Hasher for Already {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = self.0.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
