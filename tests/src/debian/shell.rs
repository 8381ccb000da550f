//! A root shell at the guest's serial console: what is typed there, and what comes back.

use std::time::Duration;

use crate::vmm::Vmm;

/// What the login shell shows when it listens.
const PROMPT: &str = "root@godwit:~#";

/// The shell. It stays the same one when its guest moves.
pub(super) struct Shell {
    commands: u32,
}

impl Shell {
    /// Waits for the login of a guest that boots, and has the terminal be quiet.
    pub(super) fn login(vmm: &mut Vmm, limit: Duration) -> Self {
        vmm.program.out.wait_for(PROMPT, limit);
        let mut shell = Self { commands: 0 };
        // No line editor, which would draw, no echo, and no word of jobs that end.
        vmm.program.write("exec sh +o emacs\n");
        shell.run(vmm, "stty -echo; set +m; PS1=; PS2=", limit);
        shell
    }

    /// Types `command`, and gives what it prints.
    ///
    /// # Panics
    /// Where it fails, or has not ended when `limit` is over.
    pub(super) fn run(&mut self, vmm: &mut Vmm, command: &str, limit: Duration) -> String {
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
