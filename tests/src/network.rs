//! A network for guests on this host: a bridge with taps, what goes over it, and what is heard on it. Made for a host of
//! the test's own, such as the nested one: it has the host's network to itself.

mod announcements;
mod pings;
mod traffic;
mod upload;

pub use self::{
    announcements::Announcements,
    pings::{Gap, Pings},
    traffic::Traffic,
    upload::Upload,
};

use std::{fs, path::Path, process::Command};

/// Runs a command that must work.
fn run(line: &str) {
    let mut words = line.split(' ');
    let program = words.next().unwrap_or_default();
    let said = Command::new(program).args(words).output().unwrap_or_else(|e| panic!("{line}: {e}"));
    assert!(said.status.success(), "{line}: {}", String::from_utf8_lossy(&said.stderr));
}

/// Has the interface `name` belong to `bridge`, where it is there and does not.
pub fn join(bridge: &str, name: &str) {
    let interface = Path::new("/sys/class/net").join(name);
    if interface.exists() && !interface.join("brport").exists() {
        // It may go away between the two.
        let _ = Command::new("brctl").args(["addif", bridge, name]).output();
    }
}

/// Queues of the interface `name` that this host sends by.
#[must_use]
pub fn queues(name: &str) -> usize {
    let Ok(queues) = fs::read_dir(Path::new("/sys/class/net").join(name).join("queues")) else { return 0 };
    queues.flatten().filter(|queue| queue.file_name().to_string_lossy().starts_with("tx-")).count()
}

/// A bridge `name` of this host, with `address` (and its prefix), and a tap for each of `taps`.
///
/// # Panics
/// Where the host cannot.
pub fn bridge(name: &str, address: &str, taps: &[&str]) {
    run(&format!("brctl addbr {name}"));
    run(&format!("ip addr add {address} dev {name}"));
    run(&format!("ip link set {name} up"));
    for tap in taps {
        run(&format!("tunctl -t {tap}"));
        run(&format!("brctl addif {name} {tap}"));
        run(&format!("ip link set {tap} up"));
    }
}

/// A tap of this host by itself; gone when this is dropped.
pub struct Tap(String);

impl Tap {
    /// The tap `name` with `address` (and its prefix).
    ///
    /// # Panics
    /// Where the host cannot.
    #[must_use]
    pub fn make(name: &str, address: &str) -> Self {
        run(&format!("tunctl -t {name}"));
        let tap = Self(name.to_owned());
        run(&format!("ip addr add {address} dev {name}"));
        run(&format!("ip link set {name} up"));
        tap
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        run(&format!("tunctl -d {}", self.0));
    }
}
