//! A VMM process that the demo started: this very program, its console and messages read line by line.

use std::{
    ffi::OsString,
    io::Read,
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context;
use tokio::sync::mpsc;

use super::lines::forward;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Boots the guest.
    Source,
    /// Takes it in.
    Target,
}

impl Side {
    /// Its name in front of its lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
        }
    }
}

/// A line that a process printed.
#[derive(Debug)]
pub struct Line {
    /// Which process.
    pub side: Side,
    /// Whether the guest printed it; else the VMM.
    pub guest: bool,
    /// The line.
    pub text: String,
}

/// A running process; killed on drop.
pub struct VmmProcess {
    child: Child,
    side: Side,
}

/// How often a process is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(10);

impl VmmProcess {
    /// Starts `godwit ARGUMENTS`, whose lines go to `lines`.
    ///
    /// # Errors
    /// Where the host cannot.
    pub fn start(
        side: Side,
        arguments: &[OsString],
        lines: &mpsc::UnboundedSender<Line>,
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut child = Command::new(&program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is the demo's to handle: it ends its processes itself.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let pipes = (child.stdout.take(), child.stderr.take());
        // From here on an error takes the process down too.
        let process = Self { child, side };
        if let Some(stdout) = pipes.0 {
            read(side, true, stdout, lines.clone())?;
        }
        if let Some(stderr) = pipes.1 {
            read(side, false, stderr, lines.clone())?;
        }
        Ok(process)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, for at most `limit`.
    ///
    /// # Errors
    /// Where it has not ended by then.
    pub async fn ended(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let name = self.side.name();
        let waiting = async {
            loop {
                if let Some(status) = self.child.try_wait()? {
                    return anyhow::Ok(status);
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let ended = tokio::time::timeout(limit, waiting).await;
        ended.with_context(|| format!("the {name}'s process did not end within {} s", limit.as_secs()))?
    }
}

impl Drop for VmmProcess {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a pipe on a thread of its own, which ends with it.
fn read(
    side: Side,
    guest: bool,
    pipe: impl Read + Send + 'static,
    lines: mpsc::UnboundedSender<Line>,
) -> anyhow::Result<()> {
    std::thread::Builder::new()
        .name(format!("{}-lines", side.name()))
        .spawn(move || forward(pipe, |text| lines.send(Line { side, guest, text }).is_ok()))
        .context("cannot start a thread to read a console")?;
    Ok(())
}
