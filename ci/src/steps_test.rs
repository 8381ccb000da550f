//! Steps run in order, each on its own, and what they come to is summed up.

use std::{
    fs,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;

use crate::{
    counts::Counts,
    steps::{Results, Step, run_all},
};

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn run(steps: Vec<Step>) -> (Results, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let results = run_all(steps, folder.path(), &Arc::default());
    (results, folder)
}

#[test]
fn a_step_that_fails_hides_no_other() {
    let (results, folder) = run(vec![
        Step::commands("first", vec![shell("echo 'test result: ok. 3 passed; 0 failed; 1 ignored;'")]),
        Step::commands("second", vec![shell("echo out; exit 1"), shell("echo err >&2")]),
        Step::new("third", |_| bail!("no")),
        Step::inspection("fourth", || Ok(vec!["a finding".into()])),
        Step::inspection("fifth", || Ok(Vec::new())),
        Step::commands(
            "si/x th",
            vec![shell("echo 'test result: FAILED. 1 passed; 2 failed; 0 ignored;'; false")],
        ),
    ]);
    assert_eq!(results.failed, ["second", "third", "fourth", "si/x th"]);
    assert_eq!(
        results.counts,
        Counts { passed: 4, failed: 5, ignored: 1 },
        "a step without failed tests counts as one"
    );
    let log = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(
        log("second.log").contains("\nout\n") && log("second.log").contains("\nerr\n"),
        "each command runs"
    );
    assert!(log("fourth.log").contains("a finding") && log("si-x-th.log").contains("2 failed"));
}

#[test]
fn a_failure_shows_the_command_that_failed() {
    let folder = tempfile::tempdir().unwrap();
    let (sender, shown) = std::sync::mpsc::channel();
    let step = Step::new("step", move |log| {
        log.run(shell("echo fine"))?;
        let result = log.run(shell("echo 'test a::b ... FAILED'; seq 1000; false"));
        log.run(shell("echo later"))?;
        sender.send(log.failure_text(&fs::read_to_string(log.path()).unwrap(), 100)).unwrap();
        result.map(|()| None)
    });
    run_all(vec![step], folder.path(), &Arc::default());
    let lines = shown.recv().unwrap();
    assert_eq!(lines.first().unwrap(), "test a::b ... FAILED");
    assert_eq!(lines.last().unwrap(), "1000");
    assert_eq!(lines.len(), 101);
}

#[test]
fn a_test_that_fails_is_run_again_once() {
    let failing =
        "echo 'test a::b ... FAILED'; echo 'test result: FAILED. 2 passed; 1 failed; 0 ignored;'; false";
    let step = |name: &str, first: &'static str, second: &'static str| {
        Step::new(name, move |log| {
            log.run_or_repeat(shell(first), 1, |failed| {
                assert_eq!(failed, ["a::b"]);
                shell(second)
            })?;
            Ok(None)
        })
    };
    let (results, _) = run(vec![
        step("passes then", failing, "echo 'test result: ok. 1 passed; 0 failed; 0 ignored;'"),
        step("fails again", failing, failing),
        step("broke", "echo 'no test failed'; false", "true"),
        step("passes", "true", "false"),
    ]);
    assert_eq!(results.failed, ["fails again", "broke"]);
    assert_eq!(results.repeated, ["a::b"]);
    assert_eq!(results.counts, Counts { passed: 7, failed: 2, ignored: 0 });
}

#[test]
fn what_failed_may_be_repeated_more_than_once() {
    let result = |failed: &str| {
        let lines: String =
            failed.split_whitespace().map(|name| format!("echo 'test {name} ... FAILED'; ")).collect();
        format!("{lines}test -z '{failed}'")
    };
    let step = |name: &str, runs: [&'static str; 3]| {
        Step::new(name, move |log| {
            let left = std::cell::Cell::new(1);
            log.run_or_repeat(shell(&result(runs[0])), 2, |failed| {
                let at = left.replace(left.get() + 1);
                assert_eq!(failed.join(" "), runs[at - 1], "only what failed just before");
                shell(&result(runs[at]))
            })?;
            Ok(None)
        })
    };
    let (results, _) =
        run(vec![step("passes at last", ["a b", "b", ""]), step("never passes", ["c", "c", "c"])]);
    assert_eq!(results.failed, ["never passes"]);
    assert_eq!(results.repeated, ["a", "b"]);
}

#[test]
fn a_command_that_is_not_there_is_a_failure() {
    let (results, _) = run(vec![Step::commands("odd", vec![Command::new("no-such-command")])]);
    assert_eq!(results.failed, ["odd"]);
}

#[test]
fn a_stop_ends_what_runs_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let stop = Arc::new(AtomicBool::new(false));
    let (stopper, seen) = (stop.clone(), mark.clone());
    thread::spawn(move || {
        while !seen.exists() {
            thread::sleep(Duration::from_millis(5));
        }
        stopper.store(true, Ordering::Release);
    });
    let script = format!("(sleep 0.1; touch {0}; sleep 1; rm {0}) & wait", mark.display());
    let steps =
        vec![Step::commands("long", vec![shell(&script)]), Step::commands("never", vec![shell("true")])];
    let start = Instant::now();
    let results = run_all(steps, folder.path(), &stop);
    assert_eq!(results.failed, ["long", "never (not run)"]);
    assert!(start.elapsed() < Duration::from_secs(1));
    thread::sleep(Duration::from_millis(1500));
    assert!(mark.exists(), "what the command had started went on");
}
