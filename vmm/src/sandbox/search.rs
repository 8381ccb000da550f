//! A search over the numbers of system calls, in front of a program that looks at their arguments.
//!
//! seccompiler compares a call with one number after the other. The kernel translates such a program instruction by
//! instruction when a thread takes it, and runs it once for every call there is, to know those that need no run later.
//! For the hundred-odd numbers of a role that is half a millisecond, which every guest would wait for at its start.
//! Ranges of numbers, searched by halves (as libseccomp does at `SCMP_FLTATR_CTL_OPTIMIZE` 2), take a third of it.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, sock_filter};

/// What becomes of a call, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    Allow,
    /// The program behind the search says.
    Look,
}

/// Where `struct seccomp_data` has the call's number, and its architecture.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// `AUDIT_ARCH_X86_64`.
const X86_64: u32 = 0xc000_003e;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const GO: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// The distance of a jump to the program behind the search, until the search's length is known.
const BEHIND: u32 = u32::MAX;

/// A program that does to the calls of `verdicts` what they say, with all others `refused`, and then `look`. Calls of
/// another architecture are for `look`, too.
pub(super) fn in_front(verdicts: &BTreeMap<u32, Verdict>, refused: u32, look: BpfProgram) -> BpfProgram {
    let mut program = vec![
        statement(LOAD, ARCHITECTURE),
        sock_filter { code: IF_EQUAL, jt: 1, jf: 0, k: X86_64 },
        statement(GO, BEHIND),
        statement(LOAD, NUMBER),
    ];
    program.extend(halves(&ranges(verdicts), refused));
    let length = program.len();
    for (at, jump) in program.iter_mut().enumerate().filter(|(_, i)| i.code == GO && i.k == BEHIND) {
        jump.k = (length - at - 1) as u32;
    }
    program.extend(look);
    program
}

/// The first number of each run of numbers with one verdict (`None`: refused), from 0 on.
fn ranges(verdicts: &BTreeMap<u32, Verdict>) -> Vec<(u32, Option<Verdict>)> {
    let mut ranges = vec![(0, None)];
    for (&number, &verdict) in verdicts {
        ranges.push((number, Some(verdict)));
        ranges.push((number + 1, None));
    }
    // Of two that begin at one number the later holds; one that goes on as the one before is no new range.
    let mut starts = BTreeMap::from_iter(ranges);
    let mut before = None;
    starts.retain(|_, verdict| before.replace(*verdict) != Some(*verdict));
    starts.into_iter().collect()
}

/// The search over `ranges`, of which there is at least one.
fn halves(ranges: &[(u32, Option<Verdict>)], refused: u32) -> BpfProgram {
    if let [(_, verdict)] = ranges {
        return vec![match verdict {
            Some(Verdict::Allow) => statement(RETURN, libc::SECCOMP_RET_ALLOW),
            Some(Verdict::Look) => statement(GO, BEHIND),
            None => statement(RETURN, refused),
        }];
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let (first, low, high) = (high[0].0, halves(low, refused), halves(high, refused));
    let over = match u8::try_from(low.len()) {
        Ok(over) => vec![sock_filter { code: IF_AT_LEAST, jt: over, jf: 0, k: first }],
        Err(_) => {
            vec![sock_filter { code: IF_AT_LEAST, jt: 0, jf: 1, k: first }, statement(GO, low.len() as u32)]
        }
    };
    [over, low, high].concat()
}

const fn statement(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}
