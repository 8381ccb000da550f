//! However a process leaves raw mode, its terminal is as it was.
//!
//! Each test runs this test program again with a pseudo-terminal as standard input, because raw mode is a matter of a
//! whole process.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    mem,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    process::{Child, Command, Stdio},
    ptr,
};

use super::sys::RawTerminal;

const MODE: &str = "GODWIT_TEST_RAW_TERMINAL";
const THIS_TEST: &str = "serial::sys_test::the_terminal_is_restored_however_the_process_ends";

/// A pseudo-terminal: the end of the user, and the one that the program gets.
struct Terminal {
    controller: OwnedFd,
    device: File,
}

fn open_terminal() -> Terminal {
    let (mut controller, mut device) = (-1, -1);
    // SAFETY: openpty writes two descriptors; the other arguments may be null.
    let opened = unsafe {
        libc::openpty(&raw mut controller, &raw mut device, ptr::null_mut(), ptr::null(), ptr::null())
    };
    assert_eq!(opened, 0);
    // SAFETY: openpty has just opened them, and nobody else owns them.
    unsafe { Terminal { controller: OwnedFd::from_raw_fd(controller), device: File::from_raw_fd(device) } }
}

impl Terminal {
    /// The input, output and local flags.
    fn flags(&self) -> [libc::tcflag_t; 3] {
        // SAFETY: termios is plain data, for which all zeroes is a value.
        let mut settings: libc::termios = unsafe { mem::zeroed() };
        // SAFETY: tcgetattr writes one termios, which `settings` is.
        assert_eq!(unsafe { libc::tcgetattr(self.device.as_raw_fd(), &raw mut settings) }, 0);
        [settings.c_iflag, settings.c_oflag, settings.c_lflag]
    }

    fn press_return(&self) {
        File::from(self.controller.try_clone().unwrap()).write_all(b"\n").unwrap();
    }

    fn run(&self, mode: &str) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", THIS_TEST, "--nocapture"])
            .env(MODE, mode)
            .stdin(self.device.try_clone().unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }
}

/// What the program under test does: enters raw mode, says so, and ends in the given way.
fn child(mode: &str) {
    let raw = RawTerminal::enter().unwrap().expect("standard input is a terminal");
    assert!(RawTerminal::enter().unwrap().is_none(), "raw mode is entered once");
    println!("raw");
    // The parent looks at the terminal, then types a key.
    std::io::stdin().read_line(&mut String::new()).unwrap();
    match mode {
        "drop" => drop(raw),
        "panic" => {
            // As if another thread held it: unwinding alone must not be what restores.
            mem::forget(raw);
            panic!("as asked");
        }
        "abort" => std::process::abort(),
        _ => {
            // SAFETY: raise takes any signal.
            unsafe { libc::raise(libc::SIGTERM) };
        }
    }
}

#[test]
fn the_terminal_is_restored_however_the_process_ends() {
    if let Ok(mode) = std::env::var(MODE) {
        return child(&mode);
    }
    for mode in ["drop", "panic", "abort", "signal"] {
        let terminal = open_terminal();
        let before = terminal.flags();
        let mut child = terminal.run(mode);
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(said.any(|line| line.unwrap().ends_with("raw")));
        let [_, output, local] = terminal.flags();
        assert_eq!(local & (libc::ICANON | libc::ECHO | libc::ISIG), 0, "{mode}: keys come as they are");
        assert_ne!(output & libc::OPOST, 0, "{mode}: lines of the VMM begin at the left edge");
        terminal.press_return();
        assert_eq!(child.wait().unwrap().success(), mode == "drop");
        assert_eq!(terminal.flags(), before, "{mode}");
    }
}

#[test]
fn without_a_terminal_there_is_nothing_to_do() {
    let null = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", THIS_TEST])
        .env(MODE, "drop")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&null.stdout).contains("standard input is a terminal"));
}
