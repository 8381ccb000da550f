//! The load guest, booted as anybody else's VMM boots it: QEMU in software emulation, which every machine can run.
//!
//! What is tested is what the manual promises: lines, exit status, the finding of damage, several vCPUs, input.
//! godwit's own suites boot the same image on KVM.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use guest_images::{Heartbeat, LOAD_ELF, LoadLine};

const QEMU: &str = "qemu-system-x86_64";
const MICROVM: &[&str] = &["-M", "microvm,rtc=on,pit=on,pic=on,isa-serial=on"];
const Q35: &[&str] = &["-M", "q35"];

/// QEMU's exit status for what the guest writes to the debug-exit port: twice as much and one.
const GOOD: i32 = 1;
const ERROR: i32 = 3;
const BAD: i32 = 5;

/// A booted guest; its console is read to the end by [`Guest::finish`].
struct Guest {
    qemu: Child,
    input: ChildStdin,
}

impl Guest {
    fn boot(machine: &[&str], vcpus: u32, command_line: &str) -> Self {
        let mut qemu = Command::new(QEMU)
            .args(machine)
            .args(["-accel", "tcg", "-cpu", "max", "-m", "64", "-smp", &vcpus.to_string()])
            .args(["-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-serial", "stdio"])
            .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"])
            .arg("-kernel")
            .arg(image())
            .args(["-append", command_line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{QEMU}: {error}; install the package qemu-system-x86"));
        let input = qemu.stdin.take().unwrap();
        Self { qemu, input }
    }

    /// The lines until the guest ends, and QEMU's exit status. `on_line` may type an answer to each.
    fn finish(mut self, mut on_line: impl FnMut(&LoadLine, &mut ChildStdin)) -> (Vec<LoadLine>, i32) {
        let mut lines = Vec::new();
        for line in BufReader::new(self.qemu.stdout.take().unwrap()).lines() {
            let line = String::from_utf8_lossy(line.unwrap().as_bytes()).into_owned();
            // SeaBIOS leaves its last line without an end.
            let at = line.find("load: ").unwrap_or(0);
            if let Some(line) = LoadLine::parse(&line[at..]) {
                on_line(&line, &mut self.input);
                lines.push(line);
            }
        }
        (lines, self.qemu.wait().unwrap().code().unwrap())
    }
}

/// The image as a file, which QEMU needs.
fn image() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("load.elf");
    if !std::fs::read(&path).is_ok_and(|old| old == LOAD_ELF) {
        let own = path.with_extension(format!("{:?}", std::thread::current().id()));
        std::fs::write(&own, LOAD_ELF).unwrap();
        std::fs::rename(&own, &path).unwrap();
    }
    path
}

fn run(machine: &[&str], vcpus: u32, command_line: &str) -> (Vec<LoadLine>, i32) {
    Guest::boot(machine, vcpus, command_line).finish(|_, _| {})
}

fn heartbeats(lines: &[LoadLine]) -> Vec<Heartbeat> {
    let heartbeat = |line: &LoadLine| match line {
        LoadLine::Heartbeat(heartbeat) => Some(*heartbeat),
        _ => None,
    };
    lines.iter().filter_map(heartbeat).collect()
}

#[test]
fn works_at_its_rate_and_ends_well() {
    let (lines, status) = run(MICROVM, 1, "memory=4M rate=2000 duration=2 sweep=20 pattern=hotcold");
    assert_eq!(lines[0], LoadLine::Ready, "{lines:?}");
    let beats = heartbeats(&lines);
    assert!(beats.len() >= 10, "{lines:?}");
    for (index, beat) in beats.iter().enumerate() {
        assert_eq!((beat.sequence, beat.bad), (index as u64 + 1, 0));
        assert!(beat.gap.as_micros() > 0);
        assert!(index == 0 || beat.checked > beats[index - 1].checked, "{beat:?}");
    }
    let Some(LoadLine::Done { pages, bad: 0 }) = lines.last() else { panic!("{lines:?}") };
    // A busy host may steal more time than the guest makes up for, but no page comes too early.
    assert!((1000..=4100).contains(pages), "{pages}");
    assert_eq!(status, GOOD);
}

#[test]
fn finds_a_flipped_bit_and_a_lost_write() {
    for damage in ["bit", "stale"] {
        let (lines, status) =
            run(MICROVM, 1, &format!("memory=1M sweep=50 duration=3 heartbeat=500 damage={damage}"));
        let bad = lines.iter().filter(|line| matches!(line, LoadLine::Bad(_))).count();
        assert_eq!((bad, status), (1, BAD), "{lines:?}");
    }
}

#[test]
fn uses_every_vcpu_that_acpi_lists() {
    for machine in [MICROVM, Q35] {
        let (lines, status) = run(machine, 3, "memory=4M rate=300 duration=1 heartbeat=250 cpus=3");
        assert_eq!(status, GOOD, "{lines:?}");
        let (lines, status) = run(machine, 3, "memory=4M cpus=4");
        let refusal = LoadLine::Failed("ERROR cpus: there are 3; use at most that many".into());
        assert_eq!((&lines[..], status), (&[refusal][..], ERROR));
        let (lines, status) = run(machine, 3, "memory=4M rate=300 duration=1 heartbeat=250");
        assert_eq!(status, GOOD, "{lines:?}");
        let Some(LoadLine::Done { pages, bad: 0 }) = lines.last() else { panic!("{lines:?}") };
        assert!((200..=310).contains(pages), "{pages}");
    }
}

#[test]
fn refuses_what_cannot_be() {
    let wrong = [
        ("memory=1M writes=3", "writes=3"),
        ("content=noise", "zero|text|random"),
        ("memory=1G", "use at most"),
        ("memory=1M working_set=2M", "use at most 1M"),
        ("cpus=2", "there are 1"),
    ];
    for (command_line, named) in wrong {
        let (lines, status) = run(MICROVM, 1, command_line);
        let [LoadLine::Failed(text)] = &lines[..] else { panic!("{command_line}: {lines:?}") };
        assert!(text.starts_with("ERROR ") && text.contains(named), "{text}");
        assert_eq!(status, ERROR, "{command_line}");
    }
    let (lines, status) = run(MICROVM, 1, &"pci=off ".repeat(300));
    let refusal = LoadLine::Failed("ERROR the command line must be UTF-8 of at most 2047 bytes".into());
    assert_eq!((&lines[..], status), (&[refusal][..], ERROR));
}

#[test]
fn echoes_what_is_typed() {
    let guest = Guest::boot(MICROVM, 1, "memory=1M duration=3 heartbeat=500");
    let (lines, status) = guest.finish(|line, input| {
        if *line == LoadLine::Ready {
            input.write_all(b"are you there?\n").unwrap();
        }
    });
    assert!(lines.contains(&LoadLine::Input("are you there?".into())), "{lines:?}");
    assert_eq!(status, GOOD);
}

#[test]
fn resets_and_faults_on_request() {
    for way in ["reset", "triple"] {
        let (lines, status) = run(MICROVM, 1, &format!("memory=1M duration=1 heartbeat=1000 exit={way}"));
        assert!(matches!(lines.last(), Some(LoadLine::Done { bad: 0, .. })), "{lines:?}");
        assert_eq!(status, 0, "with -no-reboot QEMU ends well on a reset");
    }
}
