//! The Linux guest by itself, on QEMU in software emulation: it boots, works, checks, answers and powers off. What it
//! does on godwit is for the end-to-end suites to say.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::symlink,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use godwit_ci::{
    nested::kernel::{Guest, Kernel, Series},
    workspace,
};

/// Longest wait for a line of the guest.
const PATIENCE: Duration = Duration::from_secs(90);

/// QEMU, which ends with the test. Its random number generator is one on PCI: Debian's 6.12 knows it without a module of
/// the initramfs, 6.1 does not.
const MACHINE: &str = "--pdeathsig KILL qemu-system-x86_64 -M q35 -accel tcg -cpu max \
    -smp 2 -m 256 -nodefaults -no-user-config -no-reboot -display none -device virtio-rng-pci \
    -chardev stdio,id=com1,signal=off -serial chardev:com1";
/// Linux's tests of its own ciphers can hang in software emulation.
const CMDLINE: &str = "console=ttyS0 quiet panic=-1 cryptomgr.notests";

/// A guest that runs, and what it prints.
struct Running {
    qemu: Child,
    keyboard: ChildStdin,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    fn start(series: Series, words: &str) -> Self {
        let guest = Guest::cached(series).unwrap();
        let mut qemu = Command::new("setpriv")
            .args(MACHINE.split_whitespace())
            .arg("-kernel")
            .arg(guest.kernel)
            .arg("-initrd")
            .arg(guest.initrd)
            .args(["-append", &format!("{CMDLINE} {words}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (keyboard, stdout) = (qemu.stdin.take().unwrap(), qemu.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(stdout).split(b'\n').map_while(Result::ok);
            lines.for_each(|line| drop(sender.send(String::from_utf8_lossy(&line).trim_end().to_owned())));
        });
        Self { qemu, keyboard, lines, seen: Vec::new() }
    }

    fn wait_for(&mut self, what: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line.clone()),
                Err(error) => panic!("no '{what}' ({error}) in:\n{}", self.seen.join("\n")),
            }
            if let Some(line) = self.seen.last().filter(|line| line.contains(what)) {
                return line.clone();
            }
        }
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.keyboard, "{line}").unwrap();
    }

    fn wait_for_power_off(&mut self) {
        self.wait_for("Power down");
        assert!(self.qemu.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone, where the test went well.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// The number after `key=` in a line.
fn number(line: &str, key: &str) -> f64 {
    let word = line.split(' ').find_map(|word| word.strip_prefix(&format!("{key}="))).unwrap();
    word.trim_end_matches('s').parse().unwrap()
}

#[test]
fn it_boots_works_answers_and_powers_off() {
    for series in Series::ALL {
        let mut guest =
            Running::start(series, "godwit.mem=4M godwit.rate=200 godwit.duration=4 godwit.heartbeat=0.5");
        let said = guest.wait_for("linux: kernel=");
        assert!(
            said.contains(&format!("kernel={series}.")) && said.contains(" cpus=2 online=0-1 "),
            "{said}"
        );
        let hwrng = if series == Series::V6_1 { "hwrng=none bytes=0" } else { "hwrng=virtio_rng.0 bytes=16" };
        guest.wait_for(hwrng);
        guest.wait_for("linux: READY cpus=2 memory=4194304 rate=200");
        guest.wait_for("linux: beat=2 ");
        guest.type_line("hello guest");
        guest.wait_for("linux: input hello guest");
        let beat = guest.wait_for("linux: beat=6 ");
        assert!(number(&beat, "pages") > 100.0 && number(&beat, "sums") > 0.0, "{beat}");
        assert_eq!(number(&beat, "cpus"), 2.0, "{beat}");
        assert_eq!(number(&beat, "rng_bytes") > 0.0, series != Series::V6_1, "{beat}");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((number(&beat, "date") - now).abs() < 10.0, "{beat}");
        let done = guest.wait_for("linux: DONE ");
        assert_eq!(number(&done, "bad"), 0.0, "{:?}", guest.seen);
        guest.wait_for_power_off();
    }
}

#[test]
fn it_gives_a_shell_to_a_person() {
    let mut guest = Running::start(Series::V6_12, "godwit.shell=1");
    guest.wait_for("linux: READY");
    guest.type_line("echo $((6 * 7)) answers; tty; exit");
    guest.wait_for("42 answers");
    guest.wait_for("/dev/ttyS0");
    guest.wait_for_power_off();
    assert!(!guest.seen.iter().any(|line| line.contains("beat=")), "heartbeats between a person's lines");
}

#[test]
fn a_parameter_that_it_does_not_know_is_named() {
    let mut guest = Running::start(Series::V6_1, "godwit.speed=9");
    let said = guest.wait_for("linux: ERROR");
    assert!(said.contains("'speed=9'") && said.contains("rate=PAGES_PER_SECOND"), "{said}");
    guest.wait_for_power_off();
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let kernel = Kernel::cached(Series::V6_12).unwrap();
    let kept = fs::read(Guest::cached(Series::V6_12).unwrap().initrd).unwrap();
    let cache = tempfile::tempdir().unwrap();
    for (name, file) in [("vmlinuz", true), ("release", true), ("lib", false)] {
        let (here, there) = (kernel.dir.join(name), cache.path().join(&kernel.release));
        fs::create_dir_all(&there).unwrap();
        let linked =
            if file { fs::copy(here, there.join(name)).map(drop) } else { symlink(here, there.join(name)) };
        linked.unwrap();
    }
    symlink(&kernel.release, cache.path().join("6.12")).unwrap();
    build(cache.path());
    assert!(fs::read(cache.path().join("6.12/initramfs.cpio")).unwrap() == kept, "the initramfs differs");
}

fn build(cache: &Path) {
    let recipe = workspace::root().join("guest-images/linux/build.sh");
    let said = Command::new(recipe).arg("6.12").env("GODWIT_LINUX_CACHE", cache).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}
