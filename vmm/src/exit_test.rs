//! Each way to end has a status of its own and a sentence; a guest's own status is never taken for one of ours.

use std::collections::BTreeSet;

use crate::exit::{Exit, ExitSender};

fn failures() -> [Exit; 5] {
    [
        Exit::Reset,
        Exit::TripleFault { vcpu: 3 },
        Exit::KvmInternal("internal error 1".into()),
        Exit::GuestCrash { vcpu: 1 },
        Exit::VmmFailed("the event loop panicked".into()),
    ]
}

#[test]
fn statuses_differ_and_are_even_so_that_a_debug_exit_is_told_apart() {
    let codes: BTreeSet<_> = failures().iter().map(Exit::code).collect();
    assert_eq!(codes.len(), failures().len());
    assert!(codes.iter().all(|code| *code != 0 && code % 2 == 0));
    assert_eq!((Exit::PowerOff.code(), Exit::Quit.code()), (0, 0));
    assert_eq!(Exit::DebugExit(7).code(), 7);
}

#[test]
fn a_sentence_says_what_happened_and_where() {
    assert!(Exit::TripleFault { vcpu: 3 }.to_string().starts_with("vCPU 3 shut down after a triple fault"));
    assert!(Exit::KvmInternal("vCPU 0 at rip 0x5".into()).to_string().ends_with("vCPU 0 at rip 0x5"));
    assert!(Exit::DebugExit(7).to_string().contains("status 7"));
}

#[test]
fn an_exit_that_nobody_waits_for_is_no_fault() {
    let (report, exits) = std::sync::mpsc::channel();
    let sender = ExitSender::from(report);
    sender.send(Exit::PowerOff);
    assert_eq!(exits.recv(), Ok(Exit::PowerOff));
    drop(exits);
    sender.send(Exit::Reset);
}
