//! Whole conversations with an enemy who knows checksums: mutated control messages, in any order, at either machine.

use std::time::Duration;

use godwit_migration::{
    convergence::ladder::Escalation,
    error::ProtocolError,
    limits::{MAX_LANES, MAX_REASONS, MAX_TEXT_BYTES, PAGE_BYTES, PROTOCOL},
    page::PageSet,
    preset::{Overrides, Scheme},
    shape::{CpuShape, CpuidEntry, DeviceShape, MachineShape, MemoryShape, Region},
    source::{self, OnTimeout, Source, SourceConfig},
    target::{self, Target},
    wire::{
        Answer, Hello, HelloReply, LaneHello, LaneTotals, MESSAGE_HEADER_BYTES, MessageHeader, Prepare,
        SourceMessage, TargetMessage, decode_message, encode_message,
    },
};
use godwit_state::{Section, Sections};

use crate::{corpus::Corpus, mutator::Mutator, number, target::PAGES};

/// Most actions that one message may lead to.
const MOST_ACTIONS: usize = 64;

fn shape() -> MachineShape {
    MachineShape {
        memory: MemoryShape { regions: vec![Region { gpa: 0, bytes: u64::from(PAGES) * PAGE_BYTES as u64 }] },
        cpus: CpuShape {
            count: 2,
            cpuid: vec![CpuidEntry { function: 7, index: 0, flags: 1, registers: [1, 2, 3, !0] }; 3],
            msrs: vec![0x10, 0x1b, 0xc000_0080],
            tsc_khz: 2_000_000,
            xsave_bytes: 4096,
        },
        devices: vec![DeviceShape {
            instance: "com1".into(),
            kind: "serial".into(),
            version: 1,
            queue_sizes: vec![256, 64],
        }],
    }
}

/// One of each that a source says.
pub fn source() -> Vec<SourceMessage> {
    let (oldest, newest) = PROTOCOL;
    let prepare = Box::new(Prepare { shape: shape(), lanes: 2 });
    let section =
        Section { kind: "serial".into(), instance: "com1".into(), version: 1, payload: (0..40).collect() };
    vec![
        SourceMessage::Hello(Hello {
            oldest,
            newest,
            capabilities: 0,
            session: 7,
            replaces: 0,
            software: "godwit 1".into(),
        }),
        SourceMessage::Prepare(prepare.clone()),
        SourceMessage::Check(prepare),
        SourceMessage::Lane(LaneHello { session: 7, lane: 1 }),
        SourceMessage::State(vec![section; 3]),
        SourceMessage::Go,
        SourceMessage::Abort("no longer".into()),
        SourceMessage::Beat,
        SourceMessage::Ask(7),
    ]
}

/// One of each that a target says.
pub fn target() -> Vec<TargetMessage> {
    vec![
        TargetMessage::Hello(HelloReply {
            version: PROTOCOL.1,
            capabilities: 0,
            software: "godwit 1".into(),
        }),
        TargetMessage::Refused(vec!["no avx2".into(), "too little memory".into()]),
        TargetMessage::Prepared,
        TargetMessage::LanesOpen,
        TargetMessage::RoundDone { round: 1, pages: u64::from(PAGES) },
        TargetMessage::Ready,
        TargetMessage::Running { cpu_us: 5 },
        TargetMessage::Abort("no room".into()),
        TargetMessage::Beat,
        TargetMessage::Accepted,
        TargetMessage::Answer(Answer::Runs),
    ]
}

fn decode<M: serde::de::DeserializeOwned>(raw: &[u8]) -> Result<M, ProtocolError> {
    let header = raw[..MESSAGE_HEADER_BYTES].try_into().expect("a header");
    decode_message(MessageHeader::decode(header)?, &raw[MESSAGE_HEADER_BYTES..])
}

/// The next message of a conversation: mostly the one that is due, or any other, or a mutation.
fn next<M: serde::Serialize>(mutator: &mut Mutator, due: &M, all: &[M], corpus: &[Vec<u8>]) -> Vec<u8> {
    match mutator.below(16) {
        0 => mutator.message(corpus),
        1 => encode_message(&all[mutator.below(all.len())]),
        _ => encode_message(due),
    }
}

/// What is said of a peer's fault fits a line of a log.
fn bounded(sentence: &str) {
    assert!(sentence.len() <= 2 * MAX_TEXT_BYTES, "{} bytes: {sentence}", sentence.len());
}

fn config() -> SourceConfig {
    SourceConfig {
        session: 7,
        replaces: 0,
        scheme: Scheme::parse("precopy", &Overrides::default()).expect("a preset"),
        lanes: 2,
        downtime: Duration::from_millis(15),
        timeout: None,
        on_timeout: OnTimeout::Cancel,
        bandwidth_cap: None,
        escalate: Escalation::default(),
        tracking: "test".into(),
        shape: shape(),
    }
}

/// What an action of the source leads to where all goes well, and the guest writes nothing.
fn done(action: &source::Action) -> Option<source::Event> {
    match action {
        source::Action::OpenLanes(_) => Some(source::Event::LanesOpen),
        source::Action::StartTracking(_) => Some(source::Event::Tracking(PageSet::full(PAGES))),
        source::Action::Harvest => Some(source::Event::Harvested(PageSet::empty(PAGES))),
        source::Action::SendRound { plan, .. } => {
            let pages = u64::from(plan.pages.count());
            let wire_bytes = pages * PAGE_BYTES as u64;
            Some(source::Event::RoundSent(LaneTotals { pages, wire_bytes, ..LaneTotals::default() }))
        }
        source::Action::Pause => Some(source::Event::Paused),
        source::Action::Save => Some(source::Event::Saved(Sections::default())),
        source::Action::Undo => Some(source::Event::Undone(Ok(()))),
        _ => None,
    }
}

#[test]
fn a_target_stays_within_bounds_whatever_a_source_says() {
    let (all, corpus) = (source(), Corpus::read("source"));
    assert!(corpus.iter().all(|seed| decode::<SourceMessage>(seed).is_ok()));
    let due = [0, 1, 4, 5].map(|at| all[at].clone());
    let mut mutator = Mutator::new(number("GODWIT_FUZZ_SEED", 4));
    let (mut refused, mut prepared) = (0, 0);
    for _ in 0..number("GODWIT_FUZZ_ITERATIONS", 10_000) {
        let mut machine = Target::new(Duration::ZERO);
        let mut go = false;
        for due in &due {
            let event = match decode(&next(&mut mutator, due, &all, &corpus)) {
                Ok(message) => target::Event::Message(message),
                Err(error) => {
                    refused += 1;
                    target::Event::ProtocolBroken(error)
                }
            };
            go |= matches!(event, target::Event::Message(SourceMessage::Go));
            let mut events = vec![event];
            let mut actions = 0;
            while let Some(event) = events.pop() {
                machine.handle(Duration::from_millis(1), event);
                while let Some(action) = machine.poll_action() {
                    actions += 1;
                    assert!(actions < MOST_ACTIONS, "it never ends: {action:?}");
                    match action {
                        target::Action::Prepare { shape, .. } => {
                            assert!(shape.check().is_ok(), "a shape that cannot be is asked for: {shape:?}");
                            prepared += 1;
                            events.push(target::Event::Prepared(Ok(())));
                        }
                        target::Action::AcceptLanes { lanes, .. } => {
                            assert!((1..=MAX_LANES).contains(&lanes), "{lanes} lanes");
                            events.push(target::Event::LanesOpen);
                        }
                        target::Action::Check(shape) => {
                            assert!(shape.check().is_ok(), "a shape that cannot be is asked for: {shape:?}");
                            events.push(target::Event::Checked(vec![]));
                        }
                        target::Action::Run => assert!(go, "it runs without Go"),
                        target::Action::Send(TargetMessage::Refused(reasons)) => {
                            assert!(reasons.len() <= MAX_REASONS, "{} reasons", reasons.len());
                        }
                        target::Action::Finish(Err(error)) => bounded(&error.to_string()),
                        _ => {}
                    }
                }
            }
        }
    }
    assert!(refused > 0 && prepared > 0, "{refused} refused, {prepared} prepared");
}

#[test]
fn a_source_gives_its_guest_up_for_ready_alone_whatever_a_target_says() {
    let (all, corpus) = (target(), Corpus::read("target"));
    assert!(corpus.iter().all(|seed| decode::<TargetMessage>(seed).is_ok()));
    let (hello, running) = (&all[0], &all[6]);
    let rounds =
        [(1, u64::from(PAGES)), (2, 0)].map(|(round, pages)| TargetMessage::RoundDone { round, pages });
    let due = [hello, &all[2], &all[3], &rounds[0], &rounds[1], &TargetMessage::Ready, running];
    let mut mutator = Mutator::new(number("GODWIT_FUZZ_SEED", 5));
    let (mut gave_up, mut failed) = (0, 0);
    for _ in 0..number("GODWIT_FUZZ_ITERATIONS", 3_000) {
        let mut machine = Source::new(Duration::ZERO, config());
        let (mut ready, mut broken) = (false, false);
        let mut events = vec![];
        for due in due {
            let mut actions = 0;
            loop {
                while let Some(action) = machine.poll_action() {
                    actions += 1;
                    assert!(actions < MOST_ACTIONS, "it never ends: {action:?}");
                    match action {
                        source::Action::GiveUp => {
                            assert!(ready && !broken, "the right to run is given up for nothing");
                            gave_up += 1;
                        }
                        source::Action::Finish(report) => {
                            failed += u64::from(report.error.is_some());
                            report.error.iter().for_each(|error| bounded(&error.to_string()));
                        }
                        other => events.extend(done(&other)),
                    }
                }
                let Some(event) = events.pop() else { break };
                machine.handle(Duration::from_millis(1), event);
            }
            let event = match decode(&next(&mut mutator, due, &all, &corpus)) {
                Ok(message) => {
                    ready |= message == TargetMessage::Ready;
                    source::Event::Message(message)
                }
                Err(error) => {
                    broken |= !ready;
                    source::Event::ProtocolBroken(error)
                }
            };
            machine.handle(Duration::from_millis(1), event);
        }
    }
    assert!(gave_up > 0 && failed > 0, "{gave_up} given up, {failed} failed");
}
