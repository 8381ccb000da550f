//! Linux guests at real work, moved by schemes of the literature and by `auto`. `docs/study.md` tells how to take all of them.

use std::time::Duration;

use crate::host::Journey;

/// Schemes of every test run, and those of the whole where the environment names none.
const FEW: &str = "auto,clark2005";
const MANY: &str = "auto,precopy,clark2005,multistage,sharma2016,jain2016,chen2012,liu2010,svard2011,jin2009,hu2013,auto-converge";

fn study(jobs: &str, presets: &str, limit: Duration) {
    let arguments = Box::leak(format!("{jobs} {presets}").into_boxed_str());
    let output = Journey { arguments, limit, ..Journey::of(env!("CARGO_BIN_EXE_linux-study")) }.done();
    for job in jobs.split(',') {
        assert!(output.contains(&format!("{job} done: nothing was wrong")), "{output}");
    }
}

#[test]
fn a_store_serves_on_whatever_the_scheme() {
    study("store", FEW, Duration::from_secs(420));
}

#[test]
#[ignore = "takes half an hour: see docs/study.md"]
fn every_job_goes_on_whatever_the_scheme() {
    let presets = std::env::var("GODWIT_PRESETS").unwrap_or_else(|_| MANY.into());
    study("build,store,sort", &presets, Duration::from_secs(5400));
}
