//! One injection: where, what, in which migration. Everything else follows from its seed, so that a case can be played
//! again from its name.

use std::{fmt, str::FromStr, time::Duration};

use godwit_migration::preset::PRESETS;

use super::{
    fault::{FAULTS, Fault},
    point::{POINTS, Point, SEALED_POINTS},
    wire::MAX_DELAY,
};

/// Encodings that leave the frames to be seen: one that packs may hide the end of a round.
const ENCODINGS: [&str; 4] = ["none", "zero", "zero,rle", "zero,xbzrle,cache=4"];

/// A case; its name is `STEP/FAULT/LANES/PRESET/SEED`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The step.
    pub point: Point,
    /// The fault.
    pub fault: Fault,
    /// Lanes of the migration.
    pub lanes: u8,
    /// Its preset.
    pub preset: &'static str,
    /// Decides the guest, the moment, the bit, and what an operator does.
    pub seed: u64,
}

/// What a wire is to do.
#[derive(Clone, Debug)]
pub struct Injection {
    /// At this step.
    pub point: Point,
    /// This.
    pub fault: Fault,
    /// The lane that counts.
    pub lane: u8,
    /// After the message or frame has passed, rather than before it.
    pub after: bool,
    /// The middle of the first round is after so many bytes on lanes.
    pub middle_bytes: usize,
    /// The record of TLS that counts, by its number.
    pub record: u32,
    /// How late something is.
    pub delay: Duration,
    /// Decides the bit and the byte.
    pub seed: u64,
}

/// The guest of a case.
#[derive(Clone, Debug)]
pub struct GuestOf {
    /// Parameters of the load guest.
    pub parameters: String,
    /// Flags of `godwit run`.
    pub machine: [&'static str; 4],
}

impl Case {
    /// A number below `below` that belongs to `what`.
    ///
    /// # Panics
    /// Where `below` is 0.
    #[must_use]
    pub fn pick(&self, what: &str, below: u64) -> u64 {
        what.bytes().fold(mix(self.seed), |state, byte| mix(state ^ u64::from(byte))) % below
    }

    /// What the wire does.
    #[must_use]
    pub fn injection(&self) -> Injection {
        Injection {
            point: self.point,
            fault: self.fault,
            lane: self.pick("lane", u64::from(self.lanes)) as u8,
            after: self.pick("after", 2) == 1,
            middle_bytes: (1 + self.pick("middle", 32) as usize) << 16,
            record: 1 + self.pick("record", 7) as u32,
            delay: MAX_DELAY.mul_f64((1 + self.pick("delay", 100)) as f64 / 100.0),
            seed: self.pick("position", u64::MAX),
        }
    }

    /// Its guest: what memory it has and what it does with it.
    #[must_use]
    pub fn guest(&self) -> GuestOf {
        let memory = 4 + self.pick("memory", 5) * 2;
        let content = ["random", "text"][self.pick("content", 2) as usize];
        let working_set = 1 + self.pick("working set", 4);
        let rate = [0, 200, 1000, 3000][self.pick("rate", 4) as usize];
        let pattern = ["sequential", "uniform", "hotcold"][self.pick("pattern", 3) as usize];
        GuestOf {
            parameters: format!(
                "memory={memory}M content={content} working_set={working_set}M rate={rate} pattern={pattern} \
                 heartbeat=20 sweep=20 seed={}",
                self.seed % 1_000_000
            ),
            machine: ["--memory", "32M", "--cpus", if self.pick("cpus", 4) == 0 { "2" } else { "1" }],
        }
    }

    /// Flags of `godwit migrate`.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let encoding = ENCODINGS[self.pick("encoding", ENCODINGS.len() as u64) as usize];
        let flags = ["--lanes", &self.lanes.to_string(), "--preset", self.preset, "--encode", encoding];
        flags.map(str::to_owned).to_vec()
    }
}

/// All steps, those of TLS too.
fn steps() -> impl Iterator<Item = (&'static str, Point)> {
    POINTS.into_iter().chain(SEALED_POINTS)
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let point = steps().find(|(_, point)| *point == self.point).map_or("?", |(name, _)| name);
        let fault = FAULTS.iter().find(|(_, fault)| *fault == self.fault).map_or("?", |(name, _)| name);
        write!(f, "{point}/{fault}/{}/{}/{}", self.lanes, self.preset, self.seed)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let [point, fault, lanes, preset, seed] = text.split('/').collect::<Vec<_>>()[..] else {
            return Err(format!("'{text}' is no case; one is STEP/FAULT/LANES/PRESET/SEED"));
        };
        let names = |all: &[&str]| all.join(", ");
        let point = steps().find(|(name, _)| *name == point).ok_or_else(|| {
            let all: Vec<_> = steps().map(|(name, _)| name).collect();
            format!("there is no step '{point}'; there are: {}", names(&all))
        })?;
        let fault = FAULTS.iter().find(|(name, _)| *name == fault).ok_or_else(|| {
            format!("there is no fault '{fault}'; there are: {}", names(&FAULTS.map(|(name, _)| name)))
        })?;
        let preset = PRESETS.iter().find(|row| row.name == preset);
        Ok(Self {
            point: point.1,
            fault: fault.1,
            lanes: lanes.parse().map_err(|e| format!("'{lanes}' lanes cannot be: {e}"))?,
            preset: preset.ok_or_else(|| format!("there is no preset in '{text}'"))?.name,
            seed: seed.parse().map_err(|e| format!("'{seed}' is no seed: {e}"))?,
        })
    }
}

/// A number that looks like chance (SplitMix64, Steele 2014).
#[must_use]
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
