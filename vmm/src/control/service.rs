//! What each call of the API does to the guest.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Ending, Guest, GuestError, Ongoing, Vmm, incoming, notice, outgoing};
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
                if let Guest::Surrendered(_) = now.guest {
                    notice(
                        "resumed by hand after a migration of unknown outcome; if the guest runs at the \
                         target too, end one of the two now",
                    );
                    now.guest.take_back();
                }
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
            Call::Send(request) => outgoing::send(self, request).await,
            Call::Receive(request) => incoming::receive_once(self, &request.receiver_url).await,
            Call::Cancel => match &self.now().ongoing {
                Some(ongoing) => {
                    ongoing.handle().cancel();
                    Ok(Answer::Done)
                }
                None => Err(Refusal::wrong_state("no migration is under way")),
            },
            Call::Progress => self.progress(),
        }
    }
}

impl Vmm {
    fn info(&self) -> Result<VmInfo, Refusal> {
        let now = self.now();
        let Some(machine) = now.guest.machine() else {
            return Err(Refusal::not_found(now.guest.words()));
        };
        let (cpus, bytes) = (machine.cpus(), machine.memory_bytes());
        Ok(VmInfo {
            config: VmConfig {
                cpus: Cpus { boot_vcpus: cpus, max_vcpus: cpus },
                memory: Memory { size: bytes },
                payload: now.payload.clone(),
                serial: self.serial(),
            },
            state: now.guest.state(),
            memory_actual_size: bytes,
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
                    (progress.as_object_mut(), ongoing.handle().progress().map(|p| json!(p)))
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

fn document(value: &impl Serialize) -> Result<Answer, Refusal> {
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
