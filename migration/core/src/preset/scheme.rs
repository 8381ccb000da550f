//! A scheme to migrate by: a preset, read into parts, and what a user changed of it.

use super::{Observe, PRESETS, Preset, by_name};
use crate::{
    codec::Encoding,
    convergence::{Convergence, STOPS},
    order::{Arrange, ORDERS},
    part::Choice,
    policy::{POLICIES, Policy},
    slow::{SLOWS, Slow},
};

/// A scheme to migrate by.
#[derive(Clone, Debug)]
pub struct Scheme {
    /// What the user asked for, as it stands in reports: the preset and what was changed of it.
    pub name: String,
    /// The observation window.
    pub observe: Observe,
    /// Which owed pages.
    pub select: Choice<dyn Policy>,
    /// In which order.
    pub order: Choice<dyn Arrange>,
    /// When pre-copy is over.
    pub stop: Vec<Choice<dyn Convergence>>,
    /// Whether the guest is slowed.
    pub slow: Choice<dyn Slow>,
    /// How pages travel.
    pub encode: Encoding,
}

/// What a user changed of a preset, axis by axis, in the grammar of [`crate::part`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The select axis.
    pub select: Option<String>,
    /// The order axis.
    pub order: Option<String>,
    /// The stop axis.
    pub stop: Option<String>,
    /// The slow axis.
    pub slow: Option<String>,
    /// The encode axis.
    pub encode: Option<String>,
}

impl Default for Scheme {
    /// The default preset, unchanged.
    fn default() -> Self {
        Self::of(&PRESETS[0])
    }
}

impl Scheme {
    /// A preset, unchanged.
    #[must_use]
    pub fn of(preset: &'static Preset) -> Self {
        Self::read(preset).expect("presets name parts that there are")
    }

    /// Reads `preset` or `preset,parameter=value,…`, and changes whole axes as `overrides` says. A parameter is set on
    /// the first part of the row that has one of that name.
    ///
    /// # Errors
    /// A sentence that names what is wrong and what may stand there.
    pub fn parse(text: &str, overrides: &Overrides) -> Result<Self, String> {
        let mut words = text.split(',').map(str::trim);
        let preset = by_name(words.next().unwrap_or_default())?;
        let mut scheme = Self::read(preset)?;
        scheme.name = text.into();
        let Overrides { select, order, stop, slow, encode } = overrides;
        if let Some(text) = select {
            scheme.select = Choice::one("select", POLICIES, text)?;
        }
        if let Some(text) = order {
            scheme.order = Choice::one("order", ORDERS, text)?;
        }
        if let Some(text) = stop {
            scheme.stop = Choice::list("stop", STOPS, text)?;
        }
        if let Some(text) = slow {
            scheme.slow = Choice::one("slow", SLOWS, text)?;
        }
        if let Some(text) = encode {
            scheme.encode = Encoding::parse(text)?;
        }
        let changed =
            [("select", select), ("order", order), ("stop", stop), ("slow", slow), ("encode", encode)];
        for (axis, text) in changed.iter().filter_map(|(axis, text)| Some((axis, text.as_ref()?))) {
            scheme.name += &format!(" {axis}={text}");
        }
        words.try_for_each(|word| scheme.set(word))?;
        Ok(scheme)
    }

    fn read(preset: &'static Preset) -> Result<Self, String> {
        Ok(Self {
            name: preset.name.into(),
            observe: preset.observe,
            select: Choice::one("select", POLICIES, preset.select)?,
            order: Choice::one("order", ORDERS, preset.order)?,
            stop: Choice::list("stop", STOPS, preset.stop)?,
            slow: Choice::one("slow", SLOWS, preset.slow)?,
            encode: Encoding::parse(preset.encode)?,
        })
    }

    fn set(&mut self, word: &str) -> Result<(), String> {
        let (name, value) = word
            .split_once('=')
            .ok_or_else(|| format!("'{word}' follows a preset; only parameter=value may"))?;
        if self.select.has(name) {
            return self.select.set(name, value);
        }
        if self.order.has(name) {
            return self.order.set(name, value);
        }
        if let Some(stop) = self.stop.iter_mut().find(|stop| stop.has(name)) {
            return stop.set(name, value);
        }
        if self.encode.has(name) {
            return self.encode.set(name, value);
        }
        self.slow.set(name, value).map_err(|error| {
            if self.slow.has(name) {
                error
            } else {
                format!("no part of '{}' has a parameter '{name}'", self.name)
            }
        })
    }
}
