//! A terminal for a program under test: what a person types goes in, what they see is heard, and the settings tell whether the
//! program has left it as it was.

use std::{
    fs::File,
    io::Write,
    process::{Command, Stdio},
};

use rustix::{
    pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr},
};

use crate::stream::Stream;

/// The terminal.
pub struct Terminal {
    /// The person's end.
    person: File,
    /// The program's.
    device: File,
    /// What is on the screen, and was.
    pub screen: Stream,
}

/// A terminal's settings, to be compared.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings([u64; 4]);

impl Terminal {
    /// A new one, as a shell leaves it to a program: by lines, with echo.
    ///
    /// # Panics
    /// Where the host has none.
    #[must_use]
    pub fn open() -> Self {
        // Not this process's own, which would be hung up on when it goes.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let person = openpt(flags).expect("the host has terminals");
        unlockpt(&person).expect("it is ours");
        let device = File::from(ioctl_tiocgptpeer(&person, flags).expect("its device is there"));
        let mut settings = tcgetattr(&device).expect("it has settings");
        settings.local_modes |= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        tcsetattr(&device, OptionalActions::Now, &settings).expect("it takes settings");
        let person = File::from(person);
        let screen = Stream::hear("the terminal", person.try_clone().expect("a descriptor"));
        Self { person, device, screen }
    }

    /// Gives it to a program as its input and output.
    ///
    /// # Panics
    /// Where the host is out of descriptors.
    pub fn give_to(&self, command: &mut Command) {
        let device = || Stdio::from(self.device.try_clone().expect("a descriptor"));
        command.stdin(device()).stdout(device());
    }

    /// Presses keys.
    ///
    /// # Panics
    /// Where nobody takes them.
    pub fn press(&self, keys: &str) {
        (&self.person).write_all(keys.as_bytes()).expect("it takes keys");
    }

    /// Its settings now.
    ///
    /// # Panics
    /// Where it does not say.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let now = tcgetattr(&self.device).expect("it has settings");
        let modes = [
            now.input_modes.bits(),
            now.output_modes.bits(),
            now.control_modes.bits(),
            now.local_modes.bits(),
        ];
        Settings(modes.map(u64::from))
    }

    /// Whether keys go to the program one by one, unseen and without a meaning of their own.
    ///
    /// # Panics
    /// As [`settings`](Self::settings).
    #[must_use]
    pub fn is_raw(&self) -> bool {
        let now = tcgetattr(&self.device).expect("it has settings");
        !now.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }
}
