//! Filters out of the table of roles, and a thread's way into its role.
//!
//! Nothing is filtered until [`begin`] has been called, once, by the process's first thread.

use std::{collections::BTreeMap, sync::OnceLock};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::{
    SandboxError,
    role::{Only, ROLES, Role},
    search::{Verdict, in_front},
    sys,
};

/// What becomes of a call outside the list; unset while nothing is filtered.
static REFUSAL: OnceLock<SeccompAction> = OnceLock::new();

/// Turns filters on, and puts the calling thread into [`Role::Control`]. Threads that it makes begin there, too.
/// With `log` the kernel's log tells of a call outside the list, and the call goes on.
///
/// # Errors
/// Where the kernel has no seccomp.
pub(super) fn begin(log: bool) -> Result<(), SandboxError> {
    sys::catch_refusals().map_err(SandboxError::Handler)?;
    // A second call finds the first's choice.
    let _ = REFUSAL.set(if log { SeccompAction::Log } else { SeccompAction::Trap });
    enter(Role::Control)
}

/// Narrows the calling thread to `role`, for good; nothing where filters are off.
///
/// # Errors
/// Where the kernel refuses the filter.
pub(crate) fn enter(role: Role) -> Result<(), SandboxError> {
    let Some(refusal) = REFUSAL.get() else { return Ok(()) };
    sys::name_thread(role.name());
    seccompiler::apply_filter(program(role, refusal.clone())?)
        .map_err(|e| SandboxError::Filter { role: role.name(), why: e.to_string() })
}

/// [`enter`] at the start of a thread whose maker is filtered: a thread that cannot narrow does not run on.
pub(crate) fn enter_or_panic(role: Role) {
    if let Err(error) = enter(role) {
        panic!("{error}");
    }
}

/// The program for a role, made once: a guest has as many threads of one as it has vCPUs or lanes.
fn program(role: Role, refusal: SeccompAction) -> Result<&'static BpfProgram, SandboxError> {
    static PROGRAMS: [OnceLock<BpfProgram>; ROLES.len()] = [const { OnceLock::new() }; ROLES.len()];
    let made = &PROGRAMS[role as usize];
    match made.get() {
        Some(program) => Ok(program),
        None => {
            let program = filter(role, refusal)?;
            Ok(made.get_or_init(|| program))
        }
    }
}

/// The program for a role.
pub(super) fn filter(role: Role, refusal: SeccompAction) -> Result<BpfProgram, SandboxError> {
    let failed =
        |e: seccompiler::BackendError| SandboxError::Filter { role: role.name(), why: e.to_string() };
    let mut verdicts = BTreeMap::new();
    let mut rules = BTreeMap::<i64, Vec<SeccompRule>>::new();
    let rows: Vec<_> = role.lists().iter().copied().flatten().collect();
    let this = [std::process::id().into()];
    for (call, only) in &rows {
        let (index, mask, values) = match *only {
            Only::Any => continue,
            Only::Masked { index, mask, values } => (index, mask, values),
            Only::This(index) => (index, 0xffff_ffff, &this[..]),
        };
        verdicts.insert(*call as u32, Verdict::Look);
        let allowed = rules.entry(*call).or_default();
        for value in values {
            let bits = SeccompCmpOp::MaskedEq(mask);
            let condition =
                SeccompCondition::new(index, SeccompCmpArgLen::Dword, bits, *value).map_err(failed)?;
            allowed.push(SeccompRule::new(vec![condition]).map_err(failed)?);
        }
    }
    // One list that has no bounds lifts those of the others.
    for (call, _) in rows.iter().filter(|(_, only)| matches!(only, Only::Any)) {
        rules.remove(call);
        verdicts.insert(*call as u32, Verdict::Allow);
    }
    let refused = refusal.clone().into();
    let filter =
        SeccompFilter::new(rules, refusal, SeccompAction::Allow, TargetArch::x86_64).map_err(failed)?;
    Ok(in_front(&verdicts, refused, filter.try_into().map_err(failed)?))
}
