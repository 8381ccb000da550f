//! A process that outlives its guests: each step from each state, on this host's KVM.

use hyper::StatusCode;
use serde_json::json;
use tokio::sync::mpsc;

use super::{
    Ending, Tenure, Vmm,
    service_test::{LIMIT, Subject, booted, config, empty_with, file, to, waiting},
};
use crate::{
    DeviceSet, DirtyKind, Exit, IncomingConfig,
    api::{Answer, Call, CancelMigration, Payload, Resize, VmConfig, VmState},
    fuzz_test::Mutator,
    record::{Fate, Ledger},
    sandbox::Allowed,
};

/// A call, and the status that it is refused with where it is.
type Step = (Call, Option<StatusCode>);

/// A process without a guest, and what creates one in it.
fn serving(name: &str) -> (Subject, Box<VmConfig>) {
    serving_of(name, None)
}

fn serving_of(name: &str, allowed: Option<Allowed>) -> (Subject, Box<VmConfig>) {
    serving_with(name, allowed, Ledger::default())
}

fn serving_with(name: &str, allowed: Option<Allowed>, ledger: Ledger) -> (Subject, Box<VmConfig>) {
    let console = file(&format!("{name}-console"));
    let (to, endings) = mpsc::unbounded_channel();
    let side = IncomingConfig::without_devices(DirtyKind::Log);
    let vmm = Vmm::empty(Tenure::Process(allowed), side, to, ledger);
    let config = config(&console, DeviceSet::default());
    (Subject { vmm, endings, console }, Box::new(config))
}

async fn info(subject: &Subject) -> serde_json::Value {
    let Answer::Document(info) = subject.call(Call::Info).await.unwrap() else { panic!("a document") };
    info
}

/// The last exit of a machine of this process, as its loop would take it.
async fn outlive_the_next_end(subject: &mut Subject) {
    let ending = tokio::time::timeout(LIMIT, subject.endings.recv()).await;
    let ending = ending.expect("an end in time").unwrap();
    assert_eq!(subject.vmm.outlive(ending).await, None, "the process goes on");
}

#[tokio::test]
async fn each_step_is_taken_from_the_states_that_it_can_be_taken_from() {
    const OK: Option<StatusCode> = None;
    const ABSENT: Option<StatusCode> = Some(StatusCode::NOT_FOUND);
    const STATE: Option<StatusCode> = Some(StatusCode::METHOD_NOT_ALLOWED);
    let (subject, config) = serving("steps");
    let create = || Call::Create(config.clone());
    // In the order in which the states come about: what is refused changes nothing.
    let steps: &[(&str, &[Step])] = &[
        (
            "nothing",
            &[
                (Call::Info, ABSENT),
                (Call::Boot, ABSENT),
                (Call::Pause, ABSENT),
                (Call::Resume, ABSENT),
                (Call::Reboot, ABSENT),
                (Call::EndGuest, ABSENT),
                (Call::PowerButton, ABSENT),
                (Call::Counters, ABSENT),
                (Call::Delete, OK),
                (create(), OK),
            ],
        ),
        (
            "Created",
            &[
                (create(), STATE),
                (Call::Pause, STATE),
                (Call::Resume, STATE),
                (Call::Reboot, STATE),
                (Call::EndGuest, STATE),
                (Call::PowerButton, STATE),
                (Call::Counters, STATE),
                (Call::Boot, OK),
            ],
        ),
        (
            "Running",
            &[
                (create(), STATE),
                (Call::Boot, STATE),
                (Call::Resume, STATE),
                (Call::PowerButton, OK),
                (Call::Reboot, OK),
                (Call::Pause, OK),
            ],
        ),
        ("Paused", &[(create(), STATE), (Call::Boot, STATE), (Call::Pause, STATE), (Call::EndGuest, OK)]),
        (
            "Shutdown",
            &[
                (create(), STATE),
                (Call::Pause, STATE),
                (Call::Resume, STATE),
                (Call::Reboot, STATE),
                (Call::EndGuest, STATE),
                (Call::PowerButton, STATE),
                (Call::Boot, OK),
            ],
        ),
        ("Running", &[(Call::Delete, OK), (create(), OK)]),
        ("Created", &[(Call::Delete, OK), (Call::Info, ABSENT)]),
    ];
    for (state, steps) in steps {
        if *state != "nothing" {
            assert_eq!(info(&subject).await["state"], *state);
        }
        for (call, expected) in *steps {
            let was = format!("{call:?} when {state}");
            match (subject.call(call.clone()).await, expected) {
                (Ok(_), None) => {}
                (Err(refusal), Some(status)) => {
                    assert_eq!(refusal.status, *status, "{was}: {refusal:?}");
                    assert!(
                        refusal.sentences[0].contains("not possible") || matches!(call, Call::Info),
                        "{was}: {refusal:?}"
                    );
                }
                (outcome, _) => panic!("{was}: {outcome:?}"),
            }
        }
    }
}

/// The state after `call` in `state`, or the status that it is refused with: the table of docs/api.md.
fn expected(state: &str, call: &Call) -> Result<&'static str, StatusCode> {
    match (state, call) {
        ("none", Call::Create(_)) => Ok("Created"),
        (_, Call::Delete) => Ok("none"),
        ("none", _) => Err(StatusCode::NOT_FOUND),
        ("Created" | "Shutdown", Call::Boot) | ("Running" | "Paused", Call::Reboot) => Ok("Running"),
        ("Running", Call::Pause) => Ok("Paused"),
        ("Paused", Call::Resume) | ("Running", Call::PowerButton) => Ok("Running"),
        ("Running" | "Paused", Call::EndGuest) => Ok("Shutdown"),
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}

#[tokio::test]
async fn whatever_the_order_of_calls_the_state_is_that_of_the_table() {
    let (subject, config) = serving("order");
    let calls = [
        Call::Create(config),
        Call::Boot,
        Call::Boot,
        Call::Pause,
        Call::Resume,
        Call::Reboot,
        Call::PowerButton,
        Call::EndGuest,
        Call::Delete,
    ];
    let (mut state, mut seen) = ("none", std::collections::BTreeSet::new());
    let mut chance = Mutator::new(21);
    for step in 0..300 {
        let call = &calls[chance.below(calls.len())];
        let expected = expected(state, call);
        seen.insert((state, format!("{call:?}").chars().take(8).collect::<String>(), expected.is_ok()));
        let status = subject.call(call.clone()).await.map_err(|refusal| refusal.status);
        assert_eq!(status.map(|_| ()), expected.map(|_| ()), "step {step}: {call:?} when {state}");
        state = expected.unwrap_or(state);
        match subject.call(Call::Info).await {
            Ok(Answer::Document(info)) => assert_eq!(info["state"], state, "step {step}: after {call:?}"),
            Ok(other) => panic!("a document: {other:?}"),
            Err(refusal) => assert_eq!((refusal.status, state), (StatusCode::NOT_FOUND, "none")),
        }
    }
    assert!(seen.len() > 25, "too little was tried: {seen:?}");
}

#[tokio::test]
async fn a_guest_that_ends_leaves_the_process_and_can_be_booted_again() {
    let (mut subject, mut config) = serving("ends");
    config.payload.cmdline = Some("memory=1M heartbeat=20 duration=0.2".into());
    subject.call(Call::Create(config)).await.unwrap();
    for _ in 0..2 {
        subject.call(Call::Boot).await.unwrap();
        outlive_the_next_end(&mut subject).await;
        let info = info(&subject).await;
        assert_eq!(
            (&info["state"], info["memory_actual_size"].as_u64()),
            (&"Shutdown".into(), Some(64 << 20))
        );
        assert!(info["ended"].as_str().is_some_and(|why| why.contains("the guest ended the run")), "{info}");
    }
}

#[tokio::test]
async fn a_reset_boots_the_guest_anew_and_word_of_an_earlier_machine_does_nothing() {
    let (subject, config) = serving("reset");
    subject.call(Call::Create(config)).await.unwrap();
    subject.call(Call::Boot).await.unwrap();
    subject.hear(2).await;
    let first = subject.vmm.now().machine;
    assert_eq!(subject.vmm.outlive(Ending::Guest { machine: first, exit: Exit::Reset }).await, None);
    assert_eq!(subject.vmm.now().machine, first + 1);
    subject.hear(2).await;
    assert_eq!(subject.beats().iter().filter(|beat| beat.sequence == 1).count(), 2, "it began anew");
    let late = Ending::Guest { machine: first, exit: Exit::PowerOff };
    assert_eq!(subject.vmm.outlive(late).await, None);
    assert_eq!(subject.vmm.now().guest.state(), VmState::Running);
    // The quit keys are for the process.
    let quit = Ending::Guest { machine: first + 1, exit: Exit::Quit };
    assert_eq!(subject.vmm.outlive(quit.clone()).await, Some(quit));
}

#[tokio::test]
async fn a_machine_that_cannot_be_made_leaves_what_was_created() {
    let (subject, mut config) = serving("unbootable");
    config.payload.kernel = Some("/nowhere/vmlinuz".parse().unwrap());
    subject.call(Call::Create(config)).await.unwrap();
    let (status, words) = subject.refused(Call::Boot).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(words.contains("/nowhere/vmlinuz"), "{words}");
    assert_eq!(subject.vmm.now().guest.state(), VmState::Created);
    // A refusal to boot makes no machine: the next guest's end is still its own.
    subject.call(Call::Delete).await.unwrap();
    assert_eq!(subject.refused(Call::Boot).await.0, StatusCode::NOT_FOUND);
}

/// Creates in `subject` its own side of a guest that is to come.
async fn create_own_side(subject: &Subject) {
    let mut side = Box::new(config(&subject.console, DeviceSet::default()));
    side.payload = Payload::default();
    subject.call(Call::Create(side)).await.unwrap();
}

#[tokio::test]
async fn a_guest_moves_there_and_back_between_processes_that_go_on() {
    let (mut source, config) = serving("move");
    let (mut target, _) = serving("move-target");
    source.call(Call::Create(config)).await.unwrap();
    source.call(Call::Boot).await.unwrap();
    source.hear(2).await;
    for socket in ["move-there", "move-back"] {
        create_own_side(&target).await;
        assert_eq!(target.refused(Call::Boot).await.0, StatusCode::METHOD_NOT_ALLOWED);
        let path = file(socket);
        let receiving = waiting(&target, &path).await;
        source.call(Call::Send(to(&path).into())).await.unwrap();
        receiving.await.unwrap().unwrap();
        outlive_the_next_end(&mut source).await;
        assert_eq!(info(&source).await["state"], "Shutdown");
        let (status, words) = source.refused(Call::Boot).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert!(words.contains("runs elsewhere"), "{words}");

        target.hear(2).await;
        let here = info(&target).await;
        assert_eq!((&here["state"], &here["config"]["payload"]), (&"Running".into(), &json!({})));
        assert_eq!(here["config"]["memory"]["size"], 64 << 20);
        // It has no kernel here: it can be ended, and not be booted again.
        let (status, words) = target.refused(Call::Reboot).await;
        assert!(status == StatusCode::METHOD_NOT_ALLOWED && words.contains("no payload.kernel"), "{words}");
        target.hear(1).await;
        source.call(Call::Delete).await.unwrap();
        assert_eq!(source.refused(Call::Info).await.0, StatusCode::NOT_FOUND);
        std::mem::swap(&mut source, &mut target);
    }
    source.call(Call::EndGuest).await.unwrap();
    assert_eq!(info(&source).await["state"], "Shutdown");
    source.call(Call::Delete).await.unwrap();
}

#[tokio::test]
async fn a_guest_that_never_arrives_leaves_what_was_created() {
    let (subject, _) = serving("never");
    create_own_side(&subject).await;
    let path = file("never-socket");
    let receiving = waiting(&subject, &path).await;
    assert_eq!(subject.refused(Call::Delete).await.0, StatusCode::CONFLICT);
    subject.call(Call::Cancel(CancelMigration::default())).await.unwrap();
    assert!(receiving.await.unwrap().is_err());
    assert_eq!(subject.vmm.now().guest.state(), VmState::Created);

    // Nor when a machine was made for it.
    let source = booted("never-source");
    let shape = source.vmm.now().guest.machine().unwrap().shape().unwrap();
    for created in [true, false] {
        {
            let (own_side, mut now) = (IncomingConfig::without_devices(DirtyKind::Log), subject.vmm.now());
            now.guest.prepare(&shape, &own_side, subject.vmm.exits(1)).unwrap();
            assert!(now.guest.awaits_boot("booting").unwrap_err().to_string().contains("still arriving"));
        }
        subject.vmm.discard();
        let is_there = subject.call(Call::Info).await.is_ok();
        assert_eq!(is_there, created);
        subject.call(Call::Delete).await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_booted_where_a_guest_of_an_earlier_process_may_run_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    Ledger::open(folder.path()).unwrap().note(7, Fate::GaveUp, "tcp:there:1").unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let (subject, config) = serving_with("left-open", None, ledger);
    subject.call(Call::Create(config)).await.unwrap();
    let (status, words) = subject.refused(Call::Boot).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(words.contains("tcp:there:1") && words.contains("godwit resolve --state-dir"), "{words}");
    assert_eq!(subject.vmm.now().guest.state(), VmState::Created);
}

#[tokio::test]
async fn a_balloon_keeps_its_size_when_its_guest_is_rebooted() {
    let (subject, mut config) = serving("balloon");
    config.devices.balloon = Some("size=0".parse().unwrap());
    subject.call(Call::Create(config)).await.unwrap();
    subject.call(Call::Boot).await.unwrap();
    subject.call(Call::Resize(Resize { desired_balloon: Some(8 << 20) })).await.unwrap();
    subject.call(Call::Reboot).await.unwrap();
    assert_eq!(info(&subject).await["config"]["balloon"]["size"], 8 << 20);
}

#[tokio::test]
async fn only_allowed_files_can_be_named_and_a_client_is_told_the_flag() {
    let (subject, mut config) = serving_of("allowed", Some(Allowed::default()));
    let (status, words) = subject.refused(Call::Create(config.clone())).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(words.contains("godwit-service-allowed-console") && words.contains("--allow "), "{words}");
    config.serial = crate::SerialConfig::Null;
    subject.call(Call::Create(config)).await.unwrap();
}

#[tokio::test]
async fn a_process_of_one_guest_makes_no_other() {
    let target = empty_with("one-guest", DeviceSet::default());
    let config = Box::new(config(&target.console, DeviceSet::default()));
    for call in [Call::Create(config), Call::Delete] {
        let (status, words) = target.refused(call).await;
        assert!(status == StatusCode::METHOD_NOT_ALLOWED && words.contains("godwit serve"), "{words}");
    }
    let guest = booted("one-guest-reboot");
    guest.hear(2).await;
    guest.call(Call::Reboot).await.unwrap();
    guest.hear(2).await;
}
