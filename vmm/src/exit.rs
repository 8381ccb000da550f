//! How the run of a guest ends, what is said about it, and the process's exit status for it.
//!
//! Neighbours: the vCPU threads and the event loop send; the command line prints and exits.

use std::{fmt, sync::Arc};

/// Exit status after a power-off.
pub const EXIT_POWER_OFF: u8 = 0;
/// Exit status after the guest reset itself. This and those below are even: a debug exit is always odd.
pub const EXIT_RESET: u8 = 64;
/// Exit status after a triple fault.
pub const EXIT_TRIPLE_FAULT: u8 = 66;
/// Exit status when KVM could not go on.
pub const EXIT_KVM_INTERNAL: u8 = 68;
/// Exit status when the guest told the host that it crashed.
pub const EXIT_GUEST_CRASH: u8 = 70;
/// Exit status when a part of this program failed.
pub const EXIT_VMM_FAILED: u8 = 72;
/// Exit status when the user typed the quit keys on the console.
pub const EXIT_QUIT: u8 = 0;

/// Why the guest no longer runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The guest powered itself off.
    PowerOff,
    /// The guest asked for a reset: a reboot.
    Reset,
    /// A CPU met a fault while it handled a double fault, and shut down.
    TripleFault {
        /// Which vCPU.
        vcpu: u8,
    },
    /// The guest wrote to the debug-exit port: the exit status is its choice, always odd.
    DebugExit(u8),
    /// KVM could not run a vCPU any further: what it said.
    KvmInternal(String),
    /// The guest reported that it crashed (a paravirtual panic notice).
    GuestCrash {
        /// Which vCPU reported it.
        vcpu: u8,
    },
    /// The guest told that it panicked (pvpanic), and then ended.
    GuestPanic,
    /// A thread of this program that the guest needs ended: a defect of ours, never of the guest.
    VmmFailed(String),
    /// The user typed the quit keys on the console.
    Quit,
}

impl Exit {
    /// Exit status for the process.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::PowerOff => EXIT_POWER_OFF,
            Self::Reset => EXIT_RESET,
            Self::TripleFault { .. } => EXIT_TRIPLE_FAULT,
            Self::DebugExit(code) => *code,
            Self::KvmInternal(_) => EXIT_KVM_INTERNAL,
            Self::GuestCrash { .. } | Self::GuestPanic => EXIT_GUEST_CRASH,
            Self::VmmFailed(_) => EXIT_VMM_FAILED,
            Self::Quit => EXIT_QUIT,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerOff => write!(f, "the guest powered off"),
            Self::Reset => {
                write!(f, "the guest asked for a reboot, which ends the run; start it again to boot it anew")
            }
            Self::TripleFault { vcpu } => {
                write!(
                    f,
                    "vCPU {vcpu} shut down after a triple fault: the guest's exception handling is broken"
                )
            }
            Self::DebugExit(code) => {
                write!(f, "the guest ended the run with status {code} on its debug-exit port")
            }
            Self::KvmInternal(what) => write!(f, "KVM could not go on: {what}"),
            Self::GuestCrash { vcpu } => write!(f, "the guest reported on vCPU {vcpu} that it crashed"),
            Self::GuestPanic => write!(f, "the guest panicked, as it told by its pvpanic device, and ended"),
            Self::VmmFailed(what) => write!(f, "a part of godwit failed: {what}"),
            Self::Quit => write!(f, "ended by the quit keys on the console"),
        }
    }
}

/// Where exits are reported. Clones report to the same place.
///
/// The callback runs on a vCPU's thread or the event loop's, so it must be quick and must not call the machine.
#[derive(Clone)]
pub struct ExitSender(Arc<dyn Fn(Exit) + Send + Sync>);

impl ExitSender {
    /// Reports to `report`.
    pub fn new(report: impl Fn(Exit) + Send + Sync + 'static) -> Self {
        Self(Arc::new(report))
    }

    /// Reports an exit.
    pub fn send(&self, exit: Exit) {
        (self.0)(exit);
    }
}

impl From<std::sync::mpsc::Sender<Exit>> for ExitSender {
    /// Reports into a channel; once nobody listens any more, an exit is of no interest either.
    fn from(channel: std::sync::mpsc::Sender<Exit>) -> Self {
        Self::new(move |exit| {
            let _ = channel.send(exit);
        })
    }
}

impl fmt::Debug for ExitSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExitSender")
    }
}
