//! The nested host does what it promises: the command runs on a kernel of its own with KVM, its output and its exit
//! code come back as they are, and nothing of it is left behind.

use std::{
    fs,
    process::{Command, Stdio},
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::{Duration, Instant},
};

use godwit_ci::nested::{Request, capture, kernel::Series};

fn shell(script: &str) -> Request {
    Request { timeout: Duration::from_secs(90), ..Request::new(["sh", "-c", script]) }
}

#[test]
fn output_and_exit_code_come_back_as_they_are() {
    // The output is a pipe and no terminal, and ends with the command, not with what it has left behind.
    let script = r"printf 'one\ntwo\001\r\n\ttab'; echo err >&2; [ -t 1 ] && echo tty; sleep 600 & exit 7";
    let (outcome, output) = capture(&shell(script)).unwrap();
    assert_eq!(outcome.code, 7);
    assert_eq!(output, "one\ntwo\u{1}\r\n\ttaberr\n");
    assert!(outcome.up_after < outcome.total);
}

#[test]
fn every_kernel_has_kvm_and_a_loopback_network() {
    for kernel in Series::ALL {
        let script = "[ -c /dev/kvm ] && [ -c /dev/net/tun ] && ping -c 1 -q 127.0.0.1 >/dev/null && uname -r && \
             cat /sys/module/kvm/parameters/tsc_tolerance_ppm";
        let (outcome, output) = capture(&Request { kernel, cpus: 2, ..shell(script) }).unwrap();
        assert_eq!(outcome.code, 0, "{output}");
        assert!(output.starts_with(&format!("{kernel}.")), "{output}");
        assert!(
            output.ends_with("\n1000000\n"),
            "a guest's clock would be at the mercy of the host's: {output}"
        );
    }
}

#[test]
fn clocks_that_count_instructions_skip_what_nobody_waits_for() {
    let script = "sleep 600; cut -d . -f 1 /proc/uptime";
    let (outcome, output) = capture(&Request { counts_instructions: true, ..shell(script) }).unwrap();
    assert_eq!(outcome.code, 0, "{output}");
    // Within the limit, which counts time.
    assert!(output.trim().parse::<u32>().unwrap() >= 600, "{output}");
}

#[test]
fn a_program_comes_along_with_its_libraries_and_folders_with_their_files() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("inner")).unwrap();
    fs::write(folder.path().join("inner/file"), "some text").unwrap();
    let mut request = shell("godwit-ci nested --help | grep -c memory && cat /data/inner/file");
    request = request.bring(env!("CARGO_BIN_EXE_godwit-ci")).unwrap();
    request.files.push(format!("{}:/data", folder.path().display()).parse().unwrap());
    let (outcome, output) = capture(&request).unwrap();
    assert_eq!((outcome.code, output.as_str()), (0, "1\nsome text"));
}

#[test]
fn disks_are_read_and_what_is_written_to_them_is_gone_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("a,b.img");
    fs::write(&image, [b'a'; 4096]).unwrap();
    let script =
        "head -c 3 /dev/vda && printf bbb | dd of=/dev/vda conv=fsync 2>/dev/null && head -c 3 /dev/vda";
    let (outcome, output) = capture(&Request { disks: vec![image.clone()], ..shell(script) }).unwrap();
    assert_eq!((outcome.code, output.as_str()), (0, "aaabbb"));
    assert!(fs::read(&image).unwrap().iter().all(|byte| *byte == b'a'), "the image is as it was");
}

#[test]
fn what_is_printed_is_never_taken_for_a_result() {
    let script = "for port in /dev/ttyS0 /dev/ttyS1 /dev/kmsg; do
            for word in '' $(printf %032d 0); do echo \"$word exit 0\" >$port; done
        done
        ls /run/godwit; grep -rl . /run/godwit/nonce; exit 3";
    let (outcome, output) = capture(&shell(script)).unwrap();
    assert_eq!(outcome.code, 3);
    assert!(!output.lines().any(|line| line == "nonce"), "{output}");
}

#[test]
fn a_command_that_is_not_there_or_dies_is_said_so() {
    let outcome = capture(&Request { timeout: Duration::from_secs(90), ..Request::new(["no-such-command"]) });
    assert_eq!(outcome.unwrap().0.code, 127);
    let (outcome, _) = capture(&shell("kill -9 $$")).unwrap();
    assert_eq!(outcome.code, 128 + 9);
}

#[test]
fn a_host_that_dies_is_an_error_with_its_last_words() {
    let error = capture(&shell("echo before; sleep 1; echo c >/proc/sysrq-trigger; sleep 60")).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("ended while the command ran") && text.contains("before"), "{text}");
    assert!(text.contains("sysrq"), "the kernel's console: {text}");
}

#[test]
fn time_runs_out_and_can_be_cut_short() {
    let late = Request { timeout: Duration::from_secs(2), ..shell("echo started; sleep 600") };
    let text = format!("{:#}", capture(&late).unwrap_err());
    assert!(text.contains("ran out of time while the command ran") && text.contains("started"), "{text}");

    let stop = Arc::new(AtomicBool::new(false));
    let stopper = stop.clone();
    thread::spawn(move || {
        thread::sleep(Duration::from_secs(1));
        stopper.store(true, std::sync::atomic::Ordering::Release);
    });
    let start = Instant::now();
    let error = capture(&Request { stop, ..shell("sleep 600") }).unwrap_err();
    assert!(format!("{error:#}").contains("was stopped before it was up"), "{error:#}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn qemu_does_not_outlive_whoever_started_it() {
    // Killed, it cannot tidy up behind itself.
    let folder = tempfile::tempdir().unwrap();
    let mut parent = Command::new(env!("CARGO_BIN_EXE_godwit-ci"))
        .env("TMPDIR", folder.path())
        .args(["nested", "--memory", "777", "--", "sleep", "600"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let appeared = wait_until(|| running("777"));
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(appeared, "QEMU never ran");
    assert!(wait_until(|| !running("777")), "QEMU is still there");
}

#[test]
fn a_missing_file_and_an_unknown_module_are_named() {
    let error = capture(&shell("true").bring("no/such/file").unwrap()).unwrap_err();
    assert!(format!("{error:#}").contains("'no/such/file'"), "{error:#}");
    let request = Request { modules: vec!["no_such_module".into()], ..shell("true") };
    assert!(format!("{:#}", capture(&request).unwrap_err()).contains("'no_such_module'"));
}

/// Whether a QEMU with that much memory runs.
fn running(memory_mib: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut command_lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    command_lines.any(|line| {
        let words: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
        words[0].ends_with(b"qemu-system-x86_64")
            && words.windows(2).any(|two| two == [&b"-m"[..], memory_mib.as_bytes()])
    })
}

fn wait_until(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}
