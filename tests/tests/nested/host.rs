//! One boot of a nested host with a journey in it.

use std::{path::PathBuf, time::Duration};

use godwit_ci::nested::{OutOfTime, Outcome, Request, capture, kernel::Series};
use godwit_tests::{linux::impossible_flags, program::godwit};

/// How long the guests of one host may take, on a machine that is busy with another host.
pub const LIMIT: Duration = Duration::from_secs(420);

/// How often a journey may be begun whose host counts instructions.
const ATTEMPTS: u32 = 6;

/// What is to be done in a host.
pub struct Journey {
    /// The program that does it, of this package.
    pub program: &'static str,
    /// Its arguments after the guest's kernel and initramfs.
    pub arguments: &'static str,
    /// The kernel of host and guest.
    pub series: Series,
    /// Modules that the host needs for it.
    pub modules: &'static [&'static str],
    /// Images of its disks.
    pub disks: Vec<PathBuf>,
    /// Whether the host's clocks count instructions. Where they do, and the time is over, it is begun again a few times: the
    /// emulator comes to a stand then, with its CPU at work (`docs/nested.md`).
    pub counts_instructions: bool,
    /// How long it may take.
    pub limit: Duration,
}

impl Journey {
    /// `program` in a host of 6.1 that needs nothing else.
    pub fn of(program: &'static str) -> Self {
        Self {
            program,
            arguments: "",
            series: Series::V6_1,
            modules: &[],
            disks: Vec::new(),
            counts_instructions: false,
            limit: LIMIT,
        }
    }

    /// What it printed when all went well. Done once more where the host's own CPU is proven to have failed.
    ///
    /// # Panics
    /// Where it failed.
    pub fn done(&self) -> String {
        let (mut outcome, mut output) = self.attempt();
        if let Some(flags) = impossible_flags(&output).filter(|_| outcome.code != 0) {
            println!("\na guest died of EFLAGS {flags:#x}, which no CPU can have: once more");
            (outcome, output) = self.attempt();
        }
        println!("\nhost up after {:?}, all done after {:?}", outcome.up_after, outcome.total);
        assert_eq!(outcome.code, 0, "{} did not end well", self.program);
        output
    }

    fn attempt(&self) -> (Outcome, String) {
        let attempts = if self.counts_instructions { ATTEMPTS } else { 1 };
        let mut number = 1;
        loop {
            match self.take() {
                Err(error) if number < attempts && error.is::<OutOfTime>() => {
                    println!("\nthe emulator stands still, attempt {number} of {attempts}: once more");
                    number += 1;
                }
                ended => return ended.unwrap_or_else(|error| panic!("{error:#}")),
            }
        }
    }

    fn take(&self) -> anyhow::Result<(Outcome, String)> {
        let Self { program, arguments, series, .. } = self;
        let name = program.rsplit('/').next().unwrap_or(program);
        let guest = |file: &str| format!("/guest/{series}/{file}");
        let (kernel, initrd) = (guest("vmlinuz"), guest("initramfs.cpio"));
        let tracing = "/sys/kernel/tracing";
        let script = format!(
            "mount -t tracefs tracefs {tracing}; \
             GODWIT_BIN=/work/godwit GODWIT_TRACING={tracing} TMPDIR=/work exec {name} {kernel} {initrd} {arguments}"
        );
        let mut request = Request::new(["sh", "-c", &script])
            .bring(godwit())
            .and_then(|request| request.bring(program))
            .expect("both programs are there");
        request.kernel = *series;
        request.guests = vec![*series];
        request.modules = self.modules.iter().map(|module| (*module).to_owned()).collect();
        // With more than one, the emulator lets a CPU run code that another is patching, and the host's kernel dies of it.
        request.cpus = 1;
        request.disks.clone_from(&self.disks);
        request.counts_instructions = self.counts_instructions;
        request.timeout = self.limit;
        capture(&request)
    }
}
