//! Sizes and times as people write them on a command line, and as they like to read them.

use std::time::Duration;

use godwit_transport::{MAX_BYTES_PER_S, MIN_BYTES_PER_S};

/// A size in bytes: a whole number, with K, M, G or T (powers of 1024; `KiB` and `KB` mean the same) or without.
///
/// # Errors
/// A sentence with an example.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is not a size; write a whole number with K, M, G or T, such as 512M");
    let (number, unit) = split(text);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("'{text}' is more than 16 EiB"))
}

/// A rate in bytes per second: a number with KB/s, MB/s or GB/s (powers of 1000), KiB/s, MiB/s or GiB/s (of 1024), or
/// Kbit/s, Mbit/s or Gbit/s as networks count; `/s` may be left out.
///
/// # Errors
/// A sentence with an example, or with the range.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("'{text}' is not a rate; write a number with KB/s, MB/s, GB/s or Gbit/s, such as 125MB/s");
    let (number, unit) = split(text);
    let unit = unit.to_ascii_lowercase();
    let bytes = match unit.strip_suffix("/s").unwrap_or(&unit) {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "kbit" => 125.0,
        "mbit" => 125e3,
        "gbit" => 125e6,
        _ => return Err(wrong()),
    };
    let rate = number.parse::<f64>().map_err(|_| wrong())? * bytes;
    if !(MIN_BYTES_PER_S as f64..=MAX_BYTES_PER_S as f64).contains(&rate) {
        return Err(format!(
            "'{text}' cannot be kept; a rate is {} to {} KB/s",
            MIN_BYTES_PER_S / 1000,
            MAX_BYTES_PER_S / 1000
        ));
    }
    Ok(rate as u64)
}

/// A rate as [`parse_rate`] reads it, or `none`.
///
/// # Errors
/// As [`parse_rate`].
pub fn parse_cap(text: &str) -> Result<Cap, String> {
    if text == "none" { Ok(Cap(None)) } else { parse_rate(text).map(|rate| Cap(Some(rate))) }
}

/// A bandwidth cap, or that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap(pub Option<u64>);

/// A time: a number with `ms`, `s` or `min`.
///
/// # Errors
/// A sentence with an example.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a time; write a number with ms, s or min, such as 30ms");
    let (number, unit) = split(text);
    let unit_s = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "min" => 60.0,
        "" => return Err(format!("'{text}' has no unit; write {text}ms or {text}s")),
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    match Duration::try_from_secs_f64(number * unit_s) {
        Ok(time) if time.is_zero() => Err(format!("'{text}' is no time at all; it must be more than 0")),
        Ok(time) => Ok(time),
        Err(_) => Err(wrong()),
    }
}

/// The number in front and the unit behind it.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

/// Bytes for a reader: `3.2 MiB`.
#[must_use]
pub fn show_bytes(bytes: f64) -> String {
    let mut value = bytes;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    let decimals = if unit == "B" || value >= 100.0 { 0 } else { 1 };
    format!("{value:.decimals$} {unit}")
}

/// Seconds for a reader: `4.21 ms`, `1.30 s`.
#[must_use]
pub fn show_seconds(seconds: f64) -> String {
    match seconds {
        s if s <= 0.0 => "0 s".into(),
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.2} s"),
        s => format!("{:.0} min {:02.0} s", (s / 60.0).floor(), s % 60.0),
    }
}
