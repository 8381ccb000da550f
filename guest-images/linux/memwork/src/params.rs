//! What the command line asks for: `key=value` words. Everything unknown is refused, with the words that are known.

use std::{num::NonZeroU16, time::Duration};

/// Least memory: a page for each of 16 CPUs, many times over.
const LEAST_MEMORY: u64 = 1 << 20;
const KEYS: &str = "mem=BYTES[K|M|G], rate=PAGES_PER_SECOND, heartbeat=SECONDS, duration=SECONDS, echo=PORT";

/// The workload.
#[derive(Debug, PartialEq)]
pub struct Params {
    /// Bytes written and checked, all CPUs together.
    pub memory_bytes: u64,
    /// Pages written a second, all CPUs together; with 0 the memory is checked only.
    pub rate_pages: u64,
    /// Time between two heartbeats; none where 0 was asked for.
    pub heartbeat: Option<Duration>,
    /// When to end; none where 0 was asked for.
    pub duration: Option<Duration>,
    /// TCP and UDP port on which what comes is sent back; none where 0 was asked for.
    pub echo: Option<NonZeroU16>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            memory_bytes: 16 << 20,
            rate_pages: 1000,
            heartbeat: Some(Duration::from_secs(1)),
            duration: None,
            echo: None,
        }
    }
}

impl Params {
    /// Reads the words; a later one wins.
    ///
    /// # Errors
    /// A sentence naming the word and what is legal.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut params = Self::default();
        for word in words {
            let illegal = || format!("'{word}' is not a parameter; those are {KEYS}");
            let (key, value) = word.split_once('=').ok_or_else(illegal)?;
            let parsed = match key {
                "mem" => bytes(value).filter(|&n| n >= LEAST_MEMORY).map(|n| params.memory_bytes = n),
                "rate" => value.parse().ok().map(|n| params.rate_pages = n),
                "heartbeat" => seconds(value).map(|time| params.heartbeat = time),
                "duration" => seconds(value).map(|time| params.duration = time),
                "echo" => value.parse().ok().map(|port| params.echo = NonZeroU16::new(port)),
                _ => return Err(illegal()),
            };
            parsed.ok_or_else(|| {
                format!("'{word}' has no legal value; the parameters are {KEYS}, at least mem=1M")
            })?;
        }
        Ok(params)
    }
}

fn bytes(value: &str) -> Option<u64> {
    let (digits, shift) = match value.as_bytes().last()? {
        b'K' => (&value[..value.len() - 1], 10),
        b'M' => (&value[..value.len() - 1], 20),
        b'G' => (&value[..value.len() - 1], 30),
        _ => (value, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// `0` is none; fractions are allowed.
fn seconds(value: &str) -> Option<Option<Duration>> {
    let time = Duration::try_from_secs_f64(value.parse().ok()?).ok()?;
    Some((!time.is_zero()).then_some(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Params, String> {
        Params::parse(words.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn words_say_the_workload() {
        let params = parse("mem=2M rate=7 heartbeat=0.5 duration=3 echo=7").unwrap();
        assert_eq!(params.memory_bytes, 2 << 20);
        assert_eq!(params.rate_pages, 7);
        assert_eq!(params.heartbeat, Some(Duration::from_millis(500)));
        assert_eq!(params.duration, Some(Duration::from_secs(3)));
        assert_eq!(params.echo, NonZeroU16::new(7));
        assert_eq!(parse("heartbeat=0").unwrap().heartbeat, None);
        assert_eq!(parse("").unwrap(), Params::default());
    }

    #[test]
    fn what_is_not_a_parameter_is_named() {
        for word in [
            "memory=16M",
            "mem",
            "mem=",
            "mem=4K",
            "mem=99999999999999999999G",
            "mem=17179869184G",
            "rate=-1",
            "echo=65536",
        ] {
            let error = parse(word).unwrap_err();
            assert!(error.contains(&format!("'{word}'")) && error.contains("mem=BYTES"), "{error}");
        }
        assert!(parse("heartbeat=-1").is_err() && parse("duration=soon").is_err());
    }
}
