//! What each kind of thread may ask of the kernel: the one table of the sandbox's seccomp filters.
//!
//! A thread inherits its maker's filter and can only narrow it. So `Control`, which the first thread enters before it
//! makes any other, allows what any thread needs; the others take away from it. A part that comes to need another
//! call adds it here, to `Control` and to the role that makes it.

/// A kind of thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The first thread, migrations' drivers, recordings, and every thread that narrows no further.
    Control,
    /// A vCPU's thread: what a guest that broke out of a device would have.
    Vcpu,
    /// The loop over consoles and queues, and the threads of disks.
    Events,
    /// A lane of a migration, or its drain: what a peer that broke a decoder would have.
    Lane,
}

/// Every role.
pub const ROLES: [Role; 4] = [Role::Control, Role::Vcpu, Role::Events, Role::Lane];

/// Which calls of one number are allowed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Only {
    /// All.
    Any,
    /// Those whose argument `index`, under `mask`, is one of `values`.
    Masked {
        /// Which argument, from 0.
        index: u8,
        /// The bits looked at.
        mask: u64,
        /// What they may be.
        values: &'static [u64],
    },
    /// Those whose argument of this index is the number of this process.
    This(u8),
}

/// A row: a call's number, and which of those calls.
pub(super) type Row = (libc::c_long, Only);

use Only::Any;
use libc as c;

/// `ioctl`s whose request has one of these low halves (type and number).
const fn requests(values: &'static [u64]) -> Only {
    Only::Masked { index: 1, mask: 0xffff, values }
}

/// Children that are threads.
const THREADS: Only =
    Only::Masked { index: 0, mask: c::CLONE_THREAD as u64, values: &[c::CLONE_THREAD as u64] };

/// Mappings that cannot hold code.
const NO_CODE: Only = Only::Masked { index: 2, mask: c::PROT_EXEC as u64, values: &[0] };

/// Sends to whom the socket is connected to: no address, whose length is argument 5.
const NO_ADDRESS: Only = Only::Masked { index: 5, mask: 0xffff_ffff, values: &[0] };

/// What newer C libraries set a terminal by, and look at it by.
const TCSETS2: u64 = 0x542b;
const TCGETS2: u64 = 0x542a;

/// Numbers of requests to a tap, which have their direction and size above.
const TUNSETOFFLOAD: u64 = 0x54d0;
const TUNSETQUEUE: u64 = 0x54d9;

/// A thread's name; names of the allocator's areas; and `no_new_privs`, which narrowing a filter sets again.
const PRCTL: Only = Only::Masked {
    index: 0,
    mask: 0xffff_ffff,
    values: &[c::PR_SET_NAME as u64, c::PR_SET_VMA as u64, c::PR_SET_NO_NEW_PRIVS as u64],
};

/// What the standard library, the allocator and a thread's end take.
const EVERY: &[Row] = &[
    (c::SYS_read, Any),
    (c::SYS_write, Any),
    (c::SYS_writev, Any),
    (c::SYS_close, Any),
    (c::SYS_futex, Any),
    (c::SYS_munmap, Any),
    (c::SYS_mremap, Any),
    (c::SYS_madvise, Any),
    (c::SYS_brk, Any),
    (c::SYS_rt_sigprocmask, Any),
    (c::SYS_rt_sigreturn, Any),
    (c::SYS_sigaltstack, Any),
    (c::SYS_sched_yield, Any),
    (c::SYS_sched_getaffinity, Any),
    (c::SYS_gettid, Any),
    (c::SYS_getpid, Any),
    // Kicks of vCPUs, aborts, and the last signal after the terminal was put back: to this process alone.
    (c::SYS_tgkill, Only::This(0)),
    (c::SYS_exit, Any),
    (c::SYS_exit_group, Any),
    (c::SYS_getrandom, Any),
    (c::SYS_clock_gettime, Any),
    (c::SYS_clock_nanosleep, Any),
    (c::SYS_nanosleep, Any),
    // How the kernel resumes an interrupted sleep after a stop.
    (c::SYS_restart_syscall, Any),
    (c::SYS_set_robust_list, Any),
    (c::SYS_rseq, Any),
    (c::SYS_prctl, PRCTL),
    // A signal that the runtime catches is passed on by whichever thread it hits, on a socket that is connected.
    (c::SYS_sendto, NO_ADDRESS),
    // A panic and a fatal signal put the terminal back first.
    (c::SYS_ioctl, requests(&[c::TCSETS, TCSETS2])),
    // Builds with debug assertions look whether a descriptor is open before they close it.
    (c::SYS_fcntl, Only::Masked { index: 1, mask: 0xffff_ffff, values: &[c::F_GETFD as u64] }),
];

const MAPPED_DATA: &[Row] = &[(c::SYS_mmap, NO_CODE), (c::SYS_mprotect, NO_CODE)];

const VCPU: &[Row] = &[
    // KVM's calls from 0x80 up are a vCPU's; those that make machines and place memory are lower.
    (c::SYS_ioctl, Only::Masked { index: 1, mask: 0xff80, values: &[0xae80] }),
    // What a driver settles when it is ready: the offloads of its tap, and which of its queues are used.
    (c::SYS_ioctl, requests(&[TUNSETOFFLOAD, TUNSETQUEUE])),
    // The tick of a slowed vCPU.
    (c::SYS_timer_create, Any),
    (c::SYS_timer_settime, Any),
    (c::SYS_timer_delete, Any),
    // How long this thread waited for a CPU, from a file that was opened before.
    (c::SYS_pread64, Any),
];

const EVENTS: &[Row] = &[
    (c::SYS_epoll_wait, Any),
    (c::SYS_epoll_pwait, Any),
    (c::SYS_epoll_ctl, Any),
    (c::SYS_poll, Any),
    (c::SYS_readv, Any),
    (c::SYS_accept4, Any),
    (c::SYS_recvfrom, Any),
    (c::SYS_recvmsg, Any),
    (c::SYS_sendmsg, Any),
    (c::SYS_shutdown, Any),
    (c::SYS_fcntl, Any),
    // Terminals and non-blocking descriptors.
    (c::SYS_ioctl, requests(&[c::FIONBIO, c::FIONREAD, c::TCGETS, TCGETS2, c::TCSETSW, c::TIOCGWINSZ])),
    // The console's socket file goes with the console, which this thread drops.
    (c::SYS_unlink, Any),
    (c::SYS_statx, Any),
    (c::SYS_newfstatat, Any),
];

/// Sockets of this host alone.
const UNIX_SOCKETS: Only = Only::Masked { index: 0, mask: 0xffff_ffff, values: &[c::AF_UNIX as u64] };

/// Devices' work with files: by the loop itself, and by the threads that it makes where there is work for them.
const DEVICES: &[Row] = &[
    (c::SYS_preadv, Any),
    (c::SYS_pwritev, Any),
    // What is in the page cache, and nothing that takes a wait.
    (c::SYS_preadv2, Only::Masked { index: 5, mask: 0xffff_ffff, values: &[c::RWF_NOWAIT as u64] }),
    // Through a buffer, where guest memory is not aligned as direct I/O needs it; and zeroes.
    (c::SYS_pread64, Any),
    (c::SYS_pwrite64, Any),
    (c::SYS_fdatasync, Any),
    (c::SYS_fallocate, Any),
    (c::SYS_fadvise64, Any),
    (c::SYS_lseek, Any),
    (c::SYS_ftruncate, Any),
    // Rate limits.
    (c::SYS_timerfd_settime, Any),
    // Queues of a tap, as the driver uses them.
    (c::SYS_ioctl, requests(&[TUNSETQUEUE])),
    // A guest connects to sockets of the host by vsock: to those beside the device's own.
    (c::SYS_socket, UNIX_SOCKETS),
    (c::SYS_connect, Any),
    (c::SYS_clone3, Any),
    (c::SYS_clone, THREADS),
];

const LANE: &[Row] = &[
    (c::SYS_recvfrom, Any),
    (c::SYS_recvmsg, Any),
    (c::SYS_sendmsg, Any),
    (c::SYS_readv, Any),
    (c::SYS_poll, Any),
    (c::SYS_shutdown, Any),
    (c::SYS_fcntl, Any),
    (c::SYS_setsockopt, Any),
    (c::SYS_getsockopt, Any),
    // The number of cores and this process's page map are read from files; landlock bounds which.
    (c::SYS_openat, Any),
    (c::SYS_statx, Any),
    (c::SYS_lseek, Any),
    (c::SYS_pread64, Any),
    // Backlog of the socket; and the dirty log and rings, which a lane looks at to leave out what changed again.
    (c::SYS_ioctl, requests(&[c::TIOCOUTQ, c::FIONREAD, c::FIONBIO, 0xae42, 0xaec0, 0xaec7])),
];

const CONTROL: &[Row] = &[
    // Also a shared library that the name service loads.
    (c::SYS_mmap, Any),
    (c::SYS_mprotect, Any),
    // KVM as a whole, terminals and taps, and a tap's interface, beside what the other roles ask.
    (c::SYS_ioctl, Only::Masked { index: 1, mask: 0xff00, values: &[0xae00, 0x5400, 0x8900] }),
    // Threads. Their flags are in memory, where a filter cannot look; there is no `execve` for a child to go on with.
    // `clone` has them in a register.
    (c::SYS_clone3, Any),
    (c::SYS_clone, THREADS),
    // To narrow.
    (c::SYS_seccomp, Any),
    // A lane begins as one that computes in batches.
    (
        c::SYS_sched_setscheduler,
        Only::Masked { index: 1, mask: 0xffff_ffff, values: &[c::SCHED_BATCH as u64] },
    ),
    // A vCPU begins with short turns.
    (c::SYS_sched_getattr, Any),
    (c::SYS_sched_setattr, Any),
    (c::SYS_rt_sigaction, Any),
    (c::SYS_epoll_create1, Any),
    (c::SYS_eventfd2, Any),
    (c::SYS_pipe2, Any),
    (c::SYS_timerfd_create, Any),
    (c::SYS_socket, Any),
    (c::SYS_socketpair, Any),
    (c::SYS_bind, Any),
    (c::SYS_listen, Any),
    (c::SYS_connect, Any),
    (c::SYS_getsockname, Any),
    (c::SYS_getpeername, Any),
    // Questions to a name server and, about this host's addresses, to the kernel.
    (c::SYS_sendto, Any),
    (c::SYS_sendmmsg, Any),
    (c::SYS_open, Any),
    (c::SYS_stat, Any),
    (c::SYS_lstat, Any),
    (c::SYS_fstat, Any),
    (c::SYS_access, Any),
    (c::SYS_readlink, Any),
    (c::SYS_getdents64, Any),
    (c::SYS_pwrite64, Any),
    // Durable files: written beside, synced, renamed over.
    (c::SYS_fsync, Any),
    (c::SYS_rename, Any),
    (c::SYS_renameat, Any),
    (c::SYS_renameat2, Any),
    (c::SYS_mkdir, Any),
    (c::SYS_flock, Any),
    (c::SYS_unlinkat, Any),
    (c::SYS_chmod, Any),
    (c::SYS_fchmod, Any),
    (c::SYS_umask, Any),
    (c::SYS_dup, Any),
    (c::SYS_memfd_create, Any),
    (c::SYS_uname, Any),
    (c::SYS_getuid, Any),
    (c::SYS_geteuid, Any),
    (c::SYS_getgid, Any),
    (c::SYS_getegid, Any),
    (c::SYS_getppid, Any),
    (c::SYS_sysinfo, Any),
    // This process's own limits (0). They can be lowered, and raised no further than their upper bound, which stays.
    (c::SYS_prlimit64, Only::Masked { index: 0, mask: 0xffff_ffff, values: &[0] }),
    (c::SYS_getrusage, Any),
    (c::SYS_times, Any),
];

impl Role {
    /// Its name, as messages have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Vcpu => "vcpu",
            Self::Events => "events",
            Self::Lane => "lane",
        }
    }

    /// What it may ask, in lists that add up.
    pub(super) const fn lists(self) -> &'static [&'static [Row]] {
        match self {
            Self::Control => &[EVERY, CONTROL, VCPU, EVENTS, DEVICES, LANE],
            Self::Vcpu => &[EVERY, MAPPED_DATA, VCPU],
            Self::Events => &[EVERY, MAPPED_DATA, EVENTS, DEVICES],
            Self::Lane => &[EVERY, MAPPED_DATA, LANE],
        }
    }
}
