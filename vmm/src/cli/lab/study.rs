//! `godwit lab study`: every preset on every workload, as one HTML page.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use godwit_lab::{
    compare::{Row, study},
    trace::{Tape, synth::Synth},
};
use godwit_migration::limits::PAGE_BYTES;

use super::{
    pool, read_trace,
    world::{GuestArgs, WorldArgs, about, parse_rate},
    write_file,
};
use crate::{cli::exit_status, control::notice};

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SizeArg {
    /// A guest of 256 MiB and seven workloads
    Ci,
    /// A guest of 1 GiB and all workloads
    Full,
}

/// Compare all presets on all workloads, and write one self-contained HTML page.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  godwit lab study -o study.html
  godwit lab study --size full --bandwidth 12.5MB/s -o slow.html")]
pub struct Study {
    /// Where the page goes
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// How much is compared
    #[arg(long, value_enum, value_name = "SIZE", default_value = "ci")]
    size: SizeArg,
    /// A recorded trace to be studied beside the workloads; may be given several times
    #[arg(long, value_name = "FILE")]
    trace: Vec<PathBuf>,
    /// The link's rate
    #[arg(long, value_name = "RATE", default_value = "125MB/s", value_parser = parse_rate)]
    bandwidth: f64,
    #[command(flatten)]
    world: WorldArgs,
}

impl Study {
    /// Replays all, and writes the page.
    pub fn execute(self) -> anyhow::Result<u8> {
        let size = match self.size {
            SizeArg::Ci => study::Size::Ci,
            SizeArg::Full => study::Size::Full,
        };
        let guest = GuestArgs { memory: u64::from(size.pages()) * PAGE_BYTES as u64, resident: None };
        let mut tapes: Vec<(String, Tape)> = vec![];
        for path in &self.trace {
            tapes.push((path.display().to_string(), read_trace(path)?));
        }
        let workloads = size.workloads();
        let made = pool::map("making up traces", &workloads, |text| {
            let synth = Synth::parse(text).map_err(anyhow::Error::msg)?;
            guest.trace(&synth).map(Tape::new)
        });
        for (text, tape) in workloads.into_iter().zip(made) {
            tapes.push((text, tape?));
        }
        let schemes = study::schemes();
        let cells: Vec<_> =
            tapes.iter().flat_map(|tape| schemes.iter().map(move |scheme| (tape, scheme))).collect();
        let mut rows = pool::map("replaying", &cells, |((name, tape), scheme)| {
            let played = self.world.replay((*scheme).clone(), self.bandwidth).run(tape);
            (Row::of(name, self.bandwidth, &played), played)
        })
        .into_iter();
        let parts: Vec<_> = tapes
            .iter()
            .map(|(name, tape)| study::Part {
                workload: name.clone(),
                about: about(tape),
                rows: rows.by_ref().take(schemes.len()).collect(),
            })
            .collect();
        let fixed = [
            format!(
                "Every scheme on every workload, on virtual time: {} replays over a link of {:.1} MB/s, by the real \
                 state machines, policies and stop rules; sizes and coder speeds are modelled.",
                cells.len(),
                self.bandwidth / 1e6
            ),
            self.world.words(),
        ];
        write_file(&self.out, study::html(&fixed, &parts).as_bytes())?;
        for part in &parts {
            let Some((first, place)) = part.first() else { continue };
            if !place.behind.is_empty() {
                let ahead = place.behind.join(", ");
                notice(format_args!("{}: in front of {}: {ahead}", part.workload, first.preset));
            }
        }
        notice(format_args!("{} replays are compared in {}", cells.len(), self.out.display()));
        Ok(exit_status::OK)
    }
}
