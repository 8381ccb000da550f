//! The machine of the nested host: one QEMU process, which never outlives the run that started it.

use std::{
    io::{ErrorKind, Read},
    os::unix::{net::UnixListener, process::CommandExt},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{OutOfTime, Request, control::Heard, kernel::Kernel, terminal};

/// What a run calls.
pub(super) const TOOLS: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("setpriv", "util-linux"),
    ("busybox", "busybox-static"),
    ("cpio", "cpio"),
    ("modprobe", "kmod"),
    ("xz", "xz-utils"),
];
/// Longest time until the nested host is up; a few seconds are usual on a machine with nothing else to do.
const BOOT_LIMIT: Duration = Duration::from_secs(120);
/// The part of the machine that is always the same, the command's serial port included. setpriv makes the kernel end
/// QEMU with its parent, however that ends, and becomes QEMU. There is no XSAVE, because QEMU's SVM does not intercept
/// XSETBV: KVM inside would not learn of a guest's XCR0, and would corrupt its vector registers.
const MACHINE: &str = "--pdeathsig KILL qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -M q35 \
    -cpu max,+svm,+npt,-xsave,-erms,-fsrm -chardev stdio,id=command,signal=off -serial chardev:command";
/// How its CPUs are emulated: each by a thread of its own; or by one thread whose instructions are counted and take 2 ns each
/// by the machine's clocks, which skip the time in which all CPUs are idle.
const BY_TIME: &[&str] = &["-accel", "tcg,tb-size=1024,thread=multi"];
const BY_INSTRUCTIONS: &[&str] =
    &["-accel", "tcg,tb-size=1024,thread=single", "-icount", "shift=1,sleep=off"];
/// The kernel's command line. Its check of the timer measures time, and fails where this machine is busy; its tests of
/// its own ciphers can hang in software emulation.
const APPEND: &str =
    "console=ttyS1 panic=-1 quiet mitigations=off no_timer_check cryptomgr.notests init_on_alloc=0";
/// How often the end of QEMU is looked for.
const POLL: Duration = Duration::from_millis(20);
/// What QEMU may say on its standard error before it is cut.
const COMPLAINT_BYTES: u64 = 16 << 10;

/// What a run that came to its end has shown.
pub(super) struct Events {
    pub(super) up: Instant,
    pub(super) code: u8,
}

/// Why the wait for QEMU was over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    ByItself,
    Stopped,
    TimedOut,
}

/// Starts QEMU, and waits for its end.
pub(super) fn run(
    request: &Request,
    kernel: &Kernel,
    initrd: &Path,
    nonce: &str,
    output: &mut (dyn FnMut(&[u8]) + Send),
) -> Result<Events> {
    let socket = initrd.with_extension("control");
    let listener = UnixListener::bind(&socket).with_context(|| format!("'{}'", socket.display()))?;
    let mut child = command(request, kernel, initrd, &socket).spawn().context("QEMU does not start")?;
    let streams = (child.stdout.take(), child.stderr.take());
    let (Some(mut stdout), Some(stderr)) = streams else { bail!("QEMU has no standard streams") };
    if request.terminal {
        lend_keyboard(child.stdin.take(), request);
    }
    let (gone, up) = (AtomicBool::new(false), OnceLock::new());
    let (end, heard, complaint) = thread::scope(|scope| {
        let heard = scope.spawn(|| accept(&listener, &gone).map(|port| Heard::listen(port, nonce, &up)));
        let complaint = scope.spawn(|| read_complaint(stderr));
        scope.spawn(move || copy_output(&mut stdout, output));
        let end = wait(&mut child, request, &up);
        gone.store(true, Ordering::Release);
        (end, heard.join().ok().flatten().unwrap_or_default(), complaint.join().unwrap_or_default())
    });
    verdict(end?, up.get().copied(), &heard, &complaint)
}

fn command(request: &Request, kernel: &Kernel, initrd: &Path, socket: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(MACHINE.split_whitespace());
    command.args(if request.counts_instructions { BY_INSTRUCTIONS } else { BY_TIME });
    command.args(["-m", &request.memory_mib.to_string()]).args(["-smp", &request.cpus.to_string()]);
    command.arg("-chardev").arg(format!("socket,id=control,path={}", socket.display()));
    command.args(["-serial", "chardev:control"]);
    command.arg("-kernel").arg(kernel.elf()).arg("-initrd").arg(initrd);
    command.args(["-append", APPEND]);
    for disk in &request.disks {
        // A comma ends a value, two are one.
        let path = disk.to_string_lossy().replace(',', ",,");
        command.args(["-drive", &format!("file={path},format=raw,if=virtio,snapshot=on")]);
    }
    command.stdin(if request.terminal { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own: Ctrl-C is for this process, which ends QEMU in order.
    command.process_group(0);
    command
}

/// The thread stays behind, blocked on standard input, when the run is over: only the process's end ends it.
fn lend_keyboard(port: Option<ChildStdin>, request: &Request) {
    let Some(port) = port else { return };
    let stop = request.stop.clone();
    thread::spawn(move || {
        if terminal::copy_typed(terminal::keyboard(), port) {
            stop.store(true, Ordering::Release);
        }
    });
}

/// QEMU's connection; none where it has gone before making one.
fn accept(listener: &UnixListener, gone: &AtomicBool) -> Option<impl Read + use<>> {
    listener.set_nonblocking(true).ok()?;
    loop {
        match listener.accept() {
            Ok((stream, _)) => return stream.set_nonblocking(false).ok().map(|()| stream),
            Err(error) if error.kind() != ErrorKind::WouldBlock => return None,
            Err(_) if gone.load(Ordering::Acquire) => return None,
            Err(_) => thread::sleep(POLL),
        }
    }
}

fn read_complaint(stderr: impl Read) -> String {
    let mut bytes = Vec::new();
    let mut stderr = stderr.take(COMPLAINT_BYTES);
    // Half a complaint is better than none.
    let _ = stderr.read_to_end(&mut bytes);
    let mut rest = stderr.into_inner();
    let _ = std::io::copy(&mut rest, &mut std::io::sink());
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

fn copy_output(stdout: &mut impl Read, output: &mut (dyn FnMut(&[u8]) + Send)) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = stdout.read(&mut bytes) {
        output(&bytes[..count]);
    }
}

fn wait(child: &mut Child, request: &Request, up: &OnceLock<Instant>) -> Result<End> {
    let start = Instant::now();
    loop {
        if child.try_wait().context("waiting for QEMU")?.is_some() {
            return Ok(End::ByItself);
        }
        let end = if request.stop.load(Ordering::Acquire) {
            End::Stopped
        } else if up.get().map_or(start.elapsed() >= BOOT_LIMIT, |up| up.elapsed() >= request.timeout) {
            End::TimedOut
        } else {
            thread::sleep(POLL);
            continue;
        };
        child.kill().and_then(|()| child.wait()).context("ending QEMU")?;
        return Ok(end);
    }
}

fn verdict(end: End, up: Option<Instant>, heard: &Heard, complaint: &str) -> Result<Events> {
    let where_it_was = if up.is_some() { "while the command ran" } else { "before it was up" };
    match end {
        End::Stopped => bail!("the nested host was stopped {where_it_was}"),
        End::TimedOut => {
            let console = heard.console_text();
            bail!(OutOfTime(format!(
                "the nested host ran out of time {where_it_was}; its console:\n{console}"
            )))
        }
        End::ByItself => {}
    }
    if let Some(what) = heard.failed.first() {
        bail!("the nested host is not complete: it failed {what}; its console:\n{}", heard.console_text());
    }
    match (up, heard.code) {
        (Some(up), Some(code)) => Ok(Events { up, code }),
        _ if !complaint.is_empty() => bail!("QEMU ended {where_it_was}: {complaint}"),
        _ => bail!(
            "the nested host ended {where_it_was}, without a result; its console:\n{}",
            heard.console_text()
        ),
    }
}
