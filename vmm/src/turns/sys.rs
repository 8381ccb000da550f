//! A thread's turns on the CPU, as the kernel gives them.

use std::{mem, time::Duration};

/// A turn of a vCPU: the shortest that the kernel gives.
const TURN: Duration = Duration::from_micros(100);
/// The nice value of a thread that has nothing to do that anybody waits for.
const NICEST: i32 = 19;

/// Asks for short turns on the CPU (`sched_runtime` of sched_setattr(2)): the calling thread gets what it got before, in
/// smaller pieces and sooner, so that a guest waits less while lanes compute beside it. Says whether it got them: kernels
/// before 6.12 have no such turns, and take no notice.
pub(crate) fn take_short_turns() -> bool {
    let turn = TURN.as_nanos() as u64;
    change(|attributes| attributes.sched_runtime = turn).is_some_and(|now| now.sched_runtime == turn)
}

/// Gives way to every thread that has more to do, a guest's above all; for good. Says whether the kernel agreed.
pub(crate) fn give_way() -> bool {
    change(|attributes| attributes.sched_nice = NICEST).is_some_and(|now| now.sched_nice == NICEST)
}

/// Changes how the calling thread is scheduled; how it is scheduled then.
fn change(change: impl FnOnce(&mut libc::sched_attr)) -> Option<libc::sched_attr> {
    // SAFETY: all bytes zero is a valid `sched_attr`.
    let mut attributes = unsafe { mem::zeroed::<libc::sched_attr>() };
    let size = mem::size_of_val(&attributes) as u32;
    // SAFETY: the pointer is to a value of ours of that size; 0 is this thread.
    let known = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if known != 0 {
        return None;
    }
    change(&mut attributes);
    // SAFETY: the pointer is to a value of ours, whose size the kernel has written into it; 0 is this thread.
    let taken = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    // SAFETY: as above.
    let told = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    (taken == 0 && told == 0).then_some(attributes)
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

    #[test]
    fn a_thread_gives_way_and_no_other_does() {
        // The 19th field; the second ends with the last parenthesis (proc_pid_stat(5)).
        let nice = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            stat.rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap().parse::<i32>().unwrap()
        };
        let before = nice();
        let thread = std::thread::spawn(move || (super::give_way(), nice()));
        assert_eq!(thread.join().unwrap(), (true, super::NICEST));
        assert_eq!(nice(), before);
    }
}
