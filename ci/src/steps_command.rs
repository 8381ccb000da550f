//! `cargo ci check` and `cargo ci test`: which steps run, and what is said at the end.

use std::{
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use godwit_ci::{
    checks,
    steps::{Results, Step, run_all},
    suites, workspace,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Check the project's files: format, lints, docs, dependencies, prose
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Only these checks
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Check the project's files and run all its tests, installing what they need
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Leave out the suites in the nested host, which take most of the time
    #[arg(long)]
    quick: bool,
}

pub(crate) fn check(arguments: &CheckArguments) -> Result<ExitCode> {
    let mut steps = checks::steps();
    let known: Vec<String> = steps.iter().map(|step| step.name().to_owned()).collect();
    if let Some(odd) = arguments.names.iter().find(|name| !known.contains(name)) {
        bail!("'{odd}' is not a check; those are {}", known.join(", "));
    }
    if !arguments.names.is_empty() {
        steps.retain(|step| arguments.names.iter().any(|name| name == step.name()));
    }
    let results = run_all(steps, &workspace::target().join("ci"), &stop_on_signals()?);
    Ok(verdict(&results))
}

pub(crate) fn test(arguments: &TestArguments) -> Result<ExitCode> {
    let mut steps: Vec<Step> = vec![suites::prepare()];
    steps.extend(checks::steps());
    steps.extend(suites::steps(arguments.quick)?);
    let results = run_all(steps, &workspace::target().join("ci"), &stop_on_signals()?);
    let code = verdict(&results);
    println!("{} passed, {} failed", results.counts.passed, results.counts.failed);
    Ok(code)
}

fn stop_on_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, stop.clone()).context("signals cannot be caught")?;
    }
    Ok(stop)
}

fn verdict(results: &Results) -> ExitCode {
    if !results.repeated.is_empty() {
        println!("failed once, passed when repeated: {}", results.repeated.join(", "));
    }
    if results.failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed: {}", results.failed.join(", "));
    ExitCode::FAILURE
}
