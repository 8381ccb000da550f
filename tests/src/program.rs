//! A process that a test started: typed to, heard, signalled, waited for, and never left behind.

use std::{
    env,
    ffi::OsStr,
    io::Write,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use crate::{stream::Stream, terminal::Terminal};

/// The environment's word for the program under test.
const VARIABLE: &str = "GODWIT_BIN";
/// How long a command that does not wait for a guest may take.
pub const PROMPT: Duration = Duration::from_secs(30);

/// The program under test: what `GODWIT_BIN` names, else a release build, made once.
///
/// # Panics
/// Where neither is to be had.
pub fn godwit() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(named) = env::var_os(VARIABLE) {
            let path = PathBuf::from(named);
            assert!(path.is_file(), "{VARIABLE} names {}, which is no file", path.display());
            return path;
        }
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let build = ["build", "--release", "--locked", "-p", "godwit"];
        let built = Command::new(cargo).args(build).current_dir(godwit_ci::workspace::root()).status();
        assert!(built.is_ok_and(|status| status.success()), "godwit cannot be built");
        godwit_ci::workspace::target().join("release/godwit")
    })
}

/// One test at a time: guests measure time, and there may be no more CPUs than one of them wants.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed holding it leaves nothing behind that could harm the next.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process; killed on drop.
pub struct Program {
    name: String,
    child: Child,
    keyboard: Option<ChildStdin>,
    /// Whether its output is a terminal, which stays when it ends.
    at_terminal: bool,
    /// Its standard output.
    pub out: Stream,
    /// Its standard error.
    pub err: Stream,
}

/// How a process ended, and what it printed.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status; 128 + n where signal n ended it, as a shell has it.
    pub status: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Program {
    /// Starts `command`; `name` is for messages.
    ///
    /// # Panics
    /// Where the host cannot.
    pub fn start(name: impl Into<String>, command: &mut Command) -> Self {
        let name = name.into();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let keyboard = child.stdin.take();
        let out = Stream::hear(format!("{name}'s output"), child.stdout.take().expect("it is piped"));
        let err = Stream::hear(format!("{name}'s messages"), child.stderr.take().expect("it is piped"));
        Self { name, child, keyboard, at_terminal: false, out, err }
    }

    /// As [`start`](Self::start), with its input and output at a terminal; its messages go elsewhere.
    ///
    /// # Panics
    /// Where the host cannot.
    pub fn start_at(terminal: &Terminal, name: impl Into<String>, command: &mut Command) -> Self {
        let name = name.into();
        terminal.give_to(command);
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let err = Stream::hear(format!("{name}'s messages"), child.stderr.take().expect("it is piped"));
        Self { name, child, keyboard: None, at_terminal: true, out: terminal.screen.clone(), err }
    }

    /// Types into its standard input.
    ///
    /// # Panics
    /// Where it has ended.
    pub fn write(&mut self, text: &str) {
        let keyboard = self.keyboard.as_mut().expect("it is piped");
        keyboard
            .write_all(text.as_bytes())
            .unwrap_or_else(|error| panic!("{} does not listen: {error}", self.name));
    }

    /// Its process id.
    ///
    /// # Panics
    /// Never: it has one.
    #[must_use]
    pub fn id(&self) -> Pid {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("it has a process id")
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ends_within(Duration::ZERO)
    }

    /// Whether it ends before `limit` is over.
    #[must_use]
    pub fn ends_within(&self, limit: Duration) -> bool {
        self.output(limit).is_some()
    }

    /// All that it printed, when it ends before `limit` is over.
    fn output(&self, limit: Duration) -> Option<String> {
        if self.at_terminal { self.err.end(limit).map(|_| self.out.text()) } else { self.out.end(limit) }
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// Where it is no more.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal)
            .unwrap_or_else(|error| panic!("{} takes no signal: {error}", self.name));
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When `limit` passes before.
    pub fn end(&mut self, limit: Duration) -> Ended {
        let (Some(out), Some(err)) = (self.output(limit), self.err.end(limit)) else {
            panic!("{} has not ended; it said:\n{}\n{}", self.name, self.out.text(), self.err.text());
        };
        let ended = self.child.wait().expect("it is ours to wait for");
        let status =
            ended.code().or_else(|| ended.signal().map(|signal| 128 + signal)).expect("it has ended");
        Ended { status, out, err }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `godwit ARGUMENTS` to its end.
///
/// # Panics
/// Where it does not end soon.
pub fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Ended {
    Program::start("godwit", Command::new(godwit()).args(arguments)).end(PROMPT)
}

impl Ended {
    /// The one sentence that it ended with: `godwit: …`.
    ///
    /// # Panics
    /// Where it went well, or said nothing, or more, or something that does not end within a line.
    #[must_use]
    pub fn sentence(&self) -> &str {
        assert!(self.status == 1, "status {} where a failure is 1: {}", self.status, self.err);
        assert!(self.out.is_empty(), "an error does not belong on standard output: {}", self.out);
        let mut lines = self.err.lines();
        let sentence = lines.next().and_then(|line| line.strip_prefix("godwit: "));
        let sentence = sentence.unwrap_or_else(|| panic!("no sentence: {:?}", self.err));
        assert!(lines.next().is_none(), "more than a sentence: {}", self.err);
        sentence
    }

    /// The message for a command line that cannot be.
    ///
    /// # Panics
    /// Where it was taken.
    #[must_use]
    pub fn usage(&self) -> &str {
        assert!(self.status == 2, "status {} where a wrong command line is 2: {}", self.status, self.err);
        self.err.strip_prefix("error: ").unwrap_or_else(|| panic!("no message: {:?}", self.err))
    }
}

/// Asserts that `text` has every one of `words` in it.
///
/// # Panics
/// Naming the first that is not.
pub fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no '{word}' in: {text}");
    }
}
