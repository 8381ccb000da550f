//! Rates are read as people write them.

use super::world::parse_rate;

#[test]
fn rates_have_units() {
    assert_eq!(parse_rate("125MB/s"), Ok(125e6));
    assert_eq!(parse_rate("12.5MB/s"), Ok(12.5e6));
    assert_eq!(parse_rate("1GiB/s"), Ok(f64::from(1 << 30)));
    for wrong in ["125", "125MB", "fast", "MB/s", "1.2.3MB/s", "-5MB/s"] {
        assert!(parse_rate(wrong).unwrap_err().contains("such as 125MB/s"), "{wrong}");
    }
    assert!(parse_rate("1B/s").unwrap_err().contains("from 1KB/s"));
}
