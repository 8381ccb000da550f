//! The line on a terminal.

use godwit_migration::report::Progress;

use super::progress::line;

#[test]
fn round_owed_rate_prediction_and_the_time_left_are_shown() {
    let mut progress = Progress {
        phase: "rounds".into(),
        elapsed_s: 1.25,
        round: 3,
        round_bytes: 64 << 20,
        round_sent_bytes: 32 << 20,
        round_wire_bytes: 24 << 20,
        round_elapsed_s: 0.25,
        bandwidth_cap: Some(100 << 20),
        owed_bytes: 64 << 20,
        wire_bytes: 1 << 30,
        bandwidth: f64::from(256 << 20),
        predicted_downtime_s: Some(0.125),
        budget_s: 0.03,
        rounds: Vec::new(),
        steps: vec![],
    };
    assert_eq!(
        line(&progress, 1.5),
        "1.50 s · rounds · round 3, 64.0 MiB owed · 96.0 MiB/s (cap 100 MiB/s) · round ends in 250.00 ms · \
         downtime would be 125.00 ms of 30.00 ms"
    );
    progress.round_elapsed_s = 0.1;
    assert!(line(&progress, 1.5).contains(" · 256 MiB/s (cap"), "a round that just began does not tell yet");
}

#[test]
fn what_is_not_known_yet_is_left_out() {
    let progress = Progress {
        phase: "hello".into(),
        elapsed_s: 0.001,
        round: 0,
        round_bytes: 0,
        round_sent_bytes: 0,
        round_wire_bytes: 0,
        round_elapsed_s: 0.0,
        bandwidth_cap: None,
        owed_bytes: 0,
        wire_bytes: 0,
        bandwidth: 0.0,
        predicted_downtime_s: None,
        budget_s: 0.3,
        rounds: Vec::new(),
        steps: vec![],
    };
    assert_eq!(line(&progress, 0.0), "1.00 ms · hello");
}
