//! A run of cargo's tests, and what is run again.
//!
//! Most tests start real processes with real clocks, on machines that do other things too. A test that fails is
//! therefore run once more, by itself: what fails then has failed, and what passes then is named at the end of the run,
//! with what it said the first time, so that nobody overlooks it. Only what runs on an emulated CPU, which stalls and errs as
//! no other does, is repeated twice; and a run that broke in any other way (it does not build, it hangs, it was killed)
//! is not repeated at all.

use std::process::Command;

use anyhow::Result;

use crate::steps::{Log, Step, cargo};

/// `cargo test` with these arguments and, behind the `--`, those of the test programs.
pub struct TestRun {
    arguments: Vec<String>,
    threads: Option<u32>,
    repeats: u32,
    envs: Vec<(String, String)>,
}

impl TestRun {
    /// `cargo test` with `arguments`, going on after a failure.
    pub fn new<A: AsRef<str>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let fixed = ["test", "--locked", "--no-fail-fast"].into_iter().map(String::from);
        let own = arguments.into_iter().map(|argument| argument.as_ref().to_owned());
        Self { arguments: fixed.chain(own).collect(), threads: None, repeats: 1, envs: Vec::new() }
    }

    /// With so many tests of a program at a time.
    #[must_use]
    pub fn threads(mut self, threads: u32) -> Self {
        self.threads = Some(threads);
        self
    }

    /// With failed tests run again so often at most, instead of once.
    #[must_use]
    pub fn repeats(mut self, times: u32) -> Self {
        self.repeats = times;
        self
    }

    /// With this variable in its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.envs.push((name.into(), value.into()));
        self
    }

    /// A step that makes `runs`, all of them, and passes where each does.
    #[must_use]
    pub fn step(name: impl Into<String>, runs: Vec<Self>) -> Step {
        Step::new(name, move |log| {
            let results: Vec<Result<()>> = runs.iter().map(|run| run.run(log)).collect();
            results.into_iter().collect::<Result<()>>().map(|()| None)
        })
    }

    fn run(&self, log: &Log) -> Result<()> {
        log.run_or_repeat(self.command(&[]), self.repeats, |failed| self.command(failed))
    }

    /// All tests, or `only` those, one at a time.
    fn command(&self, only: &[String]) -> Command {
        let threads = if only.is_empty() { self.threads } else { Some(1) };
        let mut command = cargo(&self.arguments);
        command.arg("--");
        if let Some(threads) = threads {
            command.arg(format!("--test-threads={threads}"));
        }
        if !only.is_empty() {
            command.arg("--exact").args(only);
        }
        command.envs(self.envs.iter().map(|(name, value)| (name, value)));
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> Vec<String> {
        command.get_args().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn what_failed_is_run_again_by_itself() {
        let run = TestRun::new(["-p", "a", "--test", "b"]).threads(2).env("A", "1");
        let start = ["test", "--locked", "--no-fail-fast", "-p", "a", "--test", "b", "--"];
        assert_eq!(words(&run.command(&[])), [&start[..], &["--test-threads=2"]].concat());
        let again = run.command(&["x::y".into(), "z".into()]);
        assert_eq!(words(&again), [&start[..], &["--test-threads=1", "--exact", "x::y", "z"]].concat());
        assert!(again.get_envs().any(|(name, value)| name == "A" && value == Some("1".as_ref())));
    }
}
