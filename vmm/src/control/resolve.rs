//! Serves `vm.resolve-migration`: a person's word on a guest of which this side cannot know what became of it.
//!
//! At a source that gave the right to run up and heard no answer, the target is asked first. What it says counts, whatever
//! the person wanted: only where it cannot be asked, or cannot tell, or with `force`, the person's word does. At a target
//! that holds a guest, ready, whose source said nothing, the person's word counts as soon as the source is out of reach.

use std::{sync::Arc, time::Duration};

use godwit_migration::wire::Answer as Told;
use godwit_transport::{
    address::Address,
    handle::Handle,
    protection::Protection,
    question::{self, Wish},
    tls::SourceTls,
};
use serde_json::json;

use super::{Ending, Guest, Ongoing, Tenure, Vmm, notice};
use crate::{
    api::{Answer, Refusal, Resolve, Unsettled},
    record::Fate,
};

/// How long a target may take to do as it is told.
const DECISION_TIMEOUT: Duration = Duration::from_secs(20);

/// A migration that ended as unknown.
pub(super) struct Open {
    pub(super) session: u128,
    pub(super) to: Address,
    pub(super) protection: Protection<SourceTls>,
    /// What happened, in words.
    pub(super) known: String,
}

impl Open {
    pub(super) fn unsettled(&self) -> Unsettled {
        Unsettled {
            outcome: "unknown".into(),
            session: format!("{:032x}", self.session),
            peer: self.to.to_string(),
            known: self.known.clone(),
        }
    }
}

/// Held while the target is asked: nothing else is done to the guest meanwhile.
struct Asking(Arc<Vmm>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.now().ongoing = None;
    }
}

pub(super) async fn resolve(vmm: &Arc<Vmm>, request: Resolve) -> Result<Answer, Refusal> {
    let arriving = match &vmm.now().ongoing {
        Some(Ongoing::Incoming(handle, _)) => Some(handle.clone()),
        _ => None,
    };
    match arriving {
        Some(handle) => at_target(vmm, &handle, request).await,
        None => at_source(vmm, request).await,
    }
}

async fn at_source(vmm: &Arc<Vmm>, Resolve { keep, force }: Resolve) -> Result<Answer, Refusal> {
    let (open, _asking) = {
        let mut now = vmm.now();
        now.nothing_ongoing()?;
        let Some(open) = now.open.clone().filter(|_| matches!(now.guest, Guest::Surrendered(_))) else {
            let earlier = vmm.ledger().left_open();
            let mut words = format!("there is nothing to resolve: {}", now.guest.words());
            earlier.iter().for_each(|earlier| words += &format!("; {earlier}"));
            return Err(Refusal::wrong_state(words));
        };
        now.ongoing = Some(Ongoing::Resolving);
        (open, Asking(Arc::clone(vmm)))
    };
    let wish = if keep { Wish::Keep } else { Wish::Discard };
    let answer = match force {
        true => Err("the target was not asked".into()),
        false => question::ask(&open.to, &open.protection, open.session, wish).await,
    };
    let (stays, because) = verdict(answer, keep);
    let did = if stays {
        let resumed = {
            let mut now = vmm.now();
            now.guest.take_back();
            now.open = None;
            now.guest.resume()
        };
        vmm.ledger().remember(open.session, Fate::TookBack, &open.to.to_string());
        resumed?;
        "the guest goes on here"
    } else {
        let departed = {
            let mut now = vmm.now();
            now.open = None;
            now.guest.depart()
        };
        vmm.ledger().remember(open.session, Fate::Moved, &open.to.to_string());
        vmm.end(Ending::LetGo);
        drop(departed);
        match vmm.tenure {
            Tenure::Guest => "the copy of the guest here is let go, and this process ends",
            Tenure::Process(_) => "the copy of the guest here is let go",
        }
    };
    Ok(done(did, &because, stays == keep))
}

/// Whether the guest goes on at the source, and why: what the target says counts, and where it does not know, or cannot be
/// asked, what the person wanted.
pub(super) fn verdict(answer: Result<Told, String>, keep: bool) -> (bool, String) {
    match answer {
        Ok(told @ (Told::Runs | Told::Never(_))) => (told.guest_stays(keep), told.words()),
        Ok(told) => (told.guest_stays(keep), format!("{}, and so was decided here", told.words())),
        Err(why) => (keep, format!("{why}, and so was decided here")),
    }
}

async fn at_target(
    vmm: &Arc<Vmm>,
    handle: &Handle,
    Resolve { keep, force }: Resolve,
) -> Result<Answer, Refusal> {
    match handle.ready_and_alone() {
        None => return Err(Refusal::wrong_state("there is nothing to resolve: no guest is ready here")),
        Some(false) if !force => {
            return Err(Refusal::conflict(
                "the guest's source is connected and says what becomes of it; wait, look there, or force it",
            ));
        }
        Some(_) => handle.decide(keep),
    }
    let decided = async {
        while handle.ready_and_alone().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        while keep && matches!(vmm.now().guest, Guest::Arriving(_)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(DECISION_TIMEOUT, decided).await.is_err() {
        return Err(Refusal::conflict("the guest is still neither running nor gone; look at vm.info"));
    }
    let runs = matches!(vmm.now().guest, Guest::Running(_));
    let did = if runs { "the guest runs here" } else { "the guest was let go here, and never runs here" };
    Ok(done(did, "its source is out of reach or was passed over, and so was decided here", runs == keep))
}

fn done(did: &str, because: &str, as_wished: bool) -> Answer {
    notice(format_args!("resolved: {did}: {because}"));
    Answer::Document(json!({"did": did, "because": because, "as_wished": as_wished}))
}
