//! The kick: how a thread is brought out of KVM_RUN, and the parts of `kvm_run` that kvm-ioctls leaves out.
//!
//! A signal alone can come just before KVM_RUN and be lost. So its handler, on the vCPU's own thread, sets
//! `immediate_exit`, which makes the next KVM_RUN return at once; the thread clears it before it looks for commands.

use std::{cell::Cell, io, mem, ptr, sync::OnceLock, thread::JoinHandle, time::Duration};

use kvm_bindings::{
    KVM_EXIT_IO, KVM_EXIT_IO_OUT, KVM_INTERNAL_ERROR_EMULATION,
    KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES, kvm_run,
};
use kvm_ioctls::VcpuFd;
use vmm_sys_util::signal::{Killable, SIGRTMIN, register_signal_handler};

use crate::{error::MachineError, kvm::KvmError};

/// A turn of a vCPU: the least that the kernel's scheduler takes.
const TURN: Duration = Duration::from_micros(100);

thread_local! {
    /// `immediate_exit` of the vCPU that this thread runs. Needs neither initialisation nor destructor, so that the
    /// signal handler may use it at any time.
    static IMMEDIATE_EXIT: Cell<*mut u8> = const { Cell::new(ptr::null_mut()) };
}

extern "C" fn on_kick(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let flag = IMMEDIATE_EXIT.get();
    if !flag.is_null() {
        // SAFETY: non-null only between `Kickable::new` and its drop, while the mapping is there.
        unsafe { flag.write_volatile(1) };
    }
}

/// Installs the signal handler of the kick, once in a process.
pub(super) fn install_kick() -> Result<(), MachineError> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let installed =
        INSTALLED.get_or_init(|| register_signal_handler(SIGRTMIN(), on_kick).map_err(|e| e.errno()));
    installed.map_err(|errno| {
        let source = std::io::Error::from_raw_os_error(errno);
        MachineError::Kvm(KvmError::Call { what: "installing the handler of the vCPU kick", source })
    })
}

/// Sends the kick. A thread that has ended takes no notice.
pub(super) fn kick(thread: &JoinHandle<()>) {
    // The only possible error is a thread that ended.
    let _ = thread.kill(SIGRTMIN());
}

/// While it lives, a kick of this thread makes KVM_RUN of its vCPU return.
pub(super) struct Kickable;

impl Kickable {
    /// For the vCPU that the calling thread owns. Drop it before the vCPU.
    pub(super) fn new(vcpu: &mut VcpuFd) -> Self {
        IMMEDIATE_EXIT.set(&raw mut vcpu.get_kvm_run().immediate_exit);
        Self
    }
}

impl Drop for Kickable {
    fn drop(&mut self) {
        IMMEDIATE_EXIT.set(ptr::null_mut());
    }
}

/// A port access that waits to be carried out: `count` times `width` bytes at one port.
pub(super) struct PortIo<'a> {
    /// The port.
    pub port: u16,
    /// Bytes of one access: 1, 2 or 4.
    pub width: usize,
    /// Whether the guest writes.
    pub out: bool,
    /// The bytes, to be read or filled.
    pub data: &'a mut [u8],
}

/// The port access of the last exit; `None` if that was no such exit. `run_bytes` is the size of the `kvm_run`
/// mapping.
pub(super) fn port_io(vcpu: &mut VcpuFd, run_bytes: usize) -> Option<PortIo<'_>> {
    let run: *mut kvm_run = vcpu.get_kvm_run();
    // SAFETY: the pointer was a reference a line ago; this thread alone uses the mapping until the next KVM_RUN.
    let (reason, io) = unsafe { ((*run).exit_reason, (*run).__bindgen_anon_1.io) };
    let bytes = usize::from(io.size).checked_mul(usize::try_from(io.count).ok()?)?;
    let start = usize::try_from(io.data_offset).ok()?;
    if reason != KVM_EXIT_IO || io.size == 0 || start.checked_add(bytes)? > run_bytes {
        return None;
    }
    // SAFETY: inside the mapping, as was just checked, and outside the structure itself, as KVM places it; the
    // borrow of `vcpu` keeps everybody else away.
    let data = unsafe { std::slice::from_raw_parts_mut(run.cast::<u8>().add(start), bytes) };
    Some(PortIo {
        port: io.port,
        width: io.size.into(),
        out: u32::from(io.direction) == KVM_EXIT_IO_OUT,
        data,
    })
}

/// What KVM said about an internal error: the sub-error, and for a failed emulation the instruction's bytes.
pub(super) fn internal_error(vcpu: &mut VcpuFd) -> String {
    let run = vcpu.get_kvm_run();
    // SAFETY: all members of the union are plain integers.
    let (error, emulation) =
        unsafe { (run.__bindgen_anon_1.internal, run.__bindgen_anon_1.emulation_failure) };
    if error.suberror != KVM_INTERNAL_ERROR_EMULATION {
        let data = &error.data[..(error.ndata as usize).min(error.data.len())];
        return format!("internal error {} with data {data:#x?}", error.suberror);
    }
    let flag = u64::from(KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES);
    let mut text = "internal error 1: an instruction could not be emulated".to_owned();
    if emulation.ndata >= 1 && emulation.flags & flag != 0 {
        // SAFETY: the flag says that this member is the one that was filled.
        let instruction = unsafe { emulation.__bindgen_anon_1.__bindgen_anon_1 };
        let size = usize::from(instruction.insn_size).min(instruction.insn_bytes.len());
        text += &format!(", its bytes are {:02x?}", &instruction.insn_bytes[..size]);
    }
    text
}

/// Asks for short turns on the CPU (`sched_runtime` of sched_setattr(2)): the calling thread gets what it got before, in
/// smaller pieces and sooner, so that a guest waits less while lanes compute beside it. Says whether it got them: kernels
/// before 6.12 have no such turns, and take no notice.
pub(super) fn take_short_turns() -> bool {
    // SAFETY: all bytes zero is a valid `sched_attr`.
    let mut attributes = unsafe { mem::zeroed::<libc::sched_attr>() };
    let size = mem::size_of_val(&attributes) as u32;
    // SAFETY: the pointer is to a value of ours of that size; 0 is this thread.
    let known = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if known != 0 {
        return false;
    }
    attributes.sched_runtime = TURN.as_nanos() as u64;
    // SAFETY: the pointer is to a value of ours, whose size the kernel has written into it; 0 is this thread.
    let taken = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    // SAFETY: as above.
    let told = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    taken == 0 && told == 0 && u128::from(attributes.sched_runtime) == TURN.as_nanos()
}

/// CPU time that the calling thread has used.
pub(super) fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec` of ours. The clock exists on every Linux; if not, the time stays 0.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Kicks the thread that made it, again and again, until it is dropped.
pub(super) struct Ticker(libc::timer_t);

impl Ticker {
    /// Kicks the calling thread `every` so often.
    pub(super) fn start(every: Duration) -> io::Result<Self> {
        // SAFETY: all bytes zero is a valid `sigevent`; `gettid` has no conditions.
        let (mut event, thread) = unsafe { (std::mem::zeroed::<libc::sigevent>(), libc::gettid()) };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = SIGRTMIN();
        event.sigev_notify_thread_id = thread;
        let mut timer: libc::timer_t = ptr::null_mut();
        // SAFETY: both pointers are to values of ours that live through the call.
        if unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let timer = Self(timer);
        let every = libc::timespec {
            tv_sec: every.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(every.subsec_nanos()),
        };
        let turns = libc::itimerspec { it_interval: every, it_value: every };
        // SAFETY: the timer is the one just made, the pointer is to a value of ours; no old value is asked for.
        if unsafe { libc::timer_settime(timer.0, 0, &raw const turns, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(timer)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        // SAFETY: made by `start`, and deleted here alone.
        unsafe { libc::timer_delete(self.0) };
    }
}

#[cfg(test)]
mod turns_test {
    #[test]
    fn a_vcpu_takes_short_turns_where_the_kernel_has_them() {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap());
        let version = (numbers.next().unwrap(), numbers.next().unwrap());
        let taken = std::thread::spawn(super::take_short_turns).join().unwrap();
        assert_eq!(taken, version >= (6, 12), "kernel {release}");
    }
}
