//! What each call of the API does to the guest.

use std::sync::Arc;

use godwit_transport::handle::Handle;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Ending, GuestError, Ongoing, Vmm, counters, incoming, outgoing, recording, resolve};
use crate::MachineError;
use crate::api::{Answer, Call, Cpus, Memory, Ping, Refusal, Service, VmConfig, VmInfo};

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
            Call::EndGuest => {
                if self.now().guest.machine().is_none() {
                    return Err(Refusal::not_found("there is no guest here; vmm.shutdown ends the process"));
                }
                self.end(Ending::Asked);
                Ok(Answer::Done)
            }
            Call::PowerButton => {
                self.now().guest.running("pressing the power button")?.power_button();
                Ok(Answer::Done)
            }
            Call::Send(request) => outgoing::send(self, *request).await,
            Call::Receive(request) => incoming::receive_once(self, &request).await,
            Call::Cancel(request) => match self.now().ongoing.as_ref().and_then(Ongoing::handle) {
                Some(migration) => {
                    migration.cancel(request.why());
                    Ok(Answer::Done)
                }
                None => Err(Refusal::wrong_state("no migration is under way")),
            },
            Call::Bandwidth(request) => match &self.now().ongoing {
                Some(Ongoing::Outgoing(handle)) => {
                    handle.set_bandwidth(request.bandwidth);
                    Ok(Answer::Done)
                }
                Some(Ongoing::Incoming(_)) => Err(Refusal::wrong_state(
                    "the guest arrives here; its source is who can cap the bandwidth",
                )),
                Some(Ongoing::Recording | Ongoing::Resolving) | None => {
                    Err(Refusal::wrong_state("no migration is under way"))
                }
            },
            Call::Counters => counters::read(self).await,
            Call::Resize(request) => {
                let now = self.now();
                let machine = now.guest.machine().ok_or_else(|| Refusal::not_found(now.guest.words()))?;
                let resized = request.desired_balloon.map_or(Ok(()), |bytes| machine.resize_balloon(bytes));
                resized.map(|()| Answer::Done).map_err(|error| Refusal::bad_request(error.to_string()))
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
    fn info(&self) -> Result<VmInfo, Refusal> {
        let now = self.now();
        let Some(machine) = now.guest.machine() else {
            let words = now.guest.words().to_owned();
            drop(now);
            let open = self.ledger().left_open();
            return Err(Refusal::not_found(
                std::iter::once(words)
                    .chain(open.iter().map(ToString::to_string))
                    .collect::<Vec<_>>()
                    .join("; "),
            ));
        };
        let (cpus, bytes) = (machine.cpus(), machine.memory_bytes());
        let (given, wanted) = machine.balloon_bytes().unwrap_or_default();
        let mut devices = self.incoming.devices.clone();
        if let Some(balloon) = &mut devices.balloon {
            balloon.size = wanted;
        }
        Ok(VmInfo {
            config: VmConfig {
                cpus: Cpus { boot_vcpus: cpus, max_vcpus: cpus },
                memory: Memory { size: bytes },
                payload: now.payload.clone(),
                serial: self.serial(),
                devices,
            },
            state: now.guest.state(),
            migration: now.unsettled(),
            guest_panic: machine.guest_panic(),
            memory_actual_size: bytes.saturating_sub(given),
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
        Ongoing::Incoming(_) => "receiving",
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
            GuestError::State { .. } => Self::wrong_state(error.to_string()),
            GuestError::Machine { wanted, source } => Self::failed(format!("{wanted} failed"), source),
        }
    }
}
