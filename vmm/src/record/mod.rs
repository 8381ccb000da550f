//! What this side knows of migrations that are over or were handed over: in memory, and with `--state-dir` on disk, where
//! a process that is started again finds it.
//!
//! A record is written before the step that it is about: a source's `gave up` before `Go` leaves, a target's `runs` before
//! a vCPU does. So a record may say more than has happened, and never less. The neighbour `control` takes the steps;
//! [`mod@file`] knows the bytes.

mod file;
#[cfg(test)]
mod record_test;

use std::{collections::HashMap, fmt, path::Path};

use godwit_migration::wire::Answer;
use serde::{Deserialize, Serialize};

pub use file::{RecordError, StateDir};

/// What became of a guest, as far as this side knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Here is its source: the right to run was given up.
    GaveUp,
    /// Here is its source: the right to run is here again.
    TookBack,
    /// Here is its source: it runs at the target, or was let go.
    Moved,
    /// Here is its target: a migration has begun, and the guest has never run here.
    Begun,
    /// Here is its target: the right to run was taken.
    Runs,
    /// Here is its target: the guest never ran here and never will.
    Never(String),
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What became of the guest.
    pub fate: Fate,
    /// The other side, in words.
    pub peer: String,
}

/// All that is known, by session.
#[derive(Default)]
pub struct Ledger {
    known: HashMap<u128, Known>,
    dir: Option<StateDir>,
}

struct Known {
    record: Record,
    /// Whether an earlier process wrote it.
    earlier: bool,
}

impl Ledger {
    /// What earlier processes have put on record in `dir`, which is this process's alone from now on.
    ///
    /// # Errors
    /// The directory cannot be used, another process uses it, or a record in it is not one.
    pub fn open(dir: &Path) -> Result<Self, RecordError> {
        let dir = StateDir::open(dir)?;
        let known = dir
            .load()?
            .into_iter()
            .map(|(session, record)| (session, Known { record, earlier: true }))
            .collect();
        Ok(Self { known, dir: Some(dir) })
    }

    /// Puts on record what became of the guest of `session`; it is durable when this returns.
    ///
    /// # Errors
    /// It cannot be written. What was known before still is.
    pub fn note(&mut self, session: u128, fate: Fate, peer: &str) -> Result<(), RecordError> {
        let record = Record { fate, peer: peer.into() };
        if let Some(dir) = &self.dir {
            let before = self.known.get(&session).map(|known| &known.record);
            dir.write(session, &record, before)?;
        }
        self.known.insert(session, Known { record, earlier: false });
        Ok(())
    }

    /// As [`note`](Self::note), where the step cannot wait for it, or has been taken: what cannot be written is known to
    /// this process at least.
    pub fn remember(&mut self, session: u128, fate: Fate, peer: &str) {
        if let Err(error) = self.note(session, fate.clone(), peer) {
            tracing::warn!("what became of a migration is not on record: {error}");
            let record = Record { fate, peer: peer.into() };
            self.known.insert(session, Known { record, earlier: false });
        }
    }

    /// What a target says of the guest of `session`.
    #[must_use]
    pub fn answer(&self, session: u128) -> Answer {
        match self.known.get(&session) {
            Some(Known { record: Record { fate: Fate::Runs, .. }, earlier: false }) => Answer::Runs,
            Some(Known { record: Record { fate: Fate::Runs, .. }, earlier: true }) => Answer::Ended,
            Some(Known { record: Record { fate: Fate::Never(why), .. }, .. }) => Answer::Never(why.clone()),
            Some(Known { record: Record { fate: Fate::Begun, .. }, earlier: true }) => {
                Answer::Never("its process ended before it was told to run the guest".into())
            }
            _ => Answer::Unknown,
        }
    }

    /// What earlier processes handed over without hearing what became of it.
    #[must_use]
    pub fn left_open(&self) -> Vec<LeftOpen> {
        let open = self.known.iter().filter(|(_, known)| known.earlier && known.record.fate == Fate::GaveUp);
        let mut open: Vec<_> =
            open.map(|(&session, known)| LeftOpen { session, peer: known.record.peer.clone() }).collect();
        open.sort_by_key(|open| open.session);
        open
    }
}

/// A guest that an earlier process handed over without hearing what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOpen {
    /// The migration.
    pub session: u128,
    /// The target, as it was named.
    pub peer: String,
}

impl fmt::Display for LeftOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, peer } = self;
        write!(
            f,
            "an earlier process handed its guest over to {peer} (migration {session:032x}) and ended before it heard what \
             became of it; the guest is there or nowhere"
        )
    }
}
