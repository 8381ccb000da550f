//! The bodies of `vm.send-migration` and `vm.receive-migration`: Cloud Hypervisor's fields, and godwit's own beside them;
//! and of `vm.migration-bandwidth`.

use std::time::Duration;

use godwit_migration::preset::Overrides;
use godwit_transport::{
    MAX_BYTES_PER_S, MIN_BYTES_PER_S,
    marks::{Congestion, Dscp, Priority},
    send_buffer::SendBuffer,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Refusal,
    fields::Fields,
    security::{self, Security},
};

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
    /// The preset and its parameters, as in `multistage,history=2`: `godwit presets` lists them.
    pub preset: Option<String>,
    /// Parts that stand in for the preset's: `godwit presets --parts` lists them.
    pub parts: Overrides,
    /// Budget for the downtime.
    pub downtime: Option<Duration>,
    /// How long it may take altogether.
    pub timeout: Option<Duration>,
    /// What happens then.
    pub timeout_strategy: Option<TimeoutStrategy>,
    /// Number of lanes.
    pub connections: Option<u8>,
    /// Bandwidth cap of all lanes together, bytes per second.
    pub bandwidth: Option<u64>,
    /// DSCP of the packets.
    pub dscp: Option<Dscp>,
    /// Priority of the sockets.
    pub priority: Option<Priority>,
    /// Congestion control of the connections.
    pub congestion: Option<Congestion>,
    /// Buffer between a lane and its socket.
    pub send_buffer: Option<SendBuffer>,
    /// What is tried when pre-copy makes no progress, such as `budget,ceiling=1s,throttle,cancel`.
    pub escalate: Option<String>,
    /// Only ask the target whether it would take the guest.
    pub dry_run: bool,
    /// How it is protected.
    pub security: Security,
}

const SEND_FIELDS: [&str; 25] = [
    "destination_url",
    "downtime_ms",
    "timeout_s",
    "timeout_strategy",
    "connections",
    "preset",
    "select",
    "order",
    "stop",
    "slow",
    "encode",
    "bandwidth",
    "dscp",
    "priority",
    "congestion",
    "send_buffer",
    "escalate",
    "dry_run",
    "local",
    "preserve_source",
    "memory_mode",
    security::FIELDS[0],
    security::FIELDS[1],
    security::FIELDS[2],
    security::FIELDS[3],
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
        let request = Self {
            destination_url: fields.required("destination_url", "\"tcp:HOST:PORT\" or \"unix:PATH\"")?,
            preset: fields.optional("preset", "the name of a preset, in quotes")?,
            parts: Overrides {
                select: fields.optional("select", "the name of a part, in quotes")?,
                order: fields.optional("order", "the name of a part, in quotes")?,
                stop: fields.optional("stop", "the names of parts, in one pair of quotes")?,
                slow: fields.optional("slow", "the name of a part, in quotes")?,
                encode: fields.optional("encode", "the names of parts, in one pair of quotes")?,
            },
            downtime: time(&mut fields, "downtime_ms", "milliseconds", 1e3)?,
            timeout: time(&mut fields, "timeout_s", "seconds", 1.0)?,
            timeout_strategy: fields.optional("timeout_strategy", "\"Cancel\" or \"Ignore\"")?,
            connections: fields.optional("connections", "a whole number of lanes")?,
            bandwidth: bandwidth(&mut fields)?,
            dscp: checked(&mut fields, "dscp", "a whole number, 0 to 63", Dscp::new)?,
            priority: checked(&mut fields, "priority", "a whole number, 0 to 7", Priority::new)?,
            congestion: checked(&mut fields, "congestion", "a name such as \"cubic\"", |text: String| {
                text.parse()
            })?,
            send_buffer: checked(
                &mut fields,
                "send_buffer",
                "text such as \"8M,low=5,high=70\"",
                |text: String| text.parse(),
            )?,
            escalate: fields.optional("escalate", "a list of steps, in quotes")?,
            dry_run: fields.optional("dry_run", "true or false")?.unwrap_or(false),
            security: Security::parse(&mut fields)?,
        };
        Ok(request)
    }

    /// The body, as a client sends it.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = json!({
            "destination_url": self.destination_url,
            "preset": self.preset,
            "select": self.parts.select,
            "order": self.parts.order,
            "stop": self.parts.stop,
            "slow": self.parts.slow,
            "encode": self.parts.encode,
            "downtime_ms": self.downtime.map(|d| d.as_secs_f64() * 1e3),
            "timeout_s": self.timeout.map(|t| t.as_secs_f64()),
            "timeout_strategy": self.timeout_strategy,
            "connections": self.connections,
            "bandwidth": self.bandwidth,
            "dscp": self.dscp.map(Dscp::number),
            "priority": self.priority.map(Priority::number),
            "congestion": self.congestion.as_ref().map(Congestion::name),
            "send_buffer": self.send_buffer.map(|buffer| buffer.to_string()),
            "escalate": self.escalate,
            "dry_run": self.dry_run,
        });
        self.security.write(&mut body);
        body
    }
}

/// A request for another bandwidth cap of the migration under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetBandwidth {
    /// Bytes per second of all lanes together; `None` for as fast as it goes.
    pub bandwidth: Option<u64>,
}

impl SetBandwidth {
    /// Reads the body.
    ///
    /// # Errors
    /// 400 naming the field.
    pub fn parse(endpoint: &'static str, body: &[u8]) -> Result<Self, Refusal> {
        let mut fields = Fields::parse(endpoint, &["bandwidth"], body)?;
        if !fields.names("bandwidth") {
            return Err(Refusal::bad_request(format!(
                "{endpoint} needs the field 'bandwidth': bytes per second, or null for no cap"
            )));
        }
        Ok(Self { bandwidth: bandwidth(&mut fields)? })
    }

    /// The body, as a client sends it.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({ "bandwidth": self.bandwidth })
    }
}

/// A request to take a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiveMigration {
    /// Where to listen: `tcp:ADDR:PORT` or `unix:PATH`.
    pub receiver_url: String,
    /// How it is protected.
    pub security: Security,
}

const RECEIVE_FIELDS: [&str; 9] = [
    "receiver_url",
    "memory_mode",
    "zone_updates",
    "vfio_fds",
    "iommufd_fd",
    security::FIELDS[0],
    security::FIELDS[1],
    security::FIELDS[2],
    security::FIELDS[3],
];

impl ReceiveMigration {
    /// Reads the body.
    ///
    /// # Errors
    /// 400 naming the field.
    pub fn parse(endpoint: &'static str, body: &[u8]) -> Result<Self, Refusal> {
        let mut fields = Fields::parse(endpoint, &RECEIVE_FIELDS, body)?;
        fields.only("memory_mode", &[json!("Precopy")])?;
        fields.only("zone_updates", &[json!([])])?;
        fields.only("vfio_fds", &[json!([])])?;
        fields.only("iommufd_fd", &[])?;
        let security = Security::parse(&mut fields)?;
        let receiver_url = fields.required("receiver_url", "\"tcp:ADDR:PORT\" or \"unix:PATH\"")?;
        Ok(Self { receiver_url, security })
    }

    /// The body, as a client sends it.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = json!({ "receiver_url": self.receiver_url });
        self.security.write(&mut body);
        body
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

/// A bandwidth cap.
fn bandwidth(fields: &mut Fields) -> Result<Option<u64>, Refusal> {
    let what = format!("a whole number of bytes per second, {MIN_BYTES_PER_S} to {MAX_BYTES_PER_S}");
    match fields.optional::<u64>("bandwidth", &what)? {
        Some(n) if !(MIN_BYTES_PER_S..=MAX_BYTES_PER_S).contains(&n) => {
            Err(fields.wrong("bandwidth", &n.to_string(), &what))
        }
        bandwidth => Ok(bandwidth),
    }
}

/// A value that `make` makes of what stands there.
fn checked<T: DeserializeOwned, U>(
    fields: &mut Fields,
    name: &str,
    what: &str,
    make: impl FnOnce(T) -> Result<U, String>,
) -> Result<Option<U>, Refusal> {
    let value = fields.optional(name, what)?.map(make).transpose();
    value.map_err(|why| Refusal::bad_request(format!("the field '{name}': {why}")))
}
