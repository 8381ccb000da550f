//! Settles what a source's process left open when it ended: `godwit resolve --state-dir`.
//!
//! The guest's memory went with that process, so what is decided is only where the guest may run from here on: at the target
//! that it was handed to, or, started afresh, here. Which protection the way there had is not on record; a target that cannot
//! be asked is therefore no reason to believe a person who did not say that it must be so.

use std::path::Path;

use godwit_transport::{
    address::Address,
    protection::Protection,
    question::{self, Wish},
    tls::SourceTls,
};

use super::resolve::verdict;
use crate::{
    api::Resolve,
    record::{Fate, Ledger, LeftOpen, RecordError},
};

/// Why nothing was settled.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The directory cannot be used, also because the process of it lives.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A name that is mistyped must not sound like good news.
    #[error("there is no state directory {0}; it is what --state-dir of the process that ended was")]
    NoDirectory(std::path::PathBuf),
    /// Nothing was left open.
    #[error(
        "there is nothing to resolve in {0}: no process that has ended handed its guest over without hearing of it"
    )]
    Nothing(std::path::PathBuf),
    /// The target did not answer.
    #[error("{open}: {why}. See that it can be asked, or look there yourself and say so with --force")]
    Silent {
        /// The migration.
        open: LeftOpen,
        /// What asking met with.
        why: String,
    },
}

/// What was settled.
#[derive(Debug)]
pub struct Settled {
    /// The migration.
    pub open: LeftOpen,
    /// What holds from now on.
    pub did: &'static str,
    /// Why.
    pub because: String,
    /// Whether that is what was wanted.
    pub as_wished: bool,
}

/// Settles all that is open in `dir`, one after the other.
///
/// # Errors
/// As [`SettleError`] says; what was settled before stays so.
pub async fn settle(
    dir: &Path,
    protection: &Protection<SourceTls>,
    Resolve { keep, force }: Resolve,
) -> Result<Vec<Settled>, SettleError> {
    if !dir.is_dir() {
        return Err(SettleError::NoDirectory(dir.to_owned()));
    }
    let mut ledger = Ledger::open(dir)?;
    let open = ledger.left_open();
    if open.is_empty() {
        return Err(SettleError::Nothing(dir.to_owned()));
    }
    let wish = if keep { Wish::Keep } else { Wish::Discard };
    let mut settled = vec![];
    for open in open {
        let answer = match (force, open.peer.parse::<Address>()) {
            (true, _) => Err("the target was not asked".into()),
            (false, Ok(to)) => question::ask(&to, protection, open.session, wish).await,
            (false, Err(error)) => Err(error.to_string()),
        };
        let answer = match answer {
            Err(why) if !force => return Err(SettleError::Silent { open, why }),
            answer => answer,
        };
        let (stays, because) = verdict(answer, keep);
        let (fate, did) = match stays {
            true => (Fate::TookBack, "the guest may be started here"),
            false => (Fate::Moved, "the guest is the target's"),
        };
        ledger.note(open.session, fate, &open.peer)?;
        settled.push(Settled { open, did, because, as_wished: stays == keep });
    }
    Ok(settled)
}
