//! Linux guests at real work, moved by schemes of the literature and by `auto`. `docs/study.md` tells how to take all of them.

use std::time::Duration;

use crate::host::Journey;

const JOBS: &str = "build,store,sort";
/// Schemes, where the environment names none.
const PRESETS: &str = "auto,precopy,clark2005,multistage,sharma2016,jain2016,chen2012,liu2010,svard2011,jin2009,hu2013,auto-converge";

#[test]
#[ignore = "takes half an hour: see docs/study.md"]
fn every_job_goes_on_whatever_the_scheme() {
    let named = |variable, all: &str| std::env::var(variable).unwrap_or_else(|_| all.into());
    let (jobs, presets) = (named("GODWIT_JOBS", JOBS), named("GODWIT_PRESETS", PRESETS));
    let arguments = Box::leak(format!("{jobs} {presets}").into_boxed_str());
    let limit = Duration::from_secs(5400);
    let output = Journey { arguments, limit, ..Journey::of(env!("CARGO_BIN_EXE_linux-study")) }.done();
    for job in jobs.split(',') {
        assert!(output.contains(&format!("{job} done: nothing was wrong")), "{output}");
    }
}
