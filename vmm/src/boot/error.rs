//! Why a guest cannot be started. Each message is one sentence that names the file and the way out.

use std::io;

use thiserror::Error;

/// What a file was given as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `--kernel`.
    Kernel,
    /// `--initrd`.
    Initrd,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
        })
    }
}

/// Errors of loading a guest and of preparing its boot CPU. Sizes are in bytes.
#[derive(Debug, Error)]
pub enum BootError {
    /// The file is not there, or may not be read.
    #[error("cannot open the {role} '{name}': {source}; check the path given to --{role}")]
    Open {
        /// What it was given as.
        role: Role,
        /// The file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A directory, a pipe, a device.
    #[error("the {role} '{name}' is not a regular file; give --{role} the path of a file")]
    NotAFile {
        /// What it was given as.
        role: Role,
        /// The file.
        name: String,
    },
    /// No byte in it.
    #[error("the {role} '{name}' is empty; copy or build it again")]
    Empty {
        /// What it was given as.
        role: Role,
        /// The file.
        name: String,
    },
    /// Reading failed half-way.
    #[error("cannot read the {role} '{name}': {reason}; copy or build it again")]
    Read {
        /// What it was given as.
        role: Role,
        /// The file.
        name: String,
        /// What went wrong.
        reason: String,
    },
    /// Its header promises more than there is.
    #[error(
        "the kernel '{name}' is truncated: it has {length} bytes and its header asks for {expected}; \
         copy or build it again"
    )]
    Truncated {
        /// The file.
        name: String,
        /// Bytes that it has.
        length: u64,
        /// Bytes that it should have at least.
        expected: u64,
    },
    /// Neither bzImage nor ELF.
    #[error(
        "'{name}' is not a kernel that godwit can boot: {reason}; --kernel takes an x86-64 bzImage or vmlinux"
    )]
    NotAKernel {
        /// The file.
        name: String,
        /// What it looks like.
        reason: String,
    },
    /// A kernel for another machine.
    #[error(
        "the kernel '{name}' is for {found}, this machine is x86-64; give --kernel a kernel built for x86-64"
    )]
    WrongArchitecture {
        /// The file.
        name: String,
        /// The architecture that it is for.
        found: String,
    },
    /// A bzImage without a 64-bit entry.
    #[error(
        "the bzImage '{name}' has no 64-bit entry (boot protocol {major}.{minor:02}); \
         give --kernel one built with CONFIG_X86_64, of Linux 3.8 or newer"
    )]
    No64BitEntry {
        /// The file.
        name: String,
        /// Version of its boot protocol.
        major: u8,
        /// Version of its boot protocol.
        minor: u8,
    },
    /// A header field that cannot be.
    #[error("the kernel '{name}' is damaged: {reason}; copy or build it again")]
    Damaged {
        /// The file.
        name: String,
        /// Which field, and why not.
        reason: String,
    },
    /// It needs memory up to an address that the guest does not have.
    #[error(
        "the kernel '{name}' needs memory up to {needed_mib} MiB and the guest has {available_mib} MiB below 3 GiB; \
         give the guest more with --memory"
    )]
    KernelTooLarge {
        /// The file.
        name: String,
        /// End of what it needs, in MiB, rounded up.
        needed_mib: u64,
        /// End of low memory, in MiB, rounded down.
        available_mib: u64,
    },
    /// It does not fit between the kernel and the end of low memory.
    #[error(
        "the initrd '{name}' of {length} bytes does not fit: {room} bytes are free beside the kernel; \
         give the guest more with --memory"
    )]
    InitrdTooLarge {
        /// The file.
        name: String,
        /// Its size.
        length: u64,
        /// Size of the largest initrd that would fit.
        room: u64,
    },
    /// Longer than the kernel would read.
    #[error("the command line has {length} bytes and the kernel '{name}' takes {limit}; shorten --cmdline")]
    CommandLineTooLong {
        /// The kernel's file.
        name: String,
        /// Its size without the NUL.
        length: usize,
        /// The most that fits.
        limit: usize,
    },
    /// A NUL would cut it short; other control characters are never meant.
    #[error("the command line has a control character at byte {offset}; take it out of --cmdline")]
    CommandLineCharacter {
        /// Where.
        offset: usize,
    },
    /// A structure of the boot protocol lies outside the guest's memory.
    #[error("cannot write the {what} into guest memory: {source}; give the guest more with --memory")]
    Memory {
        /// Which structure.
        what: &'static str,
        /// What the memory said.
        source: vm_memory::GuestMemoryError,
    },
    /// KVM refused the registers.
    #[error("KVM does not take the start registers of the boot CPU: {0}")]
    Registers(#[from] kvm_ioctls::Error),
}

/// Rounds up to MiB, for messages.
pub(super) fn mib_up(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}
