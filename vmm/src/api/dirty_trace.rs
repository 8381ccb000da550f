//! The body of `vm.dirty-trace`, godwit's own: how long a guest's dirty pages are recorded, and how finely.

use std::time::Duration;

use godwit_lab::trace::file::INTERVALS;
use serde_json::{Value, json};

use super::{Refusal, fields::Fields};

/// Longest recording.
pub const MAX_DURATION: Duration = Duration::from_secs(3600);
/// What is recorded where the request does not say.
const INTERVAL: Duration = Duration::from_millis(100);
const DURATION: Duration = Duration::from_secs(10);

/// A request to record which pages the guest writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirtyTrace {
    /// Length of an interval.
    pub interval: Duration,
    /// How long it is recorded.
    pub duration: Duration,
}

const FIELDS: [&str; 2] = ["interval_ms", "duration_s"];

impl DirtyTrace {
    /// Reads the body.
    ///
    /// # Errors
    /// 400 naming the field.
    pub fn parse(endpoint: &'static str, body: &[u8]) -> Result<Self, Refusal> {
        let mut fields = Fields::parse(endpoint, &FIELDS, body)?;
        let interval = time(&mut fields, "interval_ms", "milliseconds", 1e3, INTERVALS.0, INTERVALS.1)?;
        let interval = interval.unwrap_or(INTERVAL);
        let duration = time(&mut fields, "duration_s", "seconds", 1.0, interval, MAX_DURATION)?;
        Ok(Self { interval, duration: duration.unwrap_or(DURATION).max(interval) })
    }

    /// The body, as a client sends it.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({ "interval_ms": self.interval.as_secs_f64() * 1e3, "duration_s": self.duration.as_secs_f64() })
    }
}

/// A time from `least` to `most`, in a `unit` of which `per_second` make a second.
fn time(
    fields: &mut Fields,
    name: &str,
    unit: &str,
    per_second: f64,
    least: Duration,
    most: Duration,
) -> Result<Option<Duration>, Refusal> {
    let (least, most) = (least.as_secs_f64() * per_second, most.as_secs_f64() * per_second);
    let what = format!("a number of {unit} from {least} to {most}");
    match fields.optional::<f64>(name, &what)? {
        Some(n) if (least..=most).contains(&n) => Ok(Some(Duration::from_secs_f64(n / per_second))),
        Some(n) => Err(fields.wrong(name, &n.to_string(), &what)),
        None => Ok(None),
    }
}
