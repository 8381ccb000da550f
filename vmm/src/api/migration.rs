//! The bodies of `vm.send-migration` and `vm.receive-migration`: Cloud Hypervisor's fields, and `preset` beside them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Refusal, fields::Fields};

/// What to do when the time-out passes before the guest could be paused within its downtime budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeoutStrategy {
    /// Give up; the guest goes on at the source.
    Cancel,
    /// Move it all the same, whatever the downtime.
    Ignore,
}

/// A request to move the guest. Absent fields take the preset's or the engine's own values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SendMigration {
    /// `tcp:HOST:PORT` or `unix:PATH`.
    pub destination_url: String,
    /// Name of the preset: `godwit presets` lists them.
    pub preset: Option<String>,
    /// Budget for the downtime.
    pub downtime: Option<Duration>,
    /// How long it may take altogether.
    pub timeout: Option<Duration>,
    /// What happens then.
    pub timeout_strategy: Option<TimeoutStrategy>,
    /// Number of lanes.
    pub connections: Option<u8>,
}

const SEND_FIELDS: [&str; 10] = [
    "destination_url",
    "downtime_ms",
    "timeout_s",
    "timeout_strategy",
    "connections",
    "preset",
    "local",
    "preserve_source",
    "memory_mode",
    "tls_dir",
];

/// Longest time a client may ask for: a week.
const MAX_SECONDS: f64 = 7.0 * 24.0 * 3600.0;

impl SendMigration {
    /// Reads the body.
    ///
    /// # Errors
    /// 400 naming the field.
    pub fn parse(endpoint: &'static str, body: &[u8]) -> Result<Self, Refusal> {
        let mut fields = Fields::parse(endpoint, &SEND_FIELDS, body)?;
        fields.only("local", &[json!(false)])?;
        fields.only("preserve_source", &[json!(false)])?;
        fields.only("memory_mode", &[json!("Precopy")])?;
        fields.only("tls_dir", &[])?;
        let request = Self {
            destination_url: fields.required("destination_url", "\"tcp:HOST:PORT\" or \"unix:PATH\"")?,
            preset: fields.optional("preset", "the name of a preset, in quotes")?,
            downtime: time(&mut fields, "downtime_ms", "milliseconds", 1e3)?,
            timeout: time(&mut fields, "timeout_s", "seconds", 1.0)?,
            timeout_strategy: fields.optional("timeout_strategy", "\"Cancel\" or \"Ignore\"")?,
            connections: fields.optional("connections", "a whole number of lanes")?,
        };
        Ok(request)
    }

    /// The body, as a client sends it.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({
            "destination_url": self.destination_url,
            "preset": self.preset,
            "downtime_ms": self.downtime.map(|d| d.as_secs_f64() * 1e3),
            "timeout_s": self.timeout.map(|t| t.as_secs_f64()),
            "timeout_strategy": self.timeout_strategy,
            "connections": self.connections,
        })
    }
}

/// A request to take a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiveMigration {
    /// Where to listen: `tcp:ADDR:PORT` or `unix:PATH`.
    pub receiver_url: String,
}

const RECEIVE_FIELDS: [&str; 6] =
    ["receiver_url", "memory_mode", "tls_dir", "zone_updates", "vfio_fds", "iommufd_fd"];

impl ReceiveMigration {
    /// Reads the body.
    ///
    /// # Errors
    /// 400 naming the field.
    pub fn parse(endpoint: &'static str, body: &[u8]) -> Result<Self, Refusal> {
        let mut fields = Fields::parse(endpoint, &RECEIVE_FIELDS, body)?;
        fields.only("memory_mode", &[json!("Precopy")])?;
        fields.only("tls_dir", &[])?;
        fields.only("zone_updates", &[json!([])])?;
        fields.only("vfio_fds", &[json!([])])?;
        fields.only("iommufd_fd", &[])?;
        Ok(Self { receiver_url: fields.required("receiver_url", "\"tcp:ADDR:PORT\" or \"unix:PATH\"")? })
    }

    /// The body, as a client sends it.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({ "receiver_url": self.receiver_url })
    }
}

/// A time of more than nothing, in a `unit` of which `per_second` make a second. Fractions are taken, though Cloud
/// Hypervisor's client never sends one.
fn time(fields: &mut Fields, name: &str, unit: &str, per_second: f64) -> Result<Option<Duration>, Refusal> {
    let what = format!("a number of {unit} above 0, at most {}", MAX_SECONDS * per_second);
    match fields.optional::<f64>(name, &what)? {
        Some(n) if n > 0.0 && n <= MAX_SECONDS * per_second => {
            Ok(Some(Duration::from_secs_f64(n / per_second)))
        }
        Some(n) => Err(fields.wrong(name, &n.to_string(), &what)),
        None => Ok(None),
    }
}
