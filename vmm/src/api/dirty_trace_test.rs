//! What `vm.dirty-trace` may be asked for.

use std::time::Duration;

use super::DirtyTrace;

fn parse(body: &str) -> Result<DirtyTrace, String> {
    DirtyTrace::parse("vm.dirty-trace", body.as_bytes()).map_err(|refusal| refusal.sentences.join(": "))
}

#[test]
fn a_body_is_read_as_it_is_written() {
    let wanted = DirtyTrace { interval: Duration::from_millis(20), duration: Duration::from_secs(3) };
    assert_eq!(parse(&wanted.body().to_string()), Ok(wanted));
    let default = parse("{}").unwrap();
    assert_eq!((default.interval.as_millis(), default.duration.as_secs()), (100, 10));
}

#[test]
fn what_cannot_be_is_named() {
    assert!(parse("{\"interval_ms\": 0}").unwrap_err().contains("'interval_ms' of vm.dirty-trace is 0"));
    assert!(parse("{\"interval_ms\": 100, \"duration_s\": 0.05}").unwrap_err().contains("from 0.1 to 3600"));
    assert!(parse("{\"duration\": 1}").unwrap_err().contains("did you mean 'duration_s'?"));
    assert!(parse("").unwrap_err().contains("needs a JSON object"));
}
