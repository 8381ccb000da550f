//! The host's KVM: that it is there, that it can what a machine needs, and words for when not.
//!
//! Knows nothing of a particular machine. Neighbours: `sys` has the calls that kvm-ioctls does not offer.

#[cfg(test)]
mod kvm_test;
mod plain;
pub(crate) mod sys;

use std::io;

use kvm_bindings::{
    KVM_API_VERSION, KVM_CAP_ADJUST_CLOCK, KVM_CAP_DEBUGREGS, KVM_CAP_EXT_CPUID, KVM_CAP_GET_TSC_KHZ,
    KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_IOEVENTFD, KVM_CAP_IRQCHIP, KVM_CAP_IRQFD, KVM_CAP_MP_STATE,
    KVM_CAP_PIT_STATE2, KVM_CAP_PIT2, KVM_CAP_SET_IDENTITY_MAP_ADDR, KVM_CAP_SET_TSS_ADDR, KVM_CAP_SREGS2,
    KVM_CAP_USER_MEMORY, KVM_CAP_VCPU_EVENTS, KVM_CAP_XSAVE2,
};
use kvm_ioctls::{Kvm, VmFd};
use thiserror::Error;

pub(crate) use plain::Plain;

const DEVICE: &std::ffi::CStr = c"/dev/kvm";

/// What every machine needs, by the names of the KVM API documentation.
const NEEDED: [(u32, &str); 18] = [
    (KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"),
    (KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR"),
    (KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_CAP_SET_IDENTITY_MAP_ADDR"),
    (KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP"),
    (KVM_CAP_PIT2, "KVM_CAP_PIT2"),
    (KVM_CAP_PIT_STATE2, "KVM_CAP_PIT_STATE2"),
    (KVM_CAP_IRQFD, "KVM_CAP_IRQFD"),
    (KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD"),
    (KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"),
    (KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"),
    (KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE"),
    (KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS"),
    (KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS"),
    (KVM_CAP_XSAVE2, "KVM_CAP_XSAVE2"),
    (KVM_CAP_SREGS2, "KVM_CAP_SREGS2"),
    (KVM_CAP_GET_TSC_KHZ, "KVM_CAP_GET_TSC_KHZ"),
    (KVM_CAP_ADJUST_CLOCK, "KVM_CAP_ADJUST_CLOCK"),
    (kvm_bindings::KVM_CAP_TSC_DEADLINE_TIMER, "KVM_CAP_TSC_DEADLINE_TIMER"),
];

/// A failure of KVM, or its absence.
#[derive(Debug, Error)]
pub enum KvmError {
    /// There is no /dev/kvm.
    #[error(
        "/dev/kvm does not exist: load the module (modprobe kvm-intel or kvm-amd), switch virtualisation on in the \
         firmware, or, in a virtual machine, enable nested virtualisation on its host"
    )]
    Absent,
    /// /dev/kvm is there, but the driver behind it is not.
    #[error(
        "/dev/kvm is there, but no KVM driver answers; load the module (modprobe kvm-intel or kvm-amd), or, in a \
         virtual machine, enable nested virtualisation on its host"
    )]
    NoDriver(#[source] io::Error),
    /// Not permitted.
    #[error(
        "/dev/kvm may not be opened by this user: join the group that owns it (usually: usermod -aG kvm $USER)"
    )]
    Forbidden,
    /// Not the API that has been the only one since 2007.
    #[error("/dev/kvm speaks API version {0}; this program needs 12")]
    Version(i32),
    /// A capability is missing.
    #[error("this host's KVM lacks {0}; Linux 5.17 or newer is needed")]
    Missing(&'static str),
    /// A call failed.
    #[error("{what} failed")]
    Call {
        /// The call, by its name in the KVM API documentation.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl KvmError {
    /// For `map_err`: the failed call by name.
    pub(crate) fn call(what: &'static str) -> impl Fn(kvm_ioctls::Error) -> Self {
        move |errno| Self::Call { what, source: errno.into() }
    }

    /// The same for a system call.
    pub(crate) fn io(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Call { what, source }
    }
}

/// Makes a VM, however many signals come in the middle of it.
pub(crate) fn create_vm(kvm: &Kvm) -> Result<VmFd, KvmError> {
    loop {
        match kvm.create_vm() {
            // Nothing was made.
            Err(errno) if errno.errno() == libc::EINTR => {}
            made => return made.map_err(KvmError::call("KVM_CREATE_VM")),
        }
    }
}

/// Opens KVM and checks that it can what every machine needs.
pub(crate) fn open() -> Result<Kvm, KvmError> {
    let kvm = Kvm::new_with_path(DEVICE).map_err(|errno| unopened(errno.into()))?;
    match kvm.get_api_version() {
        version if version == KVM_API_VERSION as i32 => {}
        version => return Err(KvmError::Version(version)),
    }
    match NEEDED.iter().find(|(cap, _)| kvm.check_extension_raw((*cap).into()) <= 0) {
        Some((_, name)) => Err(KvmError::Missing(name)),
        None => Ok(kvm),
    }
}

/// Why the device could not be opened.
fn unopened(error: io::Error) -> KvmError {
    match error.raw_os_error() {
        Some(libc::ENOENT) => KvmError::Absent,
        Some(libc::EACCES | libc::EPERM) => KvmError::Forbidden,
        _ => KvmError::NoDriver(error),
    }
}
