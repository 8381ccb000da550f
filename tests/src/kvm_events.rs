//! What KVM does at the moment of a failure: whether the guest runs, halts, takes interrupts or faults tells a guest that hangs
//! from a VMM that does. Only where the machine is the test's own, because tracing is one for all who use it.

use std::{
    collections::BTreeMap,
    env, fs,
    panic::{self, PanicHookInfo},
    path::Path,
    process::Command,
    sync::Once,
    thread,
    time::Duration,
};

/// Names the folder of a tracefs that is the test's to use.
const FOLDER: &str = "GODWIT_TRACING";
/// How long KVM is watched; a guest's kernel that idles has its timers within this.
const WATCHED: Duration = Duration::from_millis(500);
/// Events that are shown one by one.
const SHOWN: usize = 60;
/// Lines of the kernel's log.
const SAID: usize = 20;

/// From now on, the first panic tells what KVM does, before anything is ended.
pub fn shown_at_panic() {
    static HOOK: Once = Once::new();
    let Some(folder) = env::var_os(FOLDER) else { return };
    HOOK.call_once(|| {
        let before = panic::take_hook();
        let first = Once::new();
        panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            before(info);
            first.call_once(|| eprintln!("{}", told(Path::new(&folder))));
        }));
    });
}

fn told(folder: &Path) -> String {
    let events = watch(folder).unwrap_or_else(|error| format!("{}: {error}\n", folder.display()));
    let clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let read = |path: &str| fs::read_to_string(path).unwrap_or_else(|error| format!("{path}: {error}\n"));
    let kernel = Command::new("dmesg").output().map(|output| output.stdout).unwrap_or_default();
    let kernel = String::from_utf8_lossy(&kernel);
    let lines: Vec<&str> = kernel.lines().collect();
    let said = lines[lines.len().saturating_sub(SAID)..].join("\n");
    format!(
        "the host's KVM, for {} ms:\n{events}the host's clock: {}its uptime and idle seconds: {}its kernel's last words:\n{said}\n",
        WATCHED.as_millis(),
        read(clock),
        read("/proc/uptime")
    )
}

/// How often each of KVM's events came, and the last ones.
fn watch(folder: &Path) -> std::io::Result<String> {
    // Events are switched one by one, which takes a while: what is recorded meanwhile is half of it.
    let (on, events) = (folder.join("tracing_on"), folder.join("events/kvm/enable"));
    fs::write(&on, "0")?;
    fs::write(&events, "1")?;
    fs::write(folder.join("trace"), "")?;
    fs::write(&on, "1")?;
    thread::sleep(WATCHED);
    fs::write(&on, "0")?;
    fs::write(&events, "0")?;
    Ok(summary(&fs::read_to_string(folder.join("trace"))?))
}

/// The events of a trace: `task-pid [cpu] flags seconds: event: what`.
fn summary(trace: &str) -> String {
    let lines: Vec<&str> = trace.lines().filter(|line| !line.starts_with('#')).collect();
    let mut counts = BTreeMap::new();
    for event in lines.iter().filter_map(|line| line.split_once(": ")?.1.split([':', ' ']).next()) {
        *counts.entry(event).or_insert(0) += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(event, count)| format!("{event} {count}")).collect();
    let last = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
    format!("{}\n{last}\n", if counts.is_empty() { "no event".into() } else { counts.join(", ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_and_the_last_are_shown() {
        let line =
            |at: usize, event: &str| format!("  vcpu0-128  [000] d..1.  37.{at:06}: {event}: reason hlt");
        let mut lines = vec!["# tracer: nop".to_owned(), line(0, "kvm_entry")];
        lines.extend((1..=SHOWN).map(|at| line(at, "kvm_exit")));
        let told = summary(&lines.join("\n"));
        assert!(told.starts_with("kvm_entry 1, kvm_exit 60\n"), "{told}");
        assert!(!told.contains("37.000000:") && told.contains("37.000001:"), "{told}");
        assert_eq!(summary("# tracer: nop\n"), "no event\n\n");
    }
}
