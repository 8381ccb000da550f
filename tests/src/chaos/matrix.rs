//! Lists of cases: every step with every fault that fits it, again and again with other seeds.

use godwit_migration::preset::PRESETS;

use super::{
    case::{Case, mix},
    fault::{FAULTS, Fault},
    point::{POINTS, SEALED_POINTS},
};

/// A preset whose only round is the last.
const ONE_ROUND: &str = "non-live";

/// What the program under test has that cases can be about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Has {
    /// TLS.
    pub tls: bool,
    /// Durable records.
    pub records: bool,
}

/// `count` cases, the same for the same `seed`; steps of TLS and full disks are among them where the
/// program `has` them. Each pass goes through all steps and faults; lanes and presets take
/// turns, so that no two cases of a list are alike.
#[must_use]
pub fn cases(count: usize, seed: u64, has: Has) -> Vec<Case> {
    let sealed = SEALED_POINTS.iter().filter(|_| has.tls);
    let pairs: Vec<_> = POINTS
        .iter()
        .chain(sealed)
        .flat_map(|(_, point)| FAULTS.iter().map(move |(_, fault)| (*point, *fault)))
        .filter(|(point, fault)| fault.fits(*point) && (has.records || !matches!(fault, Fault::FullDisk(_))))
        .collect();
    let presets = |rounds| move |name: &&str| !(rounds && *name == ONE_ROUND);
    (0..count)
        .map(|number| {
            let (pass, place) = (number / pairs.len(), number % pairs.len());
            let (point, fault) = pairs[place];
            let seed = mix(seed ^ mix(number as u64)) % 1_000_000_000;
            let names: Vec<_> =
                PRESETS.iter().map(|row| row.name).filter(presets(point.wants_rounds())).collect();
            let preset = names[(mix(seed) % names.len() as u64) as usize];
            let lanes = 1 + ((place / FAULTS.len() + place + pass) % 2) as u8;
            Case { point, fault, lanes, preset, seed }
        })
        .collect()
}
