//! Who takes part, and the command line by which each has the same machine: one CPU, a serial console, a source of entropy, a
//! disk and a network card, by virtio-mmio.

use std::{path::PathBuf, process::Command};

use godwit_tests::program::godwit;

use crate::ground::{Ground, TAP};

/// Where it is on Debian, and finds its firmware.
const QEMU: &str = "/usr/bin/qemu-system-x86_64";
const MEMORY: &str = "256M";
const MAC: &str = "52:54:00:12:34:56";

/// A contestant.
pub struct Contestant {
    pub name: &'static str,
    /// Takes part where nobody is named.
    pub by_default: bool,
    /// QEMU's settings; none for godwit.
    qemu: Option<Qemu>,
}

/// Settings of QEMU's that are open to doubt.
struct Qemu {
    /// The disk is served by a thread of its own.
    iothread: bool,
    /// How it reads.
    aio: &'static str,
}

const fn qemu(name: &'static str, by_default: bool, iothread: bool, aio: &'static str) -> Contestant {
    Contestant { name, by_default, qemu: Some(Qemu { iothread, aio }) }
}

/// The first is compared with the others.
pub const CONTESTANTS: &[Contestant] = &[
    Contestant { name: "godwit", by_default: true, qemu: None },
    qemu("qemu", true, false, "threads"),
    qemu("qemu-uring", false, false, "io_uring"),
    qemu("qemu-iothread", false, true, "threads"),
    qemu("qemu-iothread-uring", false, true, "io_uring"),
];

/// The contestant of that name.
///
/// # Panics
/// Where there is none.
pub fn named(name: &str) -> &'static Contestant {
    let found = CONTESTANTS.iter().find(|one| one.name == name);
    found.unwrap_or_else(|| panic!("no contestant '{name}'"))
}

/// What is booted.
pub struct Guest {
    pub kernel: PathBuf,
    pub initrd: PathBuf,
    /// Words for its first process.
    pub words: String,
}

impl Guest {
    /// Without the kernel's tests of its own ciphers, which take an emulated CPU as long as all the rest of a boot.
    fn command_line(&self) -> String {
        format!("console=ttyS0 quiet panic=-1 mitigations=off cryptomgr.notests {}", self.words)
    }
}

impl Contestant {
    /// The program with this guest; its output is the guest's console.
    pub fn command(&self, ground: &Ground, guest: &Guest) -> Command {
        match &self.qemu {
            None => godwit_command(ground, guest),
            Some(settings) => settings.command(ground, guest),
        }
    }
}

fn godwit_command(ground: &Ground, guest: &Guest) -> Command {
    let mut command = Command::new(godwit());
    command.arg("run").arg("--kernel").arg(&guest.kernel).arg("--initrd").arg(&guest.initrd);
    command.args(["--memory", MEMORY, "--cmdline", &guest.command_line()]);
    command.args(["--disk", &format!("path={}", ground.image())]);
    command.args(["--net", &format!("tap={TAP},mac={MAC}")]);
    command
}

impl Qemu {
    /// Without what its guest can do without; devices of virtio 1, as godwit has them.
    fn command(&self, ground: &Ground, guest: &Guest) -> Command {
        let mut command = Command::new(QEMU);
        command.args([
            "-M",
            "microvm,x-option-roms=off,pit=off,pic=off,rtc=on,isa-serial=on",
            "-accel",
            "kvm",
        ]);
        command.args(["-cpu", "host", "-m", MEMORY, "-nodefaults", "-no-user-config", "-no-reboot"]);
        command.args(["-display", "none", "-serial", "stdio", "-global", "virtio-mmio.force-legacy=off"]);
        command.arg("-kernel").arg(&guest.kernel).arg("-initrd").arg(&guest.initrd);
        command.args(["-append", &guest.command_line()]);
        let image = ground.image();
        command.args(["-blockdev", &format!("driver=file,node-name=disk,filename={image},aio={}", self.aio)]);
        let thread = if self.iothread { ",iothread=thread" } else { "" };
        command.args(["-object", "iothread,id=thread"].into_iter().filter(|_| self.iothread));
        command.args(["-device", &format!("virtio-blk-device,drive=disk{thread}")]);
        command.args(["-netdev", &format!("tap,id=net,ifname={TAP},script=no,downscript=no,vhost=off")]);
        command.args(["-device", &format!("virtio-net-device,netdev=net,mac={MAC}")]);
        command.args(["-device", "virtio-rng-device"]);
        command
    }
}
