//! One case played: two processes, a guest that moves, a fault, and then the question who runs the guest.
//!
//! The answer is the guest's own. Whoever should run it must be heard to run it, after it has checked all its memory;
//! whoever should not must be silent; and from there it must be possible to move it at once.

use std::{
    thread,
    time::{Duration, Instant},
};

use godwit_migration::report;

use super::{
    case::Case,
    cipher,
    disk::{self, Disk},
    fault::Fault,
    person::{self, Seen},
    point::Side,
    soak::moves_soon,
    strike::{End, strike},
    wire::Wire,
    witness::{is_one_life, is_silent, never_ran, outlives, runs_whole},
};
use crate::{
    program::{PROMPT, Program, Signal},
    site::{Listen, Site, text},
    vmm::{MIGRATION, Migration, Vmm},
};

/// How long a process that is stopped and goes on is stopped.
const STOP: Duration = Duration::from_secs(1);
/// How long a migration is left alone with a fault that is no secret before an operator cancels it.
const LINGER: Duration = Duration::from_secs(4);
/// A stop that is longer than what the other side waits for an answer.
const LONG_FREEZE: Duration = Duration::from_secs(13);
/// How long a target is given to say something of a source that it may never have heard.
const UNHEARD: Duration = Duration::from_secs(3);
/// One in so many migrations that nobody is told of is left to godwit's own deadlines.
const PATIENT: u64 = 12;

/// What came of a case. All of them are well, but for the guest that went down with the process that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The guest moved all the same.
    Moved,
    /// The migration failed; the guest went on at the source.
    WentOn,
    /// An operator cancelled the migration; the guest went on at the source.
    Cancelled,
    /// Unknown; an operator found nothing running and took the guest back.
    TakenBack,
    /// Unknown; an operator found the guest running at the target.
    FoundAtTarget,
    /// The source was killed; the guest runs at the target.
    Outlived,
    /// The process that had the only right to run the guest was killed.
    DiedWithItsProcess,
    /// The migration never came to the step.
    Missed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Moved,
        Self::WentOn,
        Self::Cancelled,
        Self::TakenBack,
        Self::FoundAtTarget,
        Self::Outlived,
        Self::DiedWithItsProcess,
        Self::Missed,
    ];

    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::WentOn => "went on at the source",
            Self::Cancelled => "cancelled, went on",
            Self::TakenBack => "unknown, taken back",
            Self::FoundAtTarget => "unknown, found at the target",
            Self::Outlived => "outlived its source",
            Self::DiedWithItsProcess => "killed with its process",
            Self::Missed => "step not reached",
        }
    }
}

/// A case under way.
struct Play<'a> {
    case: &'a Case,
    /// Flags of TLS.
    tls: Vec<String>,
    wire: Wire,
    source: Vmm,
    target: Vmm,
    /// Under the records of source and target. Unmounted when the processes are gone, and before the site is.
    disks: Option<[Disk; 2]>,
    site: Site,
}

/// Plays `case`.
///
/// # Panics
/// Where the guest was lost or doubled, came to harm, or cannot be moved on.
#[must_use]
pub fn play(case: &Case) -> Outcome {
    let site = Site::open();
    let guest = case.guest();
    let disks = disks(&site, case);
    let flags = |number: usize| -> Vec<String> {
        let place = |disks: &[Disk; 2]| vec!["--state-dir".to_owned(), text(disks[number].path())];
        disks.as_ref().map_or_else(Vec::new, place)
    };
    let machine = guest.machine.map(str::to_owned).into_iter().chain(flags(0)).collect::<Vec<_>>();
    let source = site.boot(&guest.parameters, &words(&machine));
    let tls = if case.point.is_sealed() { cipher::flags(&site) } else { Vec::new() };
    let target = site.receive(Listen::Tcp, &words(&[flags(1), tls.clone()].concat()));
    let end = |vmm: &Vmm, number: usize| End {
        id: vmm.program.id(),
        api: vmm.api.clone(),
        disk: disks.as_ref().map(|disks| disks[number].path().to_owned()),
    };
    let (fault, ends) = (case.fault, [end(&source, 0), end(&target, 1)]);
    let wire = Wire::to(&target.address(), case.injection(), move || strike(fault, &ends));
    let mut play = Play { case, tls: tls.clone(), wire, source, target, disks, site };
    let mut migration =
        play.source.begin_migration(&play.wire.address(), &words(&[case.flags(), tls].concat()));
    let outcome = play.outcome(&mut migration);
    assert!(
        !fault.is_survivable() || matches!(outcome, Outcome::Moved | Outcome::Missed),
        "a migration that could have got over it: {}\n{}",
        outcome.words(),
        migration.err.text()
    );
    outcome
}

/// Flags as a command line wants them.
fn words(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// Disks for records, where the program keeps any: most cases do.
fn disks(site: &Site, case: &Case) -> Option<[Disk; 2]> {
    let full = matches!(case.fault, Fault::FullDisk(_));
    if !disk::has_records() || (!full && case.pick("records", 4) == 0) {
        return None;
    }
    let mount = |name| Disk::mount(site.file(name));
    let disks = mount("source-records").zip(mount("target-records")).map(<[Disk; 2]>::from);
    assert!(disks.is_some() || !full, "only a user who may mount a file system can fill one");
    disks
}

impl Play<'_> {
    fn outcome(&mut self, migration: &mut Program) -> Outcome {
        self.wait_step(migration);
        if !self.wire.fired() {
            let _ = Migration::end(migration).completed();
            return self.target_has_it(Outcome::Missed);
        }
        self.settle(migration);
        if self.case.fault == Fault::Kill(Side::Source) {
            self.source.end();
            migration.end(PROMPT);
            return self.source_is_dead();
        }
        let migration = Migration::end(migration);
        let outcome = migration.report.as_ref().map(|report| report.outcome);
        match outcome {
            Some(report::Outcome::Completed) => self.target_has_it(Outcome::Moved),
            Some(report::Outcome::Unknown) => self.nobody_knows(),
            Some(report::Outcome::Cancelled) => self.source_has_it(Outcome::Cancelled),
            _ => self.source_has_it(Outcome::WentOn),
        }
    }

    fn wait_step(&self, migration: &Program) {
        let deadline = Instant::now() + MIGRATION;
        while !self.wire.fired() && !migration.is_over() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Lets the fault take its course, until the migration is over or an operator has cancelled it.
    fn settle(&self, migration: &Program) {
        let fault = self.case.fault;
        match fault {
            Fault::Stop(side) => {
                thread::sleep(STOP);
                self.side(side).program.signal(Signal::CONT);
            }
            Fault::Freeze(Side::Source) => {
                let patient = self.case.pick("patience", PATIENT) == 0;
                let short = Duration::from_millis(300 + self.case.pick("freeze", 1200));
                thread::sleep(if patient { LONG_FREEZE } else { short });
                self.source.program.signal(Signal::CONT);
            }
            _ => {}
        }
        let linger = match fault {
            _ if fault.is_survivable() => MIGRATION,
            Fault::Stall | Fault::Freeze(Side::Target) if self.case.pick("patience", PATIENT) == 0 => {
                MIGRATION
            }
            Fault::Stall | Fault::Freeze(Side::Target) => {
                Duration::from_millis(100 + self.case.pick("linger", 600))
            }
            _ => LINGER,
        };
        if !migration.ends_within(linger) {
            // It may just have ended, or be too late: then this says so, and changes nothing.
            let _ = self.source.ask(&["cancel"]);
        }
    }

    fn side(&self, side: Side) -> &Vmm {
        if side == Side::Source { &self.source } else { &self.target }
    }

    /// The source says that the guest is at the target.
    fn target_has_it(&mut self, outcome: Outcome) -> Outcome {
        let left = self.source.end();
        assert_eq!(left.status, 0, "a source that has no guest any more: {}", left.err);
        let killed = self.case.fault == Fault::Kill(Side::Target);
        // What kills a target that was `ready` may come after `Go` and `Running`.
        let mortal = (killed || self.case.fault == Fault::OutOfMemory) && self.case.point.is_handed_over()
            || killed && self.wire.go_passed();
        if mortal && self.target.program.ends_within(STOP) {
            return Outcome::DiedWithItsProcess;
        }
        self.runs_at_target();
        outcome
    }

    fn runs_at_target(&mut self) {
        if self.case.fault == Fault::Freeze(Side::Target) {
            self.target.program.signal(Signal::CONT);
        }
        runs_whole(&self.target);
        self.is_one_life(&[&self.target]);
        if self.case.fault != Fault::OutOfMemory && self.case.pick("onward", 4) == 0 {
            self.mend();
            let next = self.site.receive(Listen::Tcp, &[]);
            let _ = self.target.migrate(&next.address(), &[]).completed();
            self.target.end();
            runs_whole(&next);
            self.is_one_life(&[&self.target, &next]);
        }
    }

    /// The guest of the source lives on in these.
    fn is_one_life(&self, after: &[&Vmm]) {
        match self.case.fault {
            Fault::Kill(Side::Source) => outlives(&self.source, after),
            _ => is_one_life(&[&[&self.source], after].concat()),
        }
    }

    /// The source says that the guest goes on there.
    fn source_has_it(&mut self, outcome: Outcome) -> Outcome {
        runs_whole(&self.source);
        if self.case.fault == Fault::Freeze(Side::Target) {
            self.target.program.signal(Signal::CONT);
        }
        self.mend();
        never_ran(&self.target);
        if self.case.fault.spares_target() && self.case.pick("again", 2) == 0 {
            self.moves_to_the_same_target();
        } else {
            self.moves_to_a_fresh_target();
        }
        outcome
    }

    /// The network is mended, and there is room again.
    fn mend(&self) {
        self.wire.mend();
        self.disks.iter().flatten().for_each(|disk| disk::empty(disk.path()));
    }

    fn moves_to_a_fresh_target(&mut self) {
        let fresh = self.site.receive(Listen::Tcp, &[]);
        let _ = self.source.migrate(&fresh.address(), &[]).completed();
        self.source.end();
        runs_whole(&fresh);
        is_one_life(&[&self.source, &fresh]);
    }

    /// To the target that the migration failed to, as soon as that has understood.
    fn moves_to_the_same_target(&mut self) {
        let _ = moves_soon(&self.source, &self.target, &words(&self.tls));
        self.source.end();
        runs_whole(&self.target);
        is_one_life(&[&self.source, &self.target]);
    }

    /// The source was killed. The target had been told to run the guest, or holds it and an operator says so, or it went
    /// with the source.
    fn source_is_dead(&mut self) -> Outcome {
        let runs = self.target_says_that_it_runs();
        if !runs && person::waits(&self.target) {
            assert!(!self.wire.go_passed(), "the target was told to run the guest, and waits");
            person::keep_at_target(&self.target);
            self.runs_at_target();
            return Outcome::Outlived;
        }
        let sealed = self.case.point.is_sealed();
        if runs {
            assert!(sealed || self.wire.go_passed(), "a guest runs whose target was not told to run it");
            self.runs_at_target();
            return Outcome::Outlived;
        }
        assert!(!self.wire.go_passed(), "the target was told to run the guest, and does not");
        never_ran(&self.target);
        let guest = self.case.guest();
        self.source = self.site.boot(&guest.parameters, &guest.machine);
        self.moves_to_the_same_target();
        Outcome::DiedWithItsProcess
    }

    /// What the target says when it has lost its source. One that had not understood who is there says nothing.
    fn target_says_that_it_runs(&self) -> bool {
        let sealed = self.case.point.is_sealed();
        let deadline = Instant::now() + if sealed { UNHEARD } else { PROMPT };
        loop {
            let said = self.target.program.err.text();
            if said.contains(" runs here") {
                return true;
            }
            if said.contains("no guest arrived") || person::waits(&self.target) {
                return false;
            }
            if Instant::now() >= deadline {
                assert!(sealed, "the target does not say what came of the guest:\n{said}");
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The source cannot know: an operator looks.
    fn nobody_knows(&mut self) -> Outcome {
        is_silent(&self.source);
        assert_eq!(person::look(&self.source), Seen::Still);
        if self.case.fault == Fault::Freeze(Side::Target) {
            let signal = if self.case.pick("fence", 2) == 0 { Signal::KILL } else { Signal::CONT };
            self.target.program.signal(signal);
            if signal == Signal::KILL {
                self.target.end();
            }
        }
        if person::look(&self.target) == Seen::Running {
            person::discard_at_source(&mut self.source);
            self.runs_at_target();
            return Outcome::FoundAtTarget;
        }
        if !self.target.program.is_over() {
            person::fence(&mut self.target);
        }
        self.mend();
        person::keep_at_source(&self.source);
        runs_whole(&self.source);
        self.moves_to_a_fresh_target();
        Outcome::TakenBack
    }
}
