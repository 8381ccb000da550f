//! A root shell at a Linux guest's serial console: what is typed there, and what comes back.

use std::time::Duration;

use crate::vmm::Vmm;

/// What Debian's login shell shows when it listens.
const DEBIAN_PROMPT: &str = "root@godwit:~#";
/// What the shell of the guest's initramfs says before it listens (`godwit.shell=1`).
const BUSYBOX: &str = "linux: a busybox shell";

/// The shell. It stays the same one when its guest moves.
pub struct Shell {
    commands: u32,
}

impl Shell {
    /// Waits for the login of a Debian that boots, and has the terminal be quiet.
    ///
    /// # Panics
    /// Where it does not come within `limit`.
    pub fn of_debian(vmm: &mut Vmm, limit: Duration) -> Self {
        vmm.program.out.wait_for(DEBIAN_PROMPT, limit);
        // No line editor, which would draw.
        vmm.program.write("exec sh +o emacs\n");
        Self::quiet(vmm, limit)
    }

    /// Waits for the shell of the guest's initramfs, and has the terminal be quiet.
    ///
    /// # Panics
    /// As [`of_debian`](Self::of_debian).
    pub fn of_busybox(vmm: &mut Vmm, limit: Duration) -> Self {
        vmm.program.out.wait_for(BUSYBOX, limit);
        Self::quiet(vmm, limit)
    }

    /// No echo, and no word of jobs that end.
    fn quiet(vmm: &mut Vmm, limit: Duration) -> Self {
        let mut shell = Self { commands: 0 };
        shell.run(vmm, "stty -echo; set +m; PS1=; PS2=", limit);
        shell
    }

    /// Types `command`, and gives what it prints.
    ///
    /// # Panics
    /// Where it fails, or has not ended when `limit` is over.
    pub fn run(&mut self, vmm: &mut Vmm, command: &str, limit: Duration) -> String {
        self.commands += 1;
        let before = vmm.program.out.text().len();
        // The shell puts the status in; what is typed does not have the mark.
        vmm.program.write(&format!("{{ {command}\n}} 2>&1; echo \"<$?@{}>\"\n", self.commands));
        let mark = format!("@{}>\r\n", self.commands);
        let (said, status) = vmm.program.out.wait(&format!("end of '{command}'"), limit, |heard| {
            let (said, status) = heard.get(before..)?.split_once(&mark)?.0.rsplit_once('<')?;
            status.parse::<u8>().ok().map(|status| (said.replace('\r', ""), status))
        });
        assert!(status == 0, "'{command}' ended with {status}: {said}");
        said
    }
}
