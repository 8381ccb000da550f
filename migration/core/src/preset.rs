//! Presets: a published scheme as one row of choices.

use crate::{
    codec::{self, CodecRow},
    convergence::{STOPS, StopRow},
    policy::{POLICIES, PolicyRow},
};

/// A scheme: which pages, when to stop, how pages travel.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// What `--preset` takes.
    pub name: &'static str,
    /// Where it was published.
    pub source: &'static str,
    /// Select and order: a name in [`POLICIES`].
    pub select: &'static str,
    /// Stop: names in [`STOPS`]; the first that fires wins.
    pub stop: &'static [&'static str],
    /// Encode: names in [`codec::CODECS`], tried in this order; what all decline goes raw.
    pub encode: &'static [&'static str],
}

/// All presets; the first is the default.
pub static PRESETS: &[Preset] = &[
    Preset {
        name: "precopy",
        source: "pre-copy as QEMU does it",
        select: "all",
        stop: &["downtime-budget"],
        encode: &["zero"],
    },
    Preset {
        name: "clark2005",
        source: "Clark et al., Live Migration of Virtual Machines, NSDI 2005 (Xen)",
        select: "skip-redirtied",
        stop: &["xen"],
        encode: &[],
    },
];

/// The preset of that name.
///
/// # Errors
/// A sentence that lists the names there are.
pub fn by_name(name: &str) -> Result<&'static Preset, String> {
    PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
        let names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
        format!("there is no preset '{name}'; there are: {}", names.join(", "))
    })
}

impl Preset {
    /// The row of its policy.
    pub(crate) fn policy(&self) -> &'static PolicyRow {
        POLICIES.iter().find(|row| row.name == self.select).expect("presets name registered policies")
    }

    /// The rows of its stop rules.
    pub(crate) fn stops(&self) -> impl Iterator<Item = &'static StopRow> + '_ {
        self.stop
            .iter()
            .map(|name| STOPS.iter().find(|row| row.name == *name).expect("presets name registered rules"))
    }

    /// The rows of its coders, in the order they are tried.
    #[must_use]
    pub fn coders(&self) -> Vec<&'static CodecRow> {
        self.encode.iter().map(|name| codec::by_name(name).expect("presets name registered codecs")).collect()
    }
}

#[cfg(test)]
mod preset_test {
    use super::*;

    #[test]
    fn every_part_that_a_preset_names_is_registered_and_names_are_unique() {
        for (i, preset) in PRESETS.iter().enumerate() {
            assert!(PRESETS[i + 1..].iter().all(|other| other.name != preset.name));
            assert_eq!(preset.policy().name, preset.select);
            assert_eq!(preset.stops().count(), preset.stop.len());
            assert_eq!(preset.coders().len(), preset.encode.len());
        }
    }

    #[test]
    fn an_unknown_preset_is_answered_with_those_there_are() {
        assert_eq!(
            by_name("postcopy").unwrap_err(),
            "there is no preset 'postcopy'; there are: precopy, clark2005"
        );
    }
}
