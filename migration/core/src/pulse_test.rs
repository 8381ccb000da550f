//! When a peer counts as silent, and when it does not.

use super::{limits::*, pulse::Pulse};

/// The beat, from 1, at which a peer counts as silent, of which `lives` says whether it spoke and what its lanes moved.
fn silent_at(beats: u32, mut lives: impl FnMut(u32) -> (bool, u64)) -> Option<u32> {
    let (mut pulse, mut moved) = (Pulse::new(BEAT_EVERY * 7), 0);
    for beat in 1..=beats {
        let (heard, bytes) = lives(beat);
        if heard {
            pulse.heard();
        }
        moved += bytes;
        let now = pulse.poll_deadline();
        match pulse.beat(now, moved) {
            Ok(()) => assert_eq!(pulse.poll_deadline(), now + BEAT_EVERY),
            Err(silent) => {
                assert_eq!(silent, BEAT_EVERY * MISSED_BEATS);
                return Some(beat);
            }
        }
    }
    None
}

#[test]
fn a_peer_without_a_sign_of_life_is_silent_after_so_many_beats() {
    assert_eq!(silent_at(100, |_| (false, 0)), Some(MISSED_BEATS));
    assert_eq!(silent_at(100, |beat| (beat == 5, 0)), Some(MISSED_BEATS + 5), "counted from its last sign");
}

#[test]
fn a_word_now_and_then_is_life_and_so_are_lanes_that_move() {
    assert_eq!(silent_at(1000, |beat| (beat % (MISSED_BEATS - 1) == 0, 0)), None);
    assert_eq!(silent_at(1000, |_| (false, LIVE_LANE_BYTES)), None);
    assert_eq!(silent_at(1000, |_| (false, LIVE_LANE_BYTES / 4)), None, "a slow lane moves in some beats");
}

#[test]
fn a_byte_a_second_is_no_life() {
    assert_eq!(silent_at(1000, |_| (false, 1)), Some(MISSED_BEATS));
}

#[test]
fn a_driver_that_was_stopped_itself_misses_one_beat_not_all() {
    let mut pulse = Pulse::new(BEAT_EVERY);
    assert!(pulse.beat(BEAT_EVERY * 1000, 0).is_ok(), "the peer's words may be waiting");
    pulse.heard();
    assert!((0..MISSED_BEATS).all(|n| pulse.beat(BEAT_EVERY * (1001 + n), 0).is_ok()));
}
