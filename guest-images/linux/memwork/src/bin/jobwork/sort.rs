//! A sort in memory: numbers are drawn, sorted and looked at. All of their memory is written in every round.

use crate::{Done, Job, random::Random};

/// Numbers: 16 MiB of them.
const NUMBERS: usize = 2 << 20;

pub struct Sort {
    random: Random,
    numbers: Vec<u64>,
}

impl Sort {
    pub fn new() -> Self {
        Self { random: Random(1), numbers: vec![0; NUMBERS] }
    }
}

/// Sum and exclusive or of all, which no sort changes.
fn sums(numbers: &[u64]) -> (u64, u64) {
    numbers.iter().fold((0, 0), |(sum, xor), &n| (u64::wrapping_add(sum, n), xor ^ n))
}

impl Job for Sort {
    fn round(&mut self) -> Done {
        for number in &mut self.numbers {
            *number = self.random.next();
        }
        let drawn = sums(&self.numbers);
        self.numbers.sort_unstable();
        let mut wrong = vec![];
        if !self.numbers.is_sorted() {
            wrong.push("the numbers are not in order".into());
        }
        if sums(&self.numbers) != drawn {
            wrong.push("the numbers are not those that were drawn".into());
        }
        Done { work: NUMBERS as u64, wrong }
    }
}
