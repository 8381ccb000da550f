//! A guest as it was recorded, against which the lab holds migrations of it, or of its like, that were real.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use crate::program::{Ended, Program};

/// Figures of `godwit lab check` that are told.
const FIGURES: [&str; 4] = ["total s", "downtime s", "pages sent", "bytes"];
/// What is told of them, for the head of a column.
pub const HEAD: &str = "the lab: total, downtime, pages, bytes off by";

/// How long a record or a replay may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A guest's trace, and the cores that its host had to spare while it was at work.
pub struct Recorded {
    program: PathBuf,
    trace: PathBuf,
    cores: f64,
}

impl Recorded {
    /// Records the guest behind `api` by `program` into `trace`: so long, in such intervals, both as `godwit trace` takes them.
    ///
    /// # Errors
    /// What the program said where it failed.
    pub fn of(
        program: &Path,
        api: &Path,
        trace: PathBuf,
        length: &str,
        interval: &str,
    ) -> Result<Self, String> {
        let record = ["trace", "--for", length, "--interval", interval].map(OsStr::new);
        ask(
            program,
            record.into_iter().chain(["-o".as_ref(), trace.as_os_str(), "--api".as_ref(), api.as_os_str()]),
        )?;
        // The rate does not matter to what there is to spare.
        let predict = ["predict", "--json", "--one-host", "--bandwidth", "125MB/s", "--api"].map(OsStr::new);
        let prediction = ask(program, predict.into_iter().chain([api.as_os_str()]))?;
        let cores = prediction["cores"].as_f64().ok_or("a prediction without 'cores'")?;
        Ok(Self { program: program.into(), trace, cores })
    }

    /// How far the lab is off the migration of this `report`, whose lanes were all on this host: per cent of total time, downtime,
    /// pages sent and bytes.
    ///
    /// # Errors
    /// What the program said where it failed.
    pub fn off(&self, report: &Path) -> Result<String, String> {
        let cores = self.cores.to_string();
        let check = ["lab", "check", "--json", "--one-host", "--cores", &cores].map(OsStr::new);
        let files = ["--trace".as_ref(), self.trace.as_os_str(), "--report".as_ref(), report.as_os_str()];
        let checked = ask(&self.program, check.into_iter().chain(files))?;
        let rows = checked.as_array().ok_or("a check without rows")?;
        let percent = |figure: &str| {
            let row = rows.iter().find(|row| row["what"] == figure);
            let percent = row.and_then(|row| row["percent"].as_f64());
            percent.map(|percent| format!("{percent:+.0}%")).ok_or(format!("a check without '{figure}'"))
        };
        Ok(FIGURES.iter().map(|figure| percent(figure)).collect::<Result<Vec<_>, _>>()?.join(" "))
    }
}

/// What the program answers: a document, or nothing that is one.
fn ask<'a>(program: &Path, arguments: impl Iterator<Item = &'a OsStr>) -> Result<Value, String> {
    let mut asked = Program::start("the lab", Command::new(program).args(arguments));
    let Ended { status, out, err } = asked.end(PATIENCE);
    if status == 0 { Ok(serde_json::from_str(&out).unwrap_or_default()) } else { Err(err.trim().into()) }
}
