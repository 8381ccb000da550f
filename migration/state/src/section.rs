//! One saved thing, and the ordered set of all of them that makes a machine.

use serde::{Deserialize, Serialize};

use crate::{Schema, StateError};

/// Longest kind or instance name.
pub const MAX_NAME_BYTES: usize = 64;
/// Largest payload: a vCPU with every AVX-512 and AMX component is under 16 KiB, so this is generous.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;

/// A saved thing: what it is, which one, in which version, and its payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// [`Schema::KIND`] of the payload.
    pub kind: String,
    /// Which one of its kind: `vcpu0`, `com1`, `rng0`.
    pub instance: String,
    /// [`Schema::VERSION`] of the payload.
    pub version: u16,
    /// The payload, encoded by postcard.
    pub payload: Vec<u8>,
}

/// Most sections of a machine.
pub const MAX_SECTIONS: usize = 256;

impl Section {
    /// Encodes `state` as the section of `instance`.
    ///
    /// # Errors
    /// [`StateError::Malformed`] where the encoder refuses, [`StateError::Limit`] beyond the limits.
    pub fn of<S: Schema>(instance: &str, state: &S) -> Result<Self, StateError> {
        let payload = postcard::to_stdvec(state).map_err(|e| StateError::Malformed {
            kind: S::KIND.into(),
            instance: instance.into(),
            reason: e.to_string(),
        })?;
        let section = Self { kind: S::KIND.into(), instance: instance.into(), version: S::VERSION, payload };
        section.check_limits()?;
        Ok(section)
    }

    /// Decodes the payload, upgrading an older version.
    ///
    /// # Errors
    /// [`StateError::WrongKind`], [`StateError::Version`] or [`StateError::Malformed`].
    pub fn open<S: Schema>(&self) -> Result<S, StateError> {
        if self.kind != S::KIND {
            return Err(StateError::WrongKind {
                instance: self.instance.clone(),
                expected: S::KIND,
                found: self.kind.clone(),
            });
        }
        match self.version {
            v if v == S::VERSION => self.decode(),
            v if (S::OLDEST..S::VERSION).contains(&v) => S::upgrade(self),
            _ => Err(self.version_error::<S>()),
        }
    }

    /// Decodes the payload as `T` whatever the version says: for [`Schema::upgrade`].
    ///
    /// # Errors
    /// [`StateError::Malformed`], also where bytes are left over.
    pub fn decode<T: serde::de::DeserializeOwned>(&self) -> Result<T, StateError> {
        match postcard::take_from_bytes(&self.payload) {
            Ok((value, [])) => Ok(value),
            Ok((_, rest)) => Err(self.malformed(format!("{} bytes left over", rest.len()))),
            Err(e) => Err(self.malformed(e.to_string())),
        }
    }

    /// Decodes the first part of the payload as `T`, and gives what is behind it as a section of its own: for
    /// [`Schema::upgrade`] of a state that has another within.
    ///
    /// # Errors
    /// [`StateError::Malformed`].
    pub fn decode_first<T: serde::de::DeserializeOwned>(&self) -> Result<(T, Self), StateError> {
        let (first, rest) =
            postcard::take_from_bytes(&self.payload).map_err(|e| self.malformed(e.to_string()))?;
        let (kind, instance) = (self.kind.clone(), self.instance.clone());
        Ok((first, Self { kind, instance, version: self.version, payload: rest.to_vec() }))
    }

    /// The error for a version outside `S::OLDEST..=S::VERSION`.
    #[must_use]
    pub fn version_error<S: Schema>(&self) -> StateError {
        StateError::Version {
            kind: self.kind.clone(),
            instance: self.instance.clone(),
            found: self.version,
            oldest: S::OLDEST,
            newest: S::VERSION,
        }
    }

    fn malformed(&self, reason: String) -> StateError {
        StateError::Malformed { kind: self.kind.clone(), instance: self.instance.clone(), reason }
    }

    fn check_limits(&self) -> Result<(), StateError> {
        let over = if self.kind.len() > MAX_NAME_BYTES || self.instance.len() > MAX_NAME_BYTES {
            format!("a name is longer than {MAX_NAME_BYTES} bytes")
        } else if self.payload.len() > MAX_PAYLOAD_BYTES {
            format!("its payload of {} bytes is over the limit of {MAX_PAYLOAD_BYTES}", self.payload.len())
        } else {
            return Ok(());
        };
        Err(StateError::Limit { kind: self.kind.clone(), instance: self.instance.clone(), reason: over })
    }
}

/// The sections of a whole machine, in the order they were saved; each (kind, instance) once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sections(Vec<Section>);

impl From<Sections> for Vec<Section> {
    fn from(sections: Sections) -> Self {
        sections.0
    }
}

impl Sections {
    /// Checks limits and uniqueness of sections that came from outside.
    ///
    /// # Errors
    /// [`StateError::Limit`] naming the section.
    pub fn checked(sections: Vec<Section>) -> Result<Self, StateError> {
        if let Some(extra) = sections.get(MAX_SECTIONS) {
            return Err(StateError::Limit {
                kind: extra.kind.clone(),
                instance: extra.instance.clone(),
                reason: format!("there are more than {MAX_SECTIONS} sections"),
            });
        }
        let mut set = Self::default();
        for section in sections {
            set.push(section)?;
        }
        Ok(set)
    }

    /// Adds one.
    ///
    /// # Errors
    /// [`StateError::Limit`] beyond the limits or when the name is taken.
    pub fn push(&mut self, section: Section) -> Result<(), StateError> {
        section.check_limits()?;
        if self.get(&section.kind, &section.instance).is_some() {
            return Err(StateError::Limit {
                kind: section.kind,
                instance: section.instance,
                reason: "there are two of it".into(),
            });
        }
        self.0.push(section);
        Ok(())
    }

    /// Encodes `state` and adds it.
    ///
    /// # Errors
    /// As [`Section::of`] and [`Sections::push`].
    pub fn save<S: Schema>(&mut self, instance: &str, state: &S) -> Result<(), StateError> {
        self.push(Section::of(instance, state)?)
    }

    /// The typed state of `instance`.
    ///
    /// # Errors
    /// [`StateError::Missing`], or as [`Section::open`].
    pub fn open<S: Schema>(&self, instance: &str) -> Result<S, StateError> {
        self.get(S::KIND, instance)
            .ok_or_else(|| StateError::Missing { kind: S::KIND.into(), instance: instance.into() })?
            .open()
    }

    /// The section of that kind and instance.
    #[must_use]
    pub fn get(&self, kind: &str, instance: &str) -> Option<&Section> {
        self.0.iter().find(|s| s.kind == kind && s.instance == instance)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Section> {
        self.0.iter()
    }

    /// Number of sections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
