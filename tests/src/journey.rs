//! A guest on its way through several processes: moved, watched, judged at the end by all that it ever printed.

use std::time::Duration;

use godwit_migration::report::Report;

use crate::{
    site::{Listen, Site},
    stream::Stream,
    verdict::Verdict,
    vmm::Vmm,
};

/// Heartbeats that are heard after each move.
const BEATS: usize = 3;
/// No guest stands still for longer, on a machine that does other things too, unless something hangs. How long it does on
/// a quiet one is a benchmark's to say.
pub const STANDSTILL: Duration = Duration::from_secs(20);
/// What a report's downtime may be longer than the standstill that the guest saw: messages on the way, a busy machine.
const SLACK: Duration = Duration::from_secs(1);

/// The guest and its way.
pub struct Journey {
    /// The process in which it is.
    pub now: Vmm,
    trail: Vec<Stream>,
    /// A report for each move.
    pub reports: Vec<Report>,
}

impl Journey {
    /// Begins where the guest runs.
    #[must_use]
    pub fn begin(now: Vmm) -> Self {
        Self { trail: vec![now.program.out.clone()], now, reports: Vec::new() }
    }

    /// Moves the guest to a new process, and hears it there.
    ///
    /// # Panics
    /// Where the migration does not complete, the source does not end well, or the guest is silent.
    pub fn hop(&mut self, site: &Site, listen: Listen, arguments: &[&str]) -> &Report {
        self.hop_to(site.receive(listen, &[]), arguments)
    }

    /// Moves the guest to `target`, and hears it there.
    ///
    /// # Panics
    /// As [`Self::hop`].
    pub fn hop_to(&mut self, target: Vmm, arguments: &[&str]) -> &Report {
        let migration = self.now.migrate(&target.address(), arguments);
        if migration.ended.status != 0 {
            // Why it failed may be the target's to tell.
            std::thread::sleep(SLACK);
            println!("the target said: {}", target.program.err.text());
        }
        self.follow(target, migration.completed())
    }

    /// The guest has moved to `target`, as `report` says: hears it there.
    ///
    /// # Panics
    /// As [`Self::hop`].
    pub fn follow(&mut self, target: Vmm, report: Report) -> &Report {
        let address = target.address();
        let left = self.now.end();
        let farewell = format!("godwit: the guest now runs at {address}; this process ends");
        assert_eq!(left.status, 0, "{}", left.err);
        assert_eq!(left.err.lines().filter(|line| *line == farewell).count(), 1, "{}", left.err);
        target.wait_beats(BEATS);
        self.trail.push(target.program.out.clone());
        self.now = target;
        self.reports.push(report);
        &self.reports[self.reports.len() - 1]
    }

    /// What the load guest says of its whole way: it came to no harm, and it stood still about as long as the reports
    /// tell, for no longer than [`STANDSTILL`].
    ///
    /// # Panics
    /// Where it was otherwise.
    pub fn verdict(&self) -> Verdict {
        let console: String = self.trail.iter().map(Stream::text).collect();
        let verdict = Verdict::of(&console).unwrap_or_else(|harm| panic!("{harm}\n{console}"));
        let gap = verdict.longest_gap();
        println!("the guest beat {} times, its longest gap is {gap:?}", verdict.beats.len());
        assert!(
            gap <= STANDSTILL,
            "the guest stood still for {gap:?}, over {STANDSTILL:?}; {:#?}",
            self.reports
        );
        for report in &self.reports {
            let told = Duration::from_secs_f64(report.downtime_s.total);
            assert!(
                told <= gap + SLACK,
                "a downtime of {told:?} was reported, the guest saw {gap:?} at most"
            );
        }
        verdict
    }
}
