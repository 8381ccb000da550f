//! What people write is understood, and what cannot be understood is answered with an example.

use std::time::Duration;

use super::units::{Cap, parse_cap, parse_rate, parse_size, parse_time, show_bytes, show_seconds};

#[test]
fn sizes() {
    assert_eq!(parse_size("4096"), Ok(4096));
    assert_eq!(parse_size("64k"), Ok(64 << 10));
    assert_eq!(parse_size("512M"), Ok(512 << 20));
    assert_eq!(parse_size("3 GiB"), Ok(3 << 30));
    assert_eq!(parse_size("4T"), Ok(4 << 40));
    for bad in ["", "M", "-1M", "1.5G", "1X", "0x10", "1 2"] {
        assert!(parse_size(bad).unwrap_err().contains("such as 512M"), "{bad}");
    }
    assert!(parse_size("99999999T").unwrap_err().contains("16 EiB"));
}

#[test]
fn times() {
    assert_eq!(parse_time("30ms"), Ok(Duration::from_millis(30)));
    assert_eq!(parse_time("1.5s"), Ok(Duration::from_millis(1500)));
    assert_eq!(parse_time("2min"), Ok(Duration::from_secs(120)));
    assert_eq!(parse_time("30").unwrap_err(), "'30' has no unit; write 30ms or 30s");
    for bad in ["", "s", "-3s", "3h", "1.2.3s", "1e5s", "99999999999999999999s"] {
        assert!(parse_time(bad).is_err(), "{bad}");
    }
    assert!(parse_time("0s").unwrap_err().contains("more than 0"));
}

#[test]
fn rates() {
    for (text, rate) in [
        ("125MB/s", 125_000_000),
        ("125M", 125_000_000),
        ("12.5MB/s", 12_500_000),
        ("1Gbit/s", 125_000_000),
        ("1 MiB/s", 1 << 20),
        ("10GB/s", 10_000_000_000),
        ("250000", 250_000),
    ] {
        assert_eq!(parse_rate(text), Ok(rate), "{text}");
    }
    for bad in ["", "MB/s", "-1MB/s", "1XB/s", "1.2.3MB/s", "fast", "1MB/h"] {
        assert!(parse_rate(bad).unwrap_err().contains("such as 125MB/s"), "{bad}");
    }
    for bad in ["0MB/s", "99KB/s", "2000GB/s"] {
        assert!(parse_rate(bad).unwrap_err().contains("100 to 1000000000 KB/s"), "{bad}");
    }
    assert_eq!((parse_cap("none"), parse_cap("1MB/s")), (Ok(Cap(None)), Ok(Cap(Some(1_000_000)))));
}

#[test]
fn what_is_shown() {
    assert_eq!(show_bytes(0.0), "0 B");
    assert_eq!(show_bytes(1023.0), "1023 B");
    assert_eq!(show_bytes(1536.0), "1.5 KiB");
    assert_eq!(show_bytes(536_870_912.0), "512 MiB");
    assert_eq!(show_seconds(0.0), "0 s");
    assert_eq!(show_seconds(0.000_25), "250 µs");
    assert_eq!(show_seconds(0.004_214), "4.21 ms");
    assert_eq!(show_seconds(1.3), "1.30 s");
    assert_eq!(show_seconds(185.0), "3 min 05 s");
}
