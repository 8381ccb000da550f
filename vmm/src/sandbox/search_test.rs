//! Each role's program, run call by call, says what the table of roles says.

use seccompiler::{SeccompAction, sock_filter};

use super::{
    ROLES, Role,
    role::{Only, Row},
    seccomp::filter,
};

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const TRAP: u32 = libc::SECCOMP_RET_TRAP;

/// A call as a program sees it.
#[derive(Clone, Copy, Debug)]
struct Call {
    number: u32,
    architecture: u32,
    arguments: [u64; 6],
}

impl Call {
    fn word(&self, at: u32) -> u32 {
        match at {
            0 => self.number,
            4 => self.architecture,
            16..64 => (self.arguments[(at as usize - 16) / 8] >> ((at - 16) % 8 * 8)) as u32,
            _ => panic!("a program reads at {at}"),
        }
    }
}

/// What a program says of a call.
fn run(program: &[sock_filter], call: &Call) -> u32 {
    steps(program, call).0
}

/// The same, and after how many instructions, which are as in `linux/filter.h`.
fn steps(program: &[sock_filter], call: &Call) -> (u32, u32) {
    let (mut at, mut accumulator, mut steps) = (0, 0, 0);
    loop {
        steps += 1;
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        let jump = |taken| usize::from(if taken { jt } else { jf });
        match code {
            0x20 => accumulator = call.word(k),
            0x54 => accumulator &= k,
            0x15 => at += jump(accumulator == k),
            0x25 => at += jump(accumulator > k),
            0x35 => at += jump(accumulator >= k),
            0x05 => at += k as usize,
            0x06 => return (k, steps),
            other => panic!("no instruction {other:#x}"),
        }
    }
}

fn rows(role: Role) -> impl Iterator<Item = &'static Row> {
    role.lists().iter().copied().flatten()
}

/// What the table says.
fn is_allowed(role: Role, call: &Call) -> bool {
    let low = |index: u8| call.arguments[usize::from(index)] & 0xffff_ffff;
    rows(role).filter(|(number, _)| *number == i64::from(call.number)).any(|(_, only)| match *only {
        Only::Any => true,
        Only::Masked { index, mask, values } => values.contains(&(low(index) & mask)),
        Only::This(index) => low(index) == u64::from(std::process::id()),
    })
}

#[test]
fn every_call_is_judged_as_the_table_says() {
    let mut telling: Vec<u64> = vec![0, 1, 7, u64::MAX, std::process::id().into(), 1 << 32];
    for (_, only) in ROLES.into_iter().flat_map(rows) {
        if let Only::Masked { mask, values, .. } = *only {
            telling.extend(values.iter().flat_map(|value| [*value, *value | !mask, value ^ 1]));
            telling.push(mask);
        }
    }
    telling.sort_unstable();
    telling.dedup();
    for role in ROLES {
        let program = filter(role, SeccompAction::Trap).unwrap();
        let mut allowed = 0;
        for number in (0..1024).chain([u32::MAX, 0x4000_0000, 0x4000_0001]) {
            for &argument in &telling {
                let call = Call { number, architecture: X86_64, arguments: [argument; 6] };
                let wanted = if is_allowed(role, &call) { libc::SECCOMP_RET_ALLOW } else { TRAP };
                assert_eq!(run(&program, &call), wanted, "{role:?}: {call:x?}");
                allowed += usize::from(wanted == libc::SECCOMP_RET_ALLOW);
            }
        }
        assert!(allowed > 1000, "{role:?} may do nothing");
    }
}

#[test]
fn calls_of_another_architecture_end_the_process() {
    for role in ROLES {
        let program = filter(role, SeccompAction::Trap).unwrap();
        for number in 0..512 {
            let call = Call { number, architecture: I386, arguments: [0; 6] };
            assert_eq!(run(&program, &call), libc::SECCOMP_RET_KILL_PROCESS, "{role:?}: {number}");
        }
    }
}

/// The kernel goes through the program once for every call there is when a thread takes it, and a guest waits for that.
#[test]
fn a_call_without_bounds_is_found_in_a_few_steps() {
    for role in ROLES {
        let program = filter(role, SeccompAction::Trap).unwrap();
        for number in 0..1024 {
            if rows(role).any(|(call, only)| *call == i64::from(number) && !matches!(only, Only::Any)) {
                continue;
            }
            let (_, steps) = steps(&program, &Call { number, architecture: X86_64, arguments: [0; 6] });
            assert!(steps <= 20, "{role:?}: {steps} steps for {number}");
        }
    }
}
