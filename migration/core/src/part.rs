//! Parts of a scheme and their parameters: one grammar for presets, the command line and the API.
//!
//! A part is written `name` or `name,parameter=value,…`; a list of parts is written one after the other, and a
//! parameter belongs to the part before it: `growth,factor=2,xen`.

use std::{fmt, time::Duration};

/// What a parameter may hold.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A whole number from the first to the second.
    Whole(u64, u64),
    /// A number from the first to the second.
    Real(f64, f64),
    /// A time, such as `250ms` or `2s`, from the first to the second.
    Time(Duration, Duration),
    /// One of these words.
    Word(&'static [&'static str]),
}

/// A parameter of a part.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// What it is where nobody says: a text that `kind` takes.
    pub default: &'static str,
    /// What it may hold.
    pub kind: Kind,
}

/// A value, of the kind that its parameter has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Whole(u64),
    Real(f64),
    Time(Duration),
    Word(&'static str),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(least, most) => write!(f, "a whole number from {least} to {most}"),
            Self::Real(least, most) => write!(f, "a number from {least} to {most}"),
            Self::Time(least, most) => {
                write!(f, "a time from {} to {}, such as 250ms or 2s", spelt(*least), spelt(*most))
            }
            Self::Word(words) => write!(f, "one of {}", words.join(", ")),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(n) => write!(f, "{n}"),
            Self::Real(n) => write!(f, "{n}"),
            Self::Time(time) => f.write_str(&spelt(*time)),
            Self::Word(word) => f.write_str(word),
        }
    }
}

impl Kind {
    fn read(self, text: &str) -> Option<Value> {
        match self {
            Self::Whole(least, most) => {
                text.parse().ok().filter(|n| (least..=most).contains(n)).map(Value::Whole)
            }
            Self::Real(least, most) => {
                text.parse().ok().filter(|n| (least..=most).contains(n)).map(Value::Real)
            }
            Self::Time(least, most) => time(text).filter(|t| (least..=most).contains(t)).map(Value::Time),
            Self::Word(words) => words.iter().find(|word| **word == text).map(|word| Value::Word(word)),
        }
    }
}

/// A time as people write it.
fn time(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s')?, 1.0),
    };
    let seconds = number.parse::<f64>().ok().filter(|n| n.is_finite())? * unit;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A time as [`time`] reads it.
fn spelt(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{}ms", time.as_secs_f64() * 1e3)
    } else {
        format!("{}s", time.as_secs_f64())
    }
}

/// The values of a part's parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Values(Vec<(&'static str, Value)>);

impl Values {
    fn defaults(params: &[Param]) -> Self {
        let read = |p: &Param| p.kind.read(p.default).expect("a default is of its parameter's kind");
        Self(params.iter().map(|p| (p.name, read(p))).collect())
    }

    fn get(&self, name: &str) -> Value {
        self.0.iter().find(|(n, _)| *n == name).expect("a part asks for parameters that its row names").1
    }

    /// A whole number.
    #[must_use]
    pub fn whole(&self, name: &str) -> u64 {
        match self.get(name) {
            Value::Whole(n) => n,
            _ => panic!("'{name}' is no whole number"),
        }
    }

    /// A number.
    #[must_use]
    pub fn real(&self, name: &str) -> f64 {
        match self.get(name) {
            Value::Real(n) => n,
            _ => panic!("'{name}' is no number"),
        }
    }

    /// A time.
    #[must_use]
    pub fn time(&self, name: &str) -> Duration {
        match self.get(name) {
            Value::Time(time) => time,
            _ => panic!("'{name}' is no time"),
        }
    }

    /// A word.
    #[must_use]
    pub fn word(&self, name: &str) -> &'static str {
        match self.get(name) {
            Value::Word(word) => word,
            _ => panic!("'{name}' is no word"),
        }
    }
}

/// A row of a registry: a part that presets name.
pub struct Row<T: ?Sized + 'static> {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// What can be set of it.
    pub params: &'static [Param],
    /// Makes one for a migration.
    pub make: fn(&Values) -> Box<T>,
}

/// A part that was chosen, with its parameters.
pub struct Choice<T: ?Sized + 'static> {
    row: &'static Row<T>,
    values: Values,
}

impl<T: ?Sized> Clone for Choice<T> {
    fn clone(&self) -> Self {
        Self { row: self.row, values: self.values.clone() }
    }
}

impl<T: ?Sized> fmt::Display for Choice<T> {
    /// As [`Choice::list`] reads it; parameters at their defaults are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row.name)?;
        let defaults = Values::defaults(self.row.params);
        let set = self.values.0.iter().zip(&defaults.0).filter(|(value, default)| value != default);
        set.into_iter().try_for_each(|((name, value), _)| write!(f, ",{name}={value}"))
    }
}

impl<T: ?Sized> fmt::Debug for Choice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<T: ?Sized> Choice<T> {
    /// The part, with its parameters at their defaults.
    #[must_use]
    pub fn new(row: &'static Row<T>) -> Self {
        Self { row, values: Values::defaults(row.params) }
    }

    /// Reads a list of parts of the `axis`, whose parts are `rows`.
    ///
    /// # Errors
    /// A sentence that names what is wrong and what may stand there.
    pub fn list(axis: &str, rows: &'static [Row<T>], text: &str) -> Result<Vec<Self>, String> {
        let mut parts: Vec<Self> = vec![];
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word.split_once('=') {
                Some((name, value)) => {
                    let part = parts.last_mut().ok_or_else(|| {
                        format!("'{word}' stands before any part of '{axis}' that it could belong to")
                    })?;
                    part.set(name, value)?;
                }
                None => {
                    let row = rows.iter().find(|row| row.name == word).ok_or_else(|| {
                        let names: Vec<_> = rows.iter().map(|row| row.name).collect();
                        format!("'{axis}' has no part '{word}'; there are: {}", names.join(", "))
                    })?;
                    parts.push(Self::new(row));
                }
            }
        }
        Ok(parts)
    }

    /// Reads exactly one part.
    ///
    /// # Errors
    /// As [`Choice::list`], and where there is another number of parts.
    pub fn one(axis: &str, rows: &'static [Row<T>], text: &str) -> Result<Self, String> {
        let parts = Self::list(axis, rows, text)?;
        <[Self; 1]>::try_from(parts)
            .map(|[part]| part)
            .map_err(|parts| format!("'{axis}' takes one part, and '{text}' names {}", parts.len()))
    }

    /// Whether the part has a parameter of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.row.params.iter().any(|param| param.name == name)
    }

    /// Sets a parameter.
    ///
    /// # Errors
    /// A sentence that names the part's parameters, or what the parameter may hold.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        let Some(param) = self.row.params.iter().find(|param| param.name == name) else {
            let names: Vec<_> = self.row.params.iter().map(|param| param.name).collect();
            let has = if names.is_empty() { "none".into() } else { names.join(", ") };
            return Err(format!("'{}' has no parameter '{name}'; it has {has}", self.row.name));
        };
        let value = param.kind.read(text).ok_or_else(|| {
            format!("'{name}' of '{}' is '{text}'; it must be {}", self.row.name, param.kind)
        })?;
        self.values.0.iter_mut().filter(|(n, _)| *n == name).for_each(|(_, v)| *v = value);
        Ok(())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.row.name
    }

    /// What it does, in a line.
    #[must_use]
    pub fn about(&self) -> &'static str {
        self.row.about
    }

    /// Its parameters.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Makes the part for a migration.
    #[must_use]
    pub fn make(&self) -> Box<T> {
        (self.row.make)(&self.values)
    }
}
