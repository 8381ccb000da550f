//! The exit statuses of the program, all of them.
//!
//! `run` and `receive` end with the guest's own status ([`crate::exit::Exit::code`]) when the guest ends; those are
//! 0 and numbers from 64 up, and odd numbers through the debug-exit port.

use godwit_migration::{
    error::Class,
    report::{Outcome, Report},
};

/// The status for how a migration ended.
#[must_use]
pub fn of(report: &Report) -> u8 {
    match (&report.error, report.outcome) {
        (_, Outcome::Completed) => OK,
        (Some(error), _) => of_class(error.class),
        (None, Outcome::Cancelled) => CANCELLED,
        (None, Outcome::Unknown) => UNKNOWN_OUTCOME,
        (None, Outcome::Failed) => FAILED,
    }
}

/// The status for a class of failures.
#[must_use]
pub fn of_class(class: Class) -> u8 {
    match class {
        Class::Local => FAILED,
        Class::Cancelled => CANCELLED,
        Class::Unknown => UNKNOWN_OUTCOME,
        Class::Incompatible => INCOMPATIBLE,
        Class::Link => LINK,
        Class::Peer => PEER,
        Class::Protocol => PROTOCOL,
        Class::Timeout => TIMEOUT,
        Class::Guest => GUEST,
    }
}

/// It went well.
pub const OK: u8 = 0;
/// It failed, and the error on stderr says why. A guest that was to be moved runs where it ran before.
pub const FAILED: u8 = 1;
/// The command line is wrong (clap's own status).
pub const USAGE: u8 = 2;
/// The migration was cancelled; the guest runs where it ran before.
pub const CANCELLED: u8 = 3;
/// The outcome of the migration is unknown: the source is paused and keeps everything, the target may be running.
pub const UNKNOWN_OUTCOME: u8 = 4;
/// The target cannot take the guest, and says why.
pub const INCOMPATIBLE: u8 = 5;
/// The target could not be reached, the link was lost, or the target was silent.
pub const LINK: u8 = 6;
/// The target gave up, and says why.
pub const PEER: u8 = 7;
/// The target broke the protocol, or speaks another one.
pub const PROTOCOL: u8 = 8;
/// The migration did not get there in its time.
pub const TIMEOUT: u8 = 9;
/// The guest ended on its own before it had moved.
pub const GUEST: u8 = 10;
/// Ended by SIGINT.
pub const INTERRUPTED: u8 = 130;
/// Ended by SIGTERM.
pub const TERMINATED: u8 = 143;

/// For the end of `--help`.
pub const HELP: &str = "\
Exit status: 0 success; 1 failure, said on stderr, the guest is where it was; 2 wrong command line; 3 migration \
cancelled; 4 outcome of the migration unknown; a migration that failed: 5 the target cannot take the guest, 6 link \
lost or silent, 7 the target gave up, 8 protocol broken, 9 out of time, 10 the guest ended meanwhile; 129, 130 and 143 ended by SIGHUP, SIGINT and SIGTERM. run and receive \
end with the guest's: 0 powered off or moved away, 64 reboot, 66 triple fault, 68 KVM gave up, 70 guest crash, 72 \
godwit itself failed, 74 the sandbox refused a system call, odd numbers from the guest's debug-exit port.";
