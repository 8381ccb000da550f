//! One VMM process: its guest's console, its messages, its API, and migrations away from it as a user starts them.

use std::{
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use godwit_migration::{
    error::Class,
    report::{Outcome, Report},
};

use crate::{
    program::{Ended, PROMPT, Program, godwit},
    terminal::Terminal,
};

/// Longest wait for something that a guest says. Generous: a busy machine is no defect of godwit's.
pub const GUEST: Duration = Duration::from_secs(60);
/// Longest migration.
pub const MIGRATION: Duration = Duration::from_secs(120);

/// A process of `godwit run` or `godwit receive`; killed on drop.
pub struct Vmm {
    /// The process; its output is the guest's console.
    pub program: Program,
    /// Its API's socket.
    pub api: PathBuf,
}

impl Vmm {
    /// Starts `godwit ARGUMENTS --api API`, at a terminal if there is one.
    pub(crate) fn start(name: &str, arguments: &[String], api: PathBuf, terminal: Option<&Terminal>) -> Self {
        let mut command = Command::new(godwit());
        command.args(arguments).arg("--api").arg(&api);
        let program = match terminal {
            Some(terminal) => Program::start_at(terminal, name, &mut command),
            None => Program::start(name, &mut command),
        };
        Self { program, api }
    }

    /// Waits until the guest has printed `count` heartbeats here.
    pub fn wait_beats(&self, count: usize) {
        let beats = |heard: &str| {
            let whole = heard.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            whole.filter(|line| line.contains(": beat=")).count()
        };
        self.program
            .out
            .wait(&format!("{count} heartbeats"), GUEST, |heard| (beats(heard) >= count).then_some(()));
    }

    /// Waits until the guest has printed `count` more heartbeats than it has by now: it runs.
    pub fn wait_more_beats(&self, count: usize) {
        let by_now = self.program.out.text().matches(": beat=").count();
        self.wait_beats(by_now + count);
    }

    /// Where a process of `godwit receive` waits for a guest.
    #[must_use]
    pub fn address(&self) -> String {
        const WAITING: &str = "godwit: waiting for a guest at ";
        self.program.err.wait("address", PROMPT, |heard| {
            let whole = heard.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            whole
                .filter_map(|line| line.strip_prefix(WAITING))
                .next_back()
                .map(|address| address.trim_end().to_owned())
        })
    }

    /// Waits until the API is served: its socket is all that says so of a process that has nothing to say.
    ///
    /// # Panics
    /// Where it never is.
    pub fn wait_api(&self) {
        let deadline = Instant::now() + PROMPT;
        while UnixStream::connect(&self.api).is_err() {
            assert!(Instant::now() < deadline, "no API at {}", self.api.display());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts to move the guest to `to`.
    #[must_use]
    pub fn begin_migration(&self, to: &str, arguments: &[&str]) -> Program {
        let mut command = Command::new(godwit());
        command.arg("migrate").arg("--api").arg(&self.api).args(["--to", to, "--json"]).args(arguments);
        Program::start("the migration", &mut command)
    }

    /// Moves the guest to `to`, or tries to.
    #[must_use]
    pub fn migrate(&self, to: &str, arguments: &[&str]) -> Migration {
        Migration::end(&mut self.begin_migration(to, arguments))
    }

    /// Runs `godwit COMMAND --api …` on this process.
    #[must_use]
    pub fn ask(&self, command: &[&str]) -> Ended {
        let mut whole = Command::new(godwit());
        Program::start("the client", whole.args(command).arg("--api").arg(&self.api)).end(PROMPT)
    }

    /// What the counter `name` of `device` says now.
    ///
    /// # Panics
    /// Where there is no such counter.
    #[must_use]
    pub fn counter(&self, device: &str, name: &str) -> u64 {
        let said = self.ask(&["counters"]);
        assert_eq!(said.status, 0, "{}", said.err);
        let counters: serde_json::Value =
            serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"));
        counters[device][name].as_u64().unwrap_or_else(|| panic!("no {name} of {device}: {counters}"))
    }

    /// The API's socket.
    #[must_use]
    pub fn api(&self) -> &Path {
        &self.api
    }

    /// Waits for the end of the process.
    pub fn end(&mut self) -> Ended {
        self.program.end(GUEST)
    }
}

/// A migration that has ended, as its user saw it.
#[derive(Debug)]
pub struct Migration {
    /// How the command ended.
    pub ended: Ended,
    /// The report; none where no migration began.
    pub report: Option<Report>,
}

impl Migration {
    /// Waits for the end of a migration that was begun.
    ///
    /// # Panics
    /// Where it does not end, or prints what is no report.
    pub fn end(program: &mut Program) -> Self {
        Self::end_within(program, MIGRATION)
    }

    /// As [`Self::end`], with another limit.
    ///
    /// # Panics
    /// As [`Self::end`].
    pub fn end_within(program: &mut Program, limit: Duration) -> Self {
        let ended = program.end(limit);
        let report = match ended.out.as_str() {
            "" => None,
            text => Some(serde_json::from_str(text).unwrap_or_else(|e| panic!("no report ({e}): {text}"))),
        };
        Self { ended, report }
    }

    /// The report of a migration that completed.
    ///
    /// # Panics
    /// Where it did not.
    #[must_use]
    pub fn completed(self) -> Report {
        let report = self.report.unwrap_or_else(|| panic!("no report: {:?}", self.ended));
        assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.error);
        assert_eq!(self.ended.status, 0, "{}", self.ended.err);
        assert!(report.error.is_none(), "{:?}", report.error);
        report
    }

    /// Why a migration of which there is a report did not complete: its one sentence on stderr.
    ///
    /// # Panics
    /// Where it did, or the guest was not left at the source, or there is not exactly one sentence.
    #[must_use]
    pub fn failed(&self, outcome: Outcome) -> &str {
        let report = self.report.as_ref().unwrap_or_else(|| panic!("no report: {:?}", self.ended));
        let status = match report.error.as_ref().map(|error| error.class) {
            Some(Class::Cancelled) => 3,
            Some(Class::Unknown) => 4,
            Some(Class::Incompatible) => 5,
            Some(Class::Link) => 6,
            Some(Class::Peer) => 7,
            Some(Class::Protocol) => 8,
            Some(Class::Timeout) => 9,
            Some(Class::Guest) => 10,
            Some(Class::Local) | None => 1,
        };
        assert_eq!((report.outcome, self.ended.status), (outcome, status), "{}", self.ended.err);
        assert!(report.error.is_some(), "a failure without a reason");
        let said = self.ended.err.lines().filter(|line| line.starts_with("godwit: ")).collect::<Vec<_>>();
        let sentences: Vec<_> =
            said.into_iter().filter(|line| !line.contains("cancelling the migration")).collect();
        let [sentence] = sentences[..] else { panic!("not exactly one sentence: {}", self.ended.err) };
        sentence
    }
}
