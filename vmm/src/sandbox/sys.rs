//! The calls that lower what this process can do, and the handler that tells of a refused one.

use std::{cell::Cell, io, mem, ptr};

use super::EXIT_SANDBOX;

thread_local! {
    /// The role of this thread; one that has entered none has its maker's filter: disks' threads that of `events`, others
    /// `control`'s. Needs neither initialisation nor destructor, so that the signal handler may read it at any time.
    static ROLE: Cell<&'static str> = const { Cell::new("control or events") };
}

/// Remembers what role the calling thread has.
pub(super) fn name_thread(role: &'static str) {
    ROLE.set(role);
}

/// Makes a refused call end the process, with one line that names the call.
pub(super) fn catch_refusals() -> io::Result<()> {
    // SAFETY: all bytes zero is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_refusal as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
    // SAFETY: the pointer is to a value of ours; the handler keeps to what a handler may do.
    match unsafe { libc::sigaction(libc::SIGSYS, &raw const action, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The beginning of `siginfo_t` for a call refused by seccomp, which libc does not spell out.
#[repr(C)]
struct RefusedCall {
    signal_error_code: [libc::c_int; 3],
    /// Aligned as the pointer that follows.
    _gap: libc::c_int,
    address: *mut libc::c_void,
    call: libc::c_int,
    architecture: libc::c_uint,
}

extern "C" fn on_refusal(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel hands a `siginfo_t`, which is larger than this view of its beginning.
    let call = unsafe { (*info.cast::<RefusedCall>()).call };
    let (mut line, mut at) = ([0_u8; 200], 0);
    let mut digits = [0_u8; 10];
    // First, so that the line begins at the left edge.
    godwit_devices::serial::restore_terminal();
    for piece in [
        b"godwit: the sandbox refused system call ".as_slice(),
        number(call.unsigned_abs(), &mut digits),
        b" of a thread of role ",
        ROLE.get().as_bytes(),
        b"; the process ends (--sandbox off runs without it)\n",
    ] {
        for byte in piece.iter().take(line.len() - at) {
            line[at] = *byte;
            at += 1;
        }
    }
    // SAFETY: both may be called in a handler and are in every role's list; the buffer has `at` bytes.
    unsafe {
        libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), at);
        libc::_exit(EXIT_SANDBOX.into());
    }
}

/// Decimal digits of `n`, without an allocation.
fn number(mut n: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return &digits[first..];
        }
    }
}

/// Panics are told without a backtrace from here on: it takes files that no thread may open. No other thread runs yet.
pub(super) fn no_backtraces() {
    // SAFETY: no other thread is there to look at the environment.
    unsafe { std::env::set_var("RUST_BACKTRACE", "0") };
}

/// Keeps the C library's allocator to one arena. With more it opens files, in whatever thread it is called from: the number
/// of CPUs when a thread wants the ninth arena, the policy of overcommitting when a thread gives memory back.
#[cfg(target_env = "gnu")]
pub(super) fn settle_allocator() {
    // SAFETY: takes numbers only. What it cannot set stays as it was.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    // Where this thread has one of its own already, the second question is asked now, once for all: of more memory than the
    // allocator keeps, in pieces that it does not map apart.
    drop((0..10).map(|_| std::hint::black_box(Vec::<u8>::with_capacity(100_000))).collect::<Vec<_>>());
}

/// Other allocators open nothing.
#[cfg(not(target_env = "gnu"))]
pub(super) fn settle_allocator() {}

/// `no_new_privs`: nothing that this process starts can gain rights.
pub(super) fn no_new_privileges() -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

/// Gives up the groups, then the group, then the user that this process has. No other thread runs yet.
pub(super) fn become_user(uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    // SAFETY: no pointer is followed for a count of 0; the others take numbers only.
    unsafe {
        check(libc::setgroups(0, ptr::null()))?;
        if let Some(gid) = gid {
            check(libc::setresgid(gid, gid, gid))?;
        }
        if let Some(uid) = uid {
            check(libc::setresuid(uid, uid, uid))?;
        }
        // A changed user makes /proc/self root's, where the page map is. Whether a core is written is for its limit
        // to say, which `Sandbox::enter` sets to 0 in every mode, unless a dump was asked for.
        check(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0))
    }
}

/// Lowers a limit to `most`, for good. One that is lower already stays.
pub(super) fn limit(what: libc::__rlimit_resource_t, most: u64) -> io::Result<()> {
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both pointers are to a value of ours.
    unsafe {
        check(libc::getrlimit(what, &raw mut now))?;
        now.rlim_max = now.rlim_max.min(most);
        now.rlim_cur = now.rlim_max;
        check(libc::setrlimit(what, &raw const now))
    }
}

fn check(status: libc::c_int) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
