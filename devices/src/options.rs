//! A device's options as people write them: `key=value,key=value`.
//!
//! Every device's config parses itself from an [`Options`]: it takes the keys that it knows, and an error names the
//! key, what it holds and what may stand there. The keys and values are Cloud Hypervisor's where it has them.

use std::{fmt, path::PathBuf};

use thiserror::Error;

/// What is wrong with a device's options, in a sentence.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct OptionError(String);

impl OptionError {
    /// An error of these words.
    pub fn new(words: impl fmt::Display) -> Self {
        Self(words.to_string())
    }
}

/// The options of one device, to be taken key by key.
#[derive(Debug)]
pub struct Options<'a> {
    what: &'static str,
    values: Vec<(&'a str, &'a str)>,
}

impl<'a> Options<'a> {
    /// Splits `text`, the options of `what` (`a disk`), whose keys can only be the `known` ones, each once.
    ///
    /// # Errors
    /// For a piece without a value, an unknown key (with the known ones), and a key that comes twice.
    pub fn parse(what: &'static str, known: &[&str], text: &'a str) -> Result<Self, OptionError> {
        let mut values: Vec<(&str, &str)> = Vec::new();
        for piece in text.split(',').filter(|piece| !piece.is_empty()) {
            let Some((key, value)) = piece.split_once('=') else {
                return Err(OptionError(format!(
                    "'{piece}' has no value; {what} takes KEY=VALUE,KEY=VALUE with the keys {}",
                    known.join(", ")
                )));
            };
            if !known.contains(&key) {
                return Err(OptionError(format!("{what} has no '{key}'; its keys are {}", known.join(", "))));
            }
            if values.iter().any(|(earlier, _)| *earlier == key) {
                return Err(OptionError(format!("'{key}' is there twice")));
            }
            values.push((key, value));
        }
        Ok(Self { what, values })
    }

    /// The text of `key`, where it is there.
    pub fn text(&mut self, key: &str) -> Option<&'a str> {
        let at = self.values.iter().position(|(name, _)| *name == key)?;
        Some(self.values.swap_remove(at).1)
    }

    /// The value of `key` as `read` reads it, where it is there; `may_be` says what may stand there.
    ///
    /// # Errors
    /// Where `read` gives nothing.
    pub fn read<T>(
        &mut self,
        key: &str,
        may_be: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, OptionError> {
        let Some(value) = self.text(key) else { return Ok(None) };
        let wrong = || OptionError(format!("'{key}' of {} is '{value}'; it must be {may_be}", self.what));
        read(value).map(Some).ok_or_else(wrong)
    }

    /// A switch: `on` or `off` (`true` and `false` mean the same); off where it is not there.
    ///
    /// # Errors
    /// For any other value.
    pub fn switch(&mut self, key: &str) -> Result<bool, OptionError> {
        self.switch_or(key, false)
    }

    /// A switch that is `otherwise` where it is not there.
    ///
    /// # Errors
    /// For any other value than `on` or `off`.
    pub fn switch_or(&mut self, key: &str, otherwise: bool) -> Result<bool, OptionError> {
        let read = |value: &str| match value {
            "on" | "true" => Some(true),
            "off" | "false" => Some(false),
            _ => None,
        };
        Ok(self.read(key, "on or off", read)?.unwrap_or(otherwise))
    }

    /// A path, where it is there.
    ///
    /// # Errors
    /// For an empty one.
    pub fn path(&mut self, key: &str) -> Result<Option<PathBuf>, OptionError> {
        self.read(key, "a path", |value| (!value.is_empty()).then(|| value.into()))
    }

    /// A size in bytes, or a count: a whole number, with K, M, G or T (powers of 1024) or without.
    ///
    /// # Errors
    /// For anything else.
    pub fn size(&mut self, key: &str) -> Result<Option<u64>, OptionError> {
        self.read(key, "a whole number, with K, M, G or T or without", parse_size)
    }

    /// The error for a key that must be there.
    #[must_use]
    pub fn missing(&self, key: &str, example: &str) -> OptionError {
        OptionError(format!("{} needs '{key}', such as {key}={example}", self.what))
    }
}

/// A whole number with K, M, G or T (powers of 1024) or without.
fn parse_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}
