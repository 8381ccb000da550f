//! A computation with a known answer, carried along in small steps: an integer chain, and a floating-point one whose
//! state lives in vector registers. A register lost in a pause changes the answer.

/// Steps to an answer.
pub const STEPS: u32 = 100_000;
/// The integer answer after [`STEPS`].
const INTEGER: u64 = 0xdeaf_6465_dc02_951c;
/// The bits of the floating-point answer after [`STEPS`]; IEEE 754 makes them the same everywhere.
const FLOAT_BITS: u64 = 0x3fed_0e0a_83c9_319a;

/// A computation under way.
#[derive(Debug, Clone)]
pub struct Chain {
    steps: u32,
    integer: u64,
    float: f64,
}

impl Chain {
    /// At its first step.
    pub const fn new() -> Self {
        Self { steps: 0, integer: 0x9e37_79b9_7f4a_7c15, float: 0.5 }
    }

    /// Goes on by `count` steps. With the last of them, says whether the answer is right, and starts again.
    pub fn advance(&mut self, count: u32) -> Option<bool> {
        let count = count.min(STEPS - self.steps);
        for _ in 0..count {
            self.integer ^= self.integer << 13;
            self.integer ^= self.integer >> 7;
            self.integer ^= self.integer << 17;
            // The logistic map: chaotic, so that an error in the last bit grows into all of them.
            self.float *= 3.75 * (1.0 - self.float);
        }
        self.steps += count;
        if self.steps < STEPS {
            return None;
        }
        let right = self.integer == INTEGER && self.float.to_bits() == FLOAT_BITS;
        *self = Self::new();
        Some(right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_right_however_it_is_cut() {
        for count in [STEPS, 1000, 777] {
            let mut chain = Chain::new();
            let answer = std::iter::repeat_with(|| chain.advance(count)).flatten().next();
            assert_eq!(answer, Some(true), "in steps of {count}");
        }
    }

    #[test]
    fn a_lost_bit_makes_it_wrong() {
        let mut chain = Chain::new();
        chain.advance(5);
        chain.integer ^= 1;
        assert_eq!(chain.advance(STEPS), Some(false));
        chain.advance(5);
        chain.float = f64::from_bits(chain.float.to_bits() ^ 1);
        assert_eq!(chain.advance(STEPS), Some(false));
        assert_eq!(chain.advance(STEPS), Some(true));
    }
}
