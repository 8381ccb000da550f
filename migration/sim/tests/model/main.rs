//! The hand-over, model-checked: the machines of the source and the target *as they are*, between them every order of
//! events that a network, two hosts and two people can bring about, within bounds.
//!
//! What is real: [`godwit_migration::source::Source`] and [`godwit_migration::target::Target`], and the bytes of every
//! control message. What is modelled, after the drivers of `godwit-transport`: how actions are carried out, memory as
//! versions of two pages, lanes as queues of frames, the hosts.
//!
//! What can happen, in any order with everything else: a message or a frame is delayed for any time; links overtake
//! one another, also the link on which the source said `Go` and the one on which it then asks; the control link, a lane
//! or all of them are cut with any part of what is on its way lost, noticed or not; a question finds nobody, or is lost; a host fails at anything it is asked for; somebody cancels, a deadline passes, on either side; either process
//! ends, and with it what it had; a failed source tries again, with a target that was started again, or another one, while
//! the machine of the first attempt is still there, also with that very process; people, who have looked, decide on either
//! side.
//!
//! What cannot: within one stream nothing is lost in the middle, doubled or reordered, because TCP and Unix sockets
//! do not do that, and the checksums, sequence numbers and session of the wire format make an error of it if something
//! in between does. A source that ends takes its guest along; a target that ends leaves its record, from which the
//! process that is started after it answers.
//!
//! An own explorer and not a crate: the promise that matters as much as safety, that *from every state some way leads
//! to* a running copy, is one that the checkers at hand do not know (they have always and eventually), and the
//! machines can neither be copied nor hashed: see `automaton`. `docs/protocol.md` has the commands and last results.

mod automaton;
mod bug;
mod explore;
mod faults;
mod fingerprint;
mod messages;
mod people;
mod promises;
mod source;
mod source_steps;
mod state;
mod step;
mod target;
mod target_steps;
mod world;

use bug::Bug;
use explore::{Exploration, explore, meetings};
use promises::Ending;
use world::Bounds;

/// A number from the environment: how far a longer exploration goes.
fn from_environment(name: &str, otherwise: u8) -> u8 {
    std::env::var(name).map_or(otherwise, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} is '{text}'; it must be a number from 0 to 255"))
    })
}

/// Explores within `bounds`, which the environment may widen, and shows what was seen.
fn all_promises_hold(bounds: Bounds) -> Exploration {
    let bounds = Bounds {
        faults: from_environment("GODWIT_MODEL_FAULTS", bounds.faults),
        writes: from_environment("GODWIT_MODEL_WRITES", bounds.writes),
        asks: from_environment("GODWIT_MODEL_ASKS", bounds.asks),
        decisions: from_environment("GODWIT_MODEL_DECISIONS", bounds.decisions),
        ..bounds
    };
    match explore(bounds) {
        Ok(seen) => {
            println!(
                "{bounds:?}: {} states, {} steps, depth {}, {:?} histories of source and target, endings {:?}",
                seen.states, seen.steps, seen.depth, seen.histories, seen.endings
            );
            seen
        }
        Err(broken) => panic!("{bounds:?}: {}:\n  {}", broken.promise, broken.trace.join("\n  ")),
    }
}

const BOUNDS: Bounds = Bounds {
    preset: "precopy",
    arms_as_sent: false,
    lanes: 1,
    faults: 1,
    writes: 1,
    asks: 1,
    attempts: 1,
    decisions: 0,
    patient: false,
    bug: None,
};

/// One person decides, once.
const PEOPLE: Bounds = Bounds { writes: 0, decisions: 1, ..BOUNDS };
/// And the source tries again, also where it was before.
const AGAIN: Bounds = Bounds { attempts: 2, asks: 0, patient: true, ..PEOPLE };

#[test]
fn any_two_faults_at_any_moment() {
    let seen = all_promises_hold(Bounds { faults: 2, ..BOUNDS });
    let endings = [
        Ending::Stayed,
        Ending::Moved,
        Ending::UnknownAndRuns,
        Ending::UnknownAndWaits,
        Ending::Paused,
        Ending::Lost,
    ];
    assert!(seen.endings.keys().eq(&endings), "each of these must have come up: {:?}", seen.endings);
    let phases = ["asking", "done", "final", "handover", "hello", "prepare", "rounds", "setup", "undo"];
    assert_eq!(seen.source_phases, phases);
    let phases = ["build", "done", "handover", "hello", "prepare", "ready", "rounds", "setup", "waiting"];
    assert_eq!(seen.target_phases, phases);
}

#[test]
fn pages_that_a_lane_leaves_out_because_they_are_dirty_again() {
    all_promises_hold(Bounds { preset: "clark2005", faults: 0, writes: 2, ..BOUNDS });
}

#[test]
fn pages_that_a_lane_arms_just_before_it_sends_them_or_all_that_are_left_at_once() {
    for preset in ["precopy", "clark2005"] {
        all_promises_hold(Bounds { preset, arms_as_sent: true, faults: 0, writes: 2, ..BOUNDS });
    }
    all_promises_hold(Bounds { arms_as_sent: true, ..BOUNDS });
}

#[test]
fn two_lanes_in_any_order() {
    all_promises_hold(Bounds { lanes: 2, writes: 0, ..BOUNDS });
}

#[test]
fn a_second_attempt_after_a_fault_while_the_first_target_is_still_there() {
    all_promises_hold(Bounds { attempts: 2, writes: 0, patient: true, ..BOUNDS });
}

#[test]
fn a_source_that_asks_twice() {
    all_promises_hold(Bounds { writes: 0, asks: 2, ..BOUNDS });
}

#[test]
fn people_who_have_looked_decide_at_either_side() {
    let seen = all_promises_hold(Bounds { faults: 2, decisions: 2, ..PEOPLE });
    assert!(seen.endings.contains_key(&Ending::Stayed) && seen.endings.contains_key(&Ending::Moved));
}

#[test]
fn an_attempt_at_a_process_that_still_waits_for_the_one_before() {
    all_promises_hold(AGAIN);
}

#[test]
fn how_a_machine_came_to_the_hand_over_does_not_matter_from_there_on() {
    let (sources, targets) = meetings(Bounds { faults: 0, writes: 1, ..BOUNDS });
    println!("{sources} histories of a source met another, {targets} of a target");
    assert!(sources > 10 && targets > 1, "this must compare something");
}

/// The promise that a machine with `bug` breaks.
#[track_caller]
fn is_found(bug: Bug, promise: &str) {
    is_found_within(BOUNDS, bug, promise);
}

#[track_caller]
fn is_found_within(bounds: Bounds, bug: Bug, promise: &str) {
    let broken = explore(Bounds { bug: Some(bug), ..bounds }).expect_err("a wrong machine");
    println!("{bug:?}: {}:\n  {}", broken.promise, broken.trace.join("\n  "));
    assert_eq!(broken.promise, promise);
}

#[test]
fn a_source_that_resumes_after_go_is_found() {
    is_found(Bug::ResumesAfterGo, "a target runs the guest while the source has the right to run it");
}

#[test]
fn a_source_that_takes_silence_for_success_is_found() {
    is_found(
        Bug::TakesSilenceForSuccess,
        "the source has let the guest's memory go, and no target has run it",
    );
}

#[test]
fn a_source_that_forgets_dirty_pages_is_found() {
    is_found(Bug::ForgetsDirtyPages, "a target runs a guest whose memory is not the source's");
}

#[test]
fn a_source_that_waits_for_ever_is_found() {
    is_found(Bug::WaitsForEver, "no way leads to a copy that runs, or is kept");
}

#[test]
fn a_target_that_runs_before_go_is_found() {
    is_found(Bug::RunsBeforeGo, "a target runs the guest while the source has the right to run it");
}

#[test]
fn a_target_that_gives_the_guest_back_and_runs_it_is_found() {
    is_found(Bug::GivesBackAndRuns, "a target runs the guest while the source has the right to run it");
}

#[test]
fn a_target_that_denies_that_it_ran_the_guest_is_found() {
    is_found(Bug::DeniesThatItRan, "a target runs the guest while the source has the right to run it");
}

/// The guest runs a second time from the moment of the hand-over, without anybody having decided that.
#[test]
fn a_target_that_forgets_its_record_is_found() {
    is_found(Bug::ForgetsItsRecord, "a guest that ran at a target runs again at the source by itself");
}

#[test]
fn a_target_that_takes_another_attempt_for_the_word_to_run_is_found() {
    is_found_within(AGAIN, Bug::TakesAnAttemptForGo, "two copies run");
}

#[test]
fn a_target_that_takes_a_decision_for_its_opposite_is_found() {
    let promise = "a target runs the guest while the source has the right to run it";
    is_found_within(PEOPLE, Bug::TurnsADecisionRound, promise);
}

#[test]
fn a_source_that_believes_a_person_against_the_target_is_found() {
    let promise = "the source has let the guest's memory go, and no target has run it";
    is_found_within(PEOPLE, Bug::BelievesThePersonAlone, promise);
}

#[test]
fn a_target_that_has_let_the_guest_go_and_hears_go_is_found() {
    is_found_within(
        PEOPLE,
        Bug::HearsGoWhenItIsLate,
        "a target runs the guest while the source has the right to run it",
    );
}
