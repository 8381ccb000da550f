//! A machine boots, ends as its guest says, and moves: saved in one machine, it carries on in another.
//!
//! These need /dev/kvm. The guest is the load guest, which checks its own memory as it goes.

use std::time::Duration;

use godwit_devices::{
    GuestPanic, Kind,
    virtio::{BalloonConfig, DiskConfig, VsockConfig},
};
use godwit_migration::shape::Region;
use godwit_state::{Section, Sections, StateError};
use vmm_sys_util::tempdir::TempDir;

use super::{
    Machine, RunState,
    bench::{self, boot, incoming, moved},
    wiring,
};
use crate::{
    DeviceSet, error::MachineError, exit::Exit, golden_test::payload, vcpu::state::VcpuState,
    vm_state::ClockState,
};

#[test]
fn a_guest_ends_as_it_says() {
    for (how, expected) in
        [("debug", Exit::DebugExit(1)), ("reset", Exit::Reset), ("triple", Exit::TripleFault { vcpu: 0 })]
    {
        let (mut bench, token) = boot(&format!("memory=1M duration=1 exit={how}"), 1);
        bench.resume(token);
        assert_eq!(bench.exit(), expected, "exit={how}");
        assert!(bench.output().contains("load: DONE"), "{}", bench.output());
    }
}

#[test]
fn a_guest_that_panicked_ends_of_that_where_it_can_tell() {
    for pvpanic in [true, false] {
        let devices = DeviceSet { pvpanic, ..DeviceSet::default() };
        let (mut bench, token) = bench::boot_devices("memory=1M duration=1 exit=panic", devices).unwrap();
        bench.resume(token);
        assert_eq!(bench.exit(), if pvpanic { Exit::GuestPanic } else { Exit::Reset });
        assert_eq!(bench.machine.guest_panic(), pvpanic.then_some(GuestPanic::Panicked));
    }
}

#[test]
fn nothing_runs_before_the_token_is_spent() {
    let (bench, _token) = boot("memory=1M", 1);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(bench.machine.state(), RunState::Paused);
    assert_eq!(bench.output(), "");
}

#[test]
fn a_paused_guest_is_silent_and_carries_on() {
    let (mut bench, token) = boot("memory=1M", 1);
    bench.resume(token);
    bench.await_beats(2);
    let token = bench.machine.pause().unwrap();
    let before = bench.beats();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(bench.beats(), before);
    assert!(matches!(bench.machine.pause(), Err(MachineError::WrongState { .. })));
    bench.resume(token);
    bench.await_beats(before.len() + 2);
    assert!(matches!(bench.machine.save(), Err(MachineError::WrongState { .. })));
}

#[test]
fn no_kick_is_lost_however_often_a_guest_is_paused() {
    let (mut bench, mut token) = boot("memory=4M rate=20000", 2);
    for _ in 0..300 {
        bench.resume(token);
        token = bench.machine.pause().unwrap();
    }
    bench.resume(token);
    let beats = bench.beats().len();
    assert!(bench.await_beats(beats + 2).iter().all(|beat| beat.1 == 0));
}

#[test]
fn time_goes_on_while_a_guest_is_moved() {
    const TSC: u32 = 0x10;
    let (source, _token) = boot("memory=1M", 2);
    let saved = source.machine.save().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let mut target = incoming(&source.machine);
    target.machine.restore(&saved).unwrap();
    let again = target.machine.save().unwrap();
    // Between the two savings, as the source's own clock and counters show it.
    let here = source.machine.save().unwrap();
    let clock = |sections: &Sections| sections.open::<ClockState>("vm").unwrap().guest_nanoseconds;
    let passed = clock(&here) - clock(&saved);
    assert!(clock(&again).abs_diff(clock(&here)) < 50_000_000, "{} and {}", clock(&again), clock(&here));
    assert!(passed >= 200_000_000, "{passed} ns");
    for vcpu in ["vcpu0", "vcpu1"] {
        let tsc = |sections: &Sections| {
            let state: VcpuState = sections.open(vcpu).unwrap();
            let (_, value) = *state.msrs.iter().find(|(index, _)| *index == TSC).unwrap();
            (value, state.tsc_khz)
        };
        let ((target, khz), (source, _)) = (tsc(&again), tsc(&here));
        let apart = target.abs_diff(source) / u64::from(khz / 1000);
        assert!(apart < 50_000, "{vcpu}: the two counters are {apart} µs apart");
    }
}

#[test]
fn a_busy_guest_moves_and_finds_its_memory_whole() {
    for cpus in [1, 2] {
        let (mut source, token) = boot("memory=8M rate=5000 working_set=4M", cpus);
        source.resume(token);
        let last = source.await_beats(3).last().unwrap().0;
        let token = source.machine.pause().unwrap();
        let mut target = moved(source, token);
        let beats = target.await_beats(5);
        assert!(beats[0].0 > last && beats[0].0 <= last + 3, "{cpus} vCPUs: {last}, then {beats:?}");
        assert!(beats.iter().all(|beat| beat.1 == 0), "{cpus} vCPUs: {beats:?}");
        // And on again, from where it has arrived.
        let token = target.machine.pause().unwrap();
        let beats = moved(target, token).await_beats(3);
        assert!(beats.iter().all(|beat| beat.1 == 0), "{cpus} vCPUs: {beats:?}");
    }
}

#[test]
fn a_guest_that_never_ran_moves_too() {
    let (source, token) = boot("memory=1M duration=1", 2);
    let target = moved(source, token);
    assert_eq!(target.exit(), Exit::DebugExit(1));
}

/// Forgets what goes on while nothing runs: the time.
fn timeless(sections: &Sections) -> Vec<Section> {
    const TIMER_COUNT: usize = 0x390;
    let timeless = |section: &Section| match section.kind.as_str() {
        "clock" | "pit" | "rtc" => None,
        "vcpu" => {
            let mut state: VcpuState = section.open().unwrap();
            state.msrs.retain(|(index, _)| !matches!(index, 0x10 | 0x6e0));
            state.tsc_offset = None;
            state.lapic.0.regs[TIMER_COUNT..TIMER_COUNT + 4].fill(0);
            Some(Section::of(&section.instance, &state).unwrap())
        }
        _ => Some(section.clone()),
    };
    sections.iter().filter_map(timeless).collect()
}

#[test]
fn what_was_restored_is_saved_again_unchanged() {
    let (mut source, token) = boot("memory=4M rate=5000", 2);
    source.resume(token);
    source.await_beats(2);
    let _token = source.machine.pause().unwrap();
    let saved = source.machine.save().unwrap();
    let mut target = incoming(&source.machine);
    target.machine.restore(&saved).unwrap();
    let again = target.machine.save().unwrap();
    for (one, other) in timeless(&saved).iter().zip(timeless(&again)) {
        assert_eq!(one.instance, other.instance);
        if one.kind == "vcpu" {
            assert_eq!(one.open::<VcpuState>().unwrap(), other.open::<VcpuState>().unwrap());
        }
        assert_eq!(*one, other);
    }
    assert_eq!(saved.len(), again.len());
    assert_eq!(source.machine.shape().unwrap(), target.machine.shape().unwrap());
}

#[test]
fn every_part_of_a_vcpus_state_is_taken_over() {
    const LSTAR: u32 = 0xc000_0082;
    /// Where the first vector register is in the XSAVE area, and the list of the components in use.
    const XMM0: usize = 160;
    const COMPONENTS: usize = 512;
    /// Task priority, in the LAPIC's page.
    const TPR: usize = 0x80;
    let (source, _token) = boot("memory=1M", 2);
    let saved = source.machine.save().unwrap();
    let mut state: VcpuState = saved.open("vcpu1").unwrap();
    state.regs.0.r15 = 0x1122_3344;
    state.sregs.0.fs.base = 0x5000;
    (state.debug.0.db[0], state.debug.0.dr7) = (0x6000, 0x401);
    state.xsave[XMM0] = 0x77;
    state.xsave[COMPONENTS] |= 2;
    state.msrs.iter_mut().find(|(index, _)| *index == LSTAR).unwrap().1 = 0x8000;
    state.lapic.0.regs[TPR] = 0x20;
    state.sregs.0.cr8 = 2;
    state.mp_state = kvm_bindings::KVM_MP_STATE_HALTED;
    let sections = saved.iter().filter(|s| s.instance != "vcpu1").cloned();
    let sections = sections.chain([Section::of("vcpu1", &state).unwrap()]);
    let mut target = incoming(&source.machine);
    target.machine.restore(&Sections::checked(sections.collect()).unwrap()).unwrap();
    let arrived: VcpuState = target.machine.save().unwrap().open("vcpu1").unwrap();
    assert_eq!(arrived.regs, state.regs);
    assert_eq!(arrived.sregs, state.sregs);
    assert_eq!(arrived.debug, state.debug);
    assert_eq!(arrived.xsave[XMM0], 0x77);
    assert!(arrived.msrs.contains(&(LSTAR, 0x8000)));
    assert_eq!(arrived.lapic.0.regs[TPR], 0x20);
    assert_eq!(arrived.mp_state, state.mp_state);
}

#[test]
fn a_state_that_does_not_fit_is_refused_in_words() {
    let (source, _token) = boot("memory=1M", 1);
    let saved = source.machine.save().unwrap();
    let all: Vec<_> = saved.iter().cloned().collect();
    let refused = |sections: Vec<Section>| {
        let mut target = incoming(&source.machine);
        let error = target.machine.restore(&Sections::checked(sections).unwrap()).unwrap_err();
        assert_eq!(target.machine.state(), RunState::Incoming);
        assert!(target.machine.resume(Machine::grant_from_peer()).is_err());
        error.to_string()
    };
    for section in &all {
        let rest: Vec<_> = all.iter().filter(|s| *s != section).cloned().collect();
        assert!(refused(rest).contains(&section.instance), "without {}", section.instance);
    }
    let stranger = Section { instance: "com2".into(), ..all.last().unwrap().clone() };
    assert!(refused([all.as_slice(), &[stranger]].concat()).contains("com2"));
    for at in 0..all.len() {
        let mut cut = all.clone();
        if cut[at].payload.pop().is_some() {
            assert!(refused(cut).contains(&all[at].instance));
        }
    }
}

#[test]
fn a_hostile_vcpu_state_is_an_error() {
    let (source, _token) = boot("memory=1M", 1);
    let saved = source.machine.save().unwrap();
    let state: VcpuState = saved.open("vcpu0").unwrap();
    let with = |change: &dyn Fn(&mut VcpuState)| {
        let mut changed = state.clone();
        change(&mut changed);
        let sections = saved.iter().filter(|s| s.kind != "vcpu").cloned();
        let sections = sections.chain([Section::of("vcpu0", &changed).unwrap()]);
        let mut target = incoming(&source.machine);
        target.machine.restore(&Sections::checked(sections.collect()).unwrap()).unwrap_err().to_string()
    };
    assert!(with(&|s| s.msrs.push((0xdead_beef, 1))).contains("MSR 0xdeadbeef"));
    assert!(with(&|s| s.xsave.resize(1 << 18, 0)).contains("XSAVE"));
    assert!(with(&|s| s.cpuid.resize(300, s.cpuid[0])).contains("CPUID"));
    assert!(with(&|s| s.events.0.flags = !0).contains("flags"));
    assert!(with(&|s| s.sregs.0.cr0 = !0).contains("SREGS"));
    assert!(with(&|s| s.mp_state = 99).contains("MP_STATE"));
    assert!(with(&|s| s.xcrs.0.nr_xcrs = u32::MAX).contains("XCRS"));
}

#[test]
fn a_state_is_taken_once_and_only_by_a_machine_made_for_it() {
    let (mut source, _token) = boot("memory=1M", 1);
    let saved = source.machine.save().unwrap();
    assert!(matches!(source.machine.restore(&saved), Err(MachineError::WrongState { .. })));
    let mut target = incoming(&source.machine);
    target.machine.restore(&saved).unwrap();
    assert!(matches!(target.machine.restore(&saved), Err(MachineError::WrongState { .. })));
    let missing = incoming(&source.machine).machine.restore(&Sections::default());
    assert!(matches!(missing, Err(MachineError::State(StateError::Missing { .. }))));
}

#[test]
fn a_machine_of_our_own_is_never_refused_and_a_foreign_one_with_every_reason() {
    let (source, _token) = boot("memory=1M", 2);
    let shape = source.machine.shape().unwrap();
    assert_eq!(Machine::refusals(&shape, &DeviceSet::default()), Vec::<String>::new());

    let mut foreign = shape.clone();
    foreign.memory.regions[0].bytes = 3 << 30;
    foreign.memory.regions.push(Region { gpa: 4 << 30, bytes: 1 << 41 });
    foreign.devices[0].version = 99;
    foreign.devices[1].kind = "floppy".into();
    foreign.cpus.msrs.push(0xdead_beef);
    foreign.cpus.xsave_bytes = 1 << 20;
    foreign.cpus.tsc_khz = 1000;
    let leaf7 = foreign.cpus.cpuid.iter_mut().find(|e| e.function == 7 && e.index == 0).unwrap();
    leaf7.registers[1] |= 1 << 16;
    let reasons = Machine::refusals(&foreign, &DeviceSet::default()).join("\n");
    for part in
        ["of memory, this host", "version 99", "floppy", "0xdeadbeef", "XSAVE", "CPU feature avx512f", "kHz"]
    {
        assert!(reasons.contains(part), "no '{part}' in: {reasons}");
    }
}

/// One of every device that needs nothing of the host, with several queues where it can have them.
fn several_queues(folder: &TempDir) -> DeviceSet {
    let image = folder.as_path().join("disk");
    std::fs::write(&image, [0; 4096]).unwrap();
    DeviceSet {
        disks: vec![DiskConfig { num_queues: 3, queue_size: 64, ..DiskConfig::new(image) }],
        balloon: Some("free_page_reporting=on".parse().unwrap()),
        vsock: Some(VsockConfig { cid: 3, socket: folder.as_path().join("vsock") }),
        console: Some("null".parse().unwrap()),
        console_ports: vec!["name=agent,null".parse().unwrap()],
        ..DeviceSet::default()
    }
}

#[test]
fn what_is_said_of_queues_before_a_machine_is_made_is_what_it_has() {
    let folder = TempDir::new().unwrap();
    let devices = several_queues(&folder);
    let (bench, _token) = bench::boot_devices("memory=1M", devices.clone()).unwrap();
    let has = bench.machine.shape().unwrap().devices;
    let has: Vec<_> = has.into_iter().map(|device| (device.instance, device.queue_sizes)).collect();
    let said = wiring::outlines(&devices).into_iter().map(|device| (device.instance, device.queue_sizes));
    assert_eq!(has, said.collect::<Vec<_>>());
    let queues = |name: &str| has.iter().find(|(instance, _)| instance == name).unwrap().1.len();
    assert_eq!(["com1", "rng0", "disk0", "balloon0", "console0"].map(queues), [0, 1, 3, 5, 6]);
}

#[test]
fn a_machine_with_every_device_is_saved_again_unchanged_and_no_part_of_it_is_without_a_golden_payload() {
    let folder = TempDir::new().unwrap();
    let devices = DeviceSet { pvpanic: true, ..several_queues(&folder) };
    let (source, _token) = bench::boot_devices("memory=1M", devices.clone()).unwrap();
    let saved = source.machine.save().unwrap();
    let socket = folder.as_path().join("there.vsock");
    let there = DeviceSet { vsock: Some(VsockConfig { cid: 3, socket }), ..devices };
    let mut target = bench::incoming_devices(&source.machine, there);
    target.machine.restore(&saved).unwrap();
    assert_eq!(timeless(&target.machine.save().unwrap()), timeless(&saved));
    // The devices' own are held to it by their registry.
    let of_vm = saved.iter().filter(|section| Kind::named(&section.kind).is_none());
    let kept: Vec<_> =
        of_vm.map(|section| (&section.kind, payload(&section.kind, section.version))).collect();
    assert_eq!(
        kept.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(),
        ["clock", "irqchip", "pit", "vcpu"]
    );
    assert!(kept.iter().all(|(_, payload)| !payload.is_empty()));
}

#[test]
fn a_side_with_other_queues_is_refused_with_every_reason() {
    let folder = TempDir::new().unwrap();
    let devices = several_queues(&folder);
    let (bench, _token) = bench::boot_devices("memory=1M", devices.clone()).unwrap();
    let shape = bench.machine.shape().unwrap();
    assert_eq!(Machine::refusals(&shape, &devices), [""; 0]);
    let mut other = devices.clone();
    other.disks[0].num_queues = 2;
    other.balloon = Some(BalloonConfig::default());
    other.console_ports.clear();
    let reasons = [
        "the guest's 'disk0' has 3 queues, here it has 2; num_queues must be the same on both sides",
        "the guest's 'balloon0' has 5 queues, here it has 4; free_page_reporting must be the same on both sides",
        "the guest's 'console0' has 6 queues, here it has 4; its ports must be the same on both sides",
    ];
    assert_eq!(Machine::refusals(&shape, &other), reasons);
    let mut sized = devices;
    sized.disks[0].queue_size = 32;
    let smaller = "queue 0 of the guest's 'disk0' has up to 64 entries, here up to 32; queue_size must be as large on this side";
    assert_eq!(Machine::refusals(&shape, &sized), [smaller]);
    sized.disks[0].queue_size = 128;
    assert_eq!(Machine::refusals(&shape, &sized), [""; 0], "a larger one does");
}

#[test]
fn a_guest_that_reaches_beyond_the_hole_runs_and_moves() {
    let (mut source, token) = bench::boot_sized("memory=2M rate=1000", 5 << 30);
    assert_eq!(source.machine.shape().unwrap().memory.regions.len(), 2);
    source.resume(token);
    source.await_beats(2);
    let token = source.machine.pause().unwrap();
    let beats = moved(source, token).await_beats(3);
    assert!(beats.iter().all(|beat| beat.1 == 0), "{beats:?}");
}
