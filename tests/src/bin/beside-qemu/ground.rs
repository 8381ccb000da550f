//! What all contestants use: a tap, and a disk image that is in the host's page cache, so that no disk is measured.
//!
//! The image is a file on a file system of the disk `/dev/vda`, for a file in memory cannot be read without a wait in the
//! way that io_uring looks for first.

use std::{
    fs::{self, File},
    io::Write,
    process::Command,
};

use godwit_tests::network::Tap;

/// The tap, and the addresses of its two ends.
pub const TAP: &str = "tap0";
pub const HOST: &str = "10.0.0.1";
pub const GUEST: &str = "10.0.0.2";

const DEVICE: &str = "/dev/vda";
const FOLDER: &str = "/tmp/ground";
const IMAGE_MIB: usize = 64;

/// The ground, for as long as the machine is there.
pub struct Ground(());

impl Ground {
    /// Makes it.
    ///
    /// # Panics
    /// Where the host cannot.
    pub fn prepare() -> Self {
        fs::create_dir_all(FOLDER).expect("a folder");
        run("mke2fs", &[DEVICE]);
        run("mount", &["-t", "ext4", DEVICE, FOLDER]);
        let ground = Self(());
        let mut image = File::create(ground.image()).expect("an image");
        for number in 0..IMAGE_MIB {
            image.write_all(&[number as u8 | 1; 1 << 20]).expect("the image has room");
        }
        image.sync_all().expect("the image is written");
        ground
    }

    /// A tap for one guest: a tap keeps settings of whoever had it last.
    ///
    /// # Panics
    /// Where the host cannot.
    pub fn tap(&self) -> Tap {
        Tap::make(TAP, &format!("{HOST}/24"))
    }

    /// Path of the image.
    pub fn image(&self) -> String {
        format!("{FOLDER}/disk.img")
    }
}

fn run(program: &str, arguments: &[&str]) {
    let said = Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(said.status.success(), "{program}: {}", String::from_utf8_lossy(&said.stderr));
}
