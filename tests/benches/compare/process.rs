//! A process that the benchmark started, and ends.

use std::{
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// Killed and waited for on drop.
pub struct Process {
    child: Child,
    pub began: Instant,
}

impl Process {
    /// Starts `command` with its output piped; nothing to read, nothing said on stderr.
    pub fn start(command: &mut Command) -> Result<(Self, ChildStdout)> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let began = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let out = child.stdout.take().context("stdout was piped")?;
        Ok((Self { child, began }, out))
    }

    /// Resident KiB of all its mappings but the guest's memory, which is the one of `guest_mib` or more.
    pub fn rss_beyond_guest_kib(&self, guest_mib: u32) -> Result<f64> {
        let maps = std::fs::read_to_string(format!("/proc/{}/smaps", self.child.id()))?;
        let kib = |line: &str| line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok());
        let (mut rss, mut guests) = (0.0, false);
        for line in maps.lines() {
            if line.starts_with("Size:") {
                guests = kib(line).is_some_and(|size| size >= f64::from(guest_mib) * 1024.0);
            } else if line.starts_with("Rss:") && !guests {
                rss += kib(line).unwrap_or_default();
            }
        }
        Ok(rss)
    }

    /// CPU time of all its threads so far, the guest's own included. Works until it is dropped, also when it has
    /// ended.
    pub fn cpu(&self) -> Result<Duration> {
        const TICKS_PER_S: f64 = 100.0;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // Fields 14 and 15 (proc(5)); what stands before the last parenthesis is pid and name.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|n| n.parse::<f64>().ok()).context("no CPU time");
        Ok(Duration::from_secs_f64((ticks(11)? + ticks(12)?) / TICKS_PER_S))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A TCP port that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
