//! The exit statuses of the program, all of them.
//!
//! `run` and `receive` end with the guest's own status ([`crate::exit::Exit::code`]) when the guest ends; those are
//! 0 and numbers from 64 up, and odd numbers through the debug-exit port.

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
/// Ended by SIGINT.
pub const INTERRUPTED: u8 = 130;
/// Ended by SIGTERM.
pub const TERMINATED: u8 = 143;

/// For the end of `--help`.
pub const HELP: &str = "\
Exit status: 0 success; 1 failure, said on stderr, the guest is where it was; 2 wrong command line; 3 migration \
cancelled; 4 outcome of the migration unknown; 129, 130 and 143 ended by SIGHUP, SIGINT and SIGTERM. run and receive \
end with the guest's: 0 powered off or moved away, 64 reboot, 66 triple fault, 68 KVM gave up, 70 guest crash, 72 \
godwit itself failed, odd numbers from the guest's debug-exit port.";
