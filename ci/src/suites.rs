//! What `cargo ci test` runs after the checks: unit and engine tests, the suites on this machine's KVM, and the suites
//! in the nested host.

use anyhow::Result;

use crate::{
    checks::memwork_arguments,
    metadata::Metadata,
    nested::kernel,
    packages,
    steps::{Step, cargo},
    test_run::TestRun,
    workspace,
};

/// The package of the end-to-end suites.
const SUITES: &str = "godwit-tests";
/// The package whose tests run apart from the others': some of them need the nested host.
const OWN: &str = "godwit-ci";
/// A test target whose name begins so runs in the nested host.
const NESTED: &str = "nested";

/// All test steps; without those in the nested host where `quick`.
///
/// # Errors
/// Where cargo does not say which suites there are.
pub fn steps(quick: bool) -> Result<Vec<Step>> {
    let metadata = Metadata::load()?;
    let mut steps = vec![TestRun::step("unit tests", unit())];
    steps.push(Step::commands(
        "build godwit",
        vec![cargo(["build", "--release", "--locked", "-p", "godwit"])],
    ));
    steps.push(TestRun::step("harness tests", vec![suite(SUITES, &["--lib", "--bins"], 1)]));
    let (nested, native): (Vec<_>, Vec<_>) =
        test_targets(&metadata).into_iter().partition(|(_, target)| target.starts_with(NESTED));
    for (package, target) in native {
        steps.push(TestRun::step(format!("kvm: {target}"), vec![suite(&package, &["--test", &target], 1)]));
    }
    if !quick {
        steps.push(Step::new("linux guests", |_| {
            kernel::Series::ALL.into_iter().try_for_each(|series| kernel::Guest::cached(series).map(drop))?;
            kernel::debian_image()?;
            Ok(None)
        }));
        for (package, target) in nested {
            let name = format!("nested: {package}/{target}");
            // Each host is one busy thread, and nothing is measured in it.
            steps.push(TestRun::step(name, vec![suite(&package, &["--test", &target], 2).repeats(2)]));
        }
    }
    Ok(steps)
}

/// Installs what the tests call.
pub fn prepare() -> Step {
    Step::new("packages", |_| packages::ensure(packages::ALL).map(|()| None))
}

fn unit() -> Vec<TestRun> {
    vec![
        TestRun::new(["--workspace", "--exclude", SUITES, "--exclude", OWN]),
        TestRun::new(["-p", OWN, "--lib", "--bins"]),
        TestRun::new(memwork_arguments()),
    ]
}

/// Test targets of the packages with suites, as (package, target), in the order of their names.
fn test_targets(metadata: &Metadata) -> Vec<(String, String)> {
    let packages = metadata.members().filter(|package| [SUITES, OWN].contains(&package.name.as_str()));
    let mut targets: Vec<(String, String)> = packages
        .flat_map(|package| package.targets.iter().map(move |target| (package, target)))
        .filter(|(_, target)| target.kind.iter().any(|kind| kind == "test"))
        .map(|(package, target)| (package.name.clone(), target.name.clone()))
        .collect();
    targets.sort();
    targets
}

/// The tests of one target, with `threads` of them at a time. Only the program under test is a release build: the
/// harness has no hurry, and is built already.
fn suite(package: &str, target: &[&str], threads: u32) -> TestRun {
    let program = workspace::target().join("release/godwit");
    TestRun::new([&["-p", package], target].concat())
        .threads(threads)
        .env("GODWIT_BIN", program.to_string_lossy())
}
