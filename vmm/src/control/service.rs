//! What each call of the API does to the guest.

use std::sync::Arc;

use godwit_transport::handle::Handle;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Ending, Guest, GuestError, Ongoing, Patience, Tenure, Vmm, counters, incoming, life, outgoing, recording,
    resolve,
};
use crate::MachineError;
use crate::api::{Answer, Call, Ping, Refusal, Service, VmInfo};

impl Service for Arc<Vmm> {
    async fn call(&self, call: Call) -> Result<Answer, Refusal> {
        match call {
            Call::Ping => document(&ping()),
            Call::Info => document(&self.info()?),
            Call::Pause => {
                let mut now = self.now();
                now.nothing_ongoing()?;
                now.guest.pause()?;
                Ok(Answer::Done)
            }
            Call::Resume => {
                let mut now = self.now();
                now.nothing_ongoing()?;
                now.guest.resume()?;
                Ok(Answer::Done)
            }
            Call::EndProcess => {
                self.end(Ending::Asked);
                Ok(Answer::Done)
            }
            Call::Create(config) => {
                self.makes_guests()?;
                self.create(*config)?;
                Ok(Answer::Done)
            }
            Call::Boot => {
                self.now().nothing_ongoing()?;
                self.nothing_left_open()?;
                Vmm::boot(self)?;
                self.give_terminal();
                Ok(Answer::Done)
            }
            Call::Reboot => {
                self.now().nothing_ongoing()?;
                self.reboot().inspect_err(|_| self.end_without_guest())?;
                self.give_terminal();
                Ok(Answer::Done)
            }
            Call::Delete => {
                self.makes_guests()?;
                self.now().nothing_ongoing()?;
                self.delete()?;
                Ok(Answer::Done)
            }
            Call::EndGuest => {
                match self.tenure {
                    Tenure::Guest => {
                        self.now().guest.present("shutting down")?;
                        self.end(Ending::Asked);
                    }
                    Tenure::Process(_) => {
                        self.now().nothing_ongoing()?;
                        self.shut_down("it was shut down by a client")?;
                    }
                }
                Ok(Answer::Done)
            }
            Call::PowerButton => {
                self.now().guest.running("pressing the power button")?.power_button();
                Ok(Answer::Done)
            }
            Call::Send(request) => outgoing::send(self, *request).await,
            Call::Receive(request) => incoming::receive_once(self, &request).await,
            Call::Cancel(request) => {
                let now = self.now();
                match &now.ongoing {
                    Some(Ongoing::Incoming(wait, Patience::UntilArrived)) if !wait.is_receiving() => {
                        Err(Refusal::wrong_state(
                            "no migration is under way: this process waits for a guest, and answers sources of earlier \
                             migrations; godwit shutdown (vmm.shutdown) ends it",
                        ))
                    }
                    Some(Ongoing::Outgoing(migration) | Ongoing::Incoming(migration, _)) => {
                        migration.cancel(request.why());
                        Ok(Answer::Done)
                    }
                    Some(Ongoing::Recording | Ongoing::Resolving) | None => {
                        Err(Refusal::wrong_state("no migration is under way"))
                    }
                }
            }
            Call::Bandwidth(request) => match &self.now().ongoing {
                Some(Ongoing::Outgoing(handle)) => {
                    handle.set_bandwidth(request.bandwidth);
                    Ok(Answer::Done)
                }
                Some(Ongoing::Incoming(..)) => Err(Refusal::wrong_state(
                    "the guest arrives here; its source is who can cap the bandwidth",
                )),
                Some(Ongoing::Recording | Ongoing::Resolving) | None => {
                    Err(Refusal::wrong_state("no migration is under way"))
                }
            },
            Call::Counters => counters::read(self).await,
            Call::Resize(request) => {
                let mut now = self.now();
                let machine = now.guest.present("resizing")?;
                let Some(bytes) = request.desired_balloon else { return Ok(Answer::Done) };
                machine.resize_balloon(bytes).map_err(|error| Refusal::bad_request(error.to_string()))?;
                // It keeps that size when it is booted again.
                if let Some(balloon) = now.config.as_mut().and_then(|config| config.devices.balloon.as_mut())
                {
                    balloon.size = bytes;
                }
                Ok(Answer::Done)
            }
            Call::ResizeDisk(request) => {
                let now = self.now();
                now.nothing_ongoing()?;
                let resized =
                    now.guest.running("resizing a disk")?.resize_disk(&request.id, request.desired_size);
                resized.map(|()| Answer::Done).map_err(|error| match error {
                    MachineError::NoDevice { .. } => Refusal::not_found(error.to_string()),
                    error => Refusal::bad_request(error.to_string()),
                })
            }
            Call::Progress => self.progress(),
            Call::Resolve(request) => resolve::resolve(self, request).await,
            Call::Record(request) => recording::record(self, request).await,
        }
    }
}

impl Vmm {
    /// Whether clients may make guests here.
    fn makes_guests(&self) -> Result<(), Refusal> {
        match self.tenure {
            Tenure::Process(_) => Ok(()),
            Tenure::Guest => Err(Refusal::wrong_state(
                "this process lives as long as the guest of its command line, and makes no other; godwit serve is for that",
            )),
        }
    }

    /// Whether no guest of an earlier process may run elsewhere: what is booted may be that guest a second time.
    fn nothing_left_open(&self) -> Result<(), Refusal> {
        match self.ledger().left_open().first() {
            None => Ok(()),
            Some(open) => Err(Refusal::wrong_state(format!(
                "booting is not possible: {open}. End this process, look there, and say which with godwit resolve --state-dir"
            ))),
        }
    }

    /// Ends a process that lives as long as its guest, where that has gone and cannot be booted again.
    fn end_without_guest(&self) {
        if let (Tenure::Guest, Guest::Ended(_)) = (&self.tenure, &self.now().guest) {
            self.end(Ending::CannotGoOn("the guest was to be rebooted, and cannot be booted again".into()));
        }
    }

    fn info(&self) -> Result<VmInfo, Refusal> {
        let now = self.now();
        let guest_panic = now.guest.machine().and_then(|machine| machine.guest_panic());
        let (config, actual_bytes) = match (now.guest.machine(), &now.config) {
            (Some(machine), _) => {
                let given = machine.balloon_bytes().map_or(0, |(given, _)| given);
                let config = life::described(machine, &now, self.own_side(&now));
                (config, machine.memory_bytes().saturating_sub(given))
            }
            (None, Some(config)) => (config.clone(), config.memory.size),
            (None, None) => {
                let words = now.guest.words().to_owned();
                drop(now);
                let open = self.ledger().left_open();
                return Err(Refusal::not_found(
                    std::iter::once(words)
                        .chain(open.iter().map(ToString::to_string))
                        .collect::<Vec<_>>()
                        .join("; "),
                ));
            }
        };
        let ended = match &now.guest {
            Guest::Ended(why) => Some(why.clone()),
            _ => None,
        };
        Ok(VmInfo {
            config,
            state: now.guest.state(),
            memory_actual_size: actual_bytes,
            ended,
            migration: now.unsettled(),
            guest_panic,
        })
    }

    /// The progress of the migration under way with `"state": "running"`, or `"state": "ended"` with the report of
    /// the last one from here.
    fn progress(&self) -> Result<Answer, Refusal> {
        let now = self.now();
        match (&now.ongoing, &now.report) {
            (Some(ongoing), _) => {
                let mut progress = json!({"state": state_of(ongoing)});
                if let (Some(fields), Some(Value::Object(more))) =
                    (progress.as_object_mut(), ongoing.handle().and_then(Handle::progress).map(|p| json!(p)))
                {
                    fields.extend(more);
                }
                Ok(Answer::Document(progress))
            }
            (None, Some(report)) => Ok(Answer::Document(json!({"state": "ended", "report": report}))),
            (None, None) => Err(Refusal::not_found("no migration has been asked for here")),
        }
    }
}

/// What a migration under way is called.
fn state_of(ongoing: &Ongoing) -> &'static str {
    match ongoing {
        Ongoing::Outgoing(_) => "sending",
        Ongoing::Incoming(..) => "receiving",
        Ongoing::Recording => "recording",
        Ongoing::Resolving => "resolving",
    }
}

fn ping() -> Ping {
    Ping {
        build_version: concat!("godwit ", env!("CARGO_PKG_VERSION")).into(),
        version: env!("CARGO_PKG_VERSION").into(),
        pid: i64::from(std::process::id()),
        features: Vec::new(),
    }
}

pub(super) fn document(value: &impl Serialize) -> Result<Answer, Refusal> {
    let value =
        serde_json::to_value(value).map_err(|e| Refusal::failed("the answer cannot be written", &e))?;
    Ok(Answer::Document(value))
}

impl From<GuestError> for Refusal {
    fn from(error: GuestError) -> Self {
        match &error {
            GuestError::Absent { .. } => Self::not_found(error.to_string()),
            GuestError::State { .. } => Self::wrong_state(error.to_string()),
            GuestError::Config { source, .. } => Self::wrong_state(format!("{error}: {source}")),
            GuestError::Machine { wanted, source } => Self::failed(format!("{wanted} failed"), source),
        }
    }
}
