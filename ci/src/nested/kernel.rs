//! Debian's kernels, as `guest-images/linux/build.sh` leaves them in the cache: the nested host's own, and the Linux
//! guests that it is given. This module only knows where they are and asks for them to be made.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    str::FromStr,
};

use anyhow::{Context, Result, bail};

use crate::{packages, workspace};

/// What the recipe calls.
const TOOLS: &[(&str, &str)] = &[
    ("busybox", "busybox-static"),
    ("cpio", "cpio"),
    ("depmod", "kmod"),
    ("lz4", "lz4"),
    ("zstd", "zstd"),
    ("xz", "xz-utils"),
];

/// A series of kernels that Debian ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// 6.1, of Debian 12.
    V6_1,
    /// 6.12, of Debian 13 and of Debian 12's newer kernels.
    V6_12,
}

impl Series {
    /// Every series.
    pub const ALL: [Self; 2] = [Self::V6_1, Self::V6_12];
}

impl fmt::Display for Series {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        })
    }
}

impl FromStr for Series {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|series| series.to_string() == text);
        found.with_context(|| format!("'{text}' is not a kernel series: 6.1 or 6.12"))
    }
}

/// A kernel in the cache.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The folder that holds it.
    pub dir: PathBuf,
    /// Its release, as `uname -r` says it.
    pub release: String,
}

impl Kernel {
    /// The kernel of `series` and its modules; fetched where it is not in the cache.
    ///
    /// # Errors
    /// What the recipe says.
    pub fn cached(series: Series) -> Result<Self> {
        Self::at(folder(series, &["--kernel-only"])?)
    }

    fn at(dir: PathBuf) -> Result<Self> {
        let file = dir.join("release");
        let release =
            fs::read_to_string(&file).with_context(|| format!("'{}' cannot be read", file.display()))?;
        Ok(Self { dir, release: release.trim().to_owned() })
    }

    /// The kernel as an ELF file with a PVH note: it starts half a second earlier than the bzImage, which in software
    /// emulation takes that long to unpack.
    #[must_use]
    pub fn elf(&self) -> PathBuf {
        self.dir.join("vmlinux")
    }

    /// The files of `modules` and all that they depend on, in the order of loading. What is built in is left out.
    ///
    /// # Errors
    /// Where modprobe knows no such module.
    pub fn module_files(&self, modules: &[String]) -> Result<Vec<PathBuf>> {
        let mut files: Vec<PathBuf> = Vec::new();
        for module in modules {
            let said = Command::new("modprobe")
                .args(["-C", "/dev/null", "--show-depends", "-S", &self.release, "-d"])
                .args([self.dir.as_os_str(), module.as_ref()])
                .output()
                .context("modprobe does not start: apt-get install kmod")?;
            if !said.status.success() {
                bail!(
                    "kernel {} has no module '{module}': {}",
                    self.release,
                    String::from_utf8_lossy(&said.stderr)
                );
            }
            for line in String::from_utf8_lossy(&said.stdout).lines() {
                let file = line.strip_prefix("insmod ").map(|rest| PathBuf::from(rest.trim()));
                files.extend(file.filter(|file| !files.contains(file)));
            }
        }
        Ok(files)
    }
}

/// A Linux guest in the cache.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Its bzImage.
    pub kernel: PathBuf,
    /// Its kernel as an ELF file, with a PVH note.
    pub elf: PathBuf,
    /// Its initramfs.
    pub initrd: PathBuf,
}

impl Guest {
    /// The guest of `series`; made where it is not in the cache.
    ///
    /// # Errors
    /// What the recipe says.
    pub fn cached(series: Series) -> Result<Self> {
        let dir = folder(series, &[])?;
        Ok(Self { kernel: dir.join("vmlinuz"), elf: dir.join("vmlinux"), initrd: dir.join("initramfs.cpio") })
    }
}

/// The image of a Debian root file system, for [`Guest`]'s kernel; made where it is not in the cache, which takes minutes and
/// shows its progress.
///
/// # Errors
/// What the recipe says.
pub fn debian_image() -> Result<PathBuf> {
    packages::ensure(&[("mmdebstrap", "mmdebstrap"), ("mke2fs", "e2fsprogs")])?;
    recipe("debian", &[])
}

fn folder(series: Series, arguments: &[&str]) -> Result<PathBuf> {
    packages::ensure(TOOLS)?;
    recipe("linux", &[arguments, &[&series.to_string()]].concat())
}

/// Runs the recipe `guest-images/NAME/build.sh`, which is quick where everything is there, and returns the path that it prints.
fn recipe(name: &str, arguments: &[&str]) -> Result<PathBuf> {
    let recipe = workspace::root().join(format!("guest-images/{name}/build.sh"));
    let said = Command::new(&recipe)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("'{}' does not start", recipe.display()))?;
    let words = [&["build.sh"], arguments].concat().join(" ");
    if !said.status.success() {
        bail!("guest-images/{name}/{words} failed; it says above why");
    }
    let text = String::from_utf8_lossy(&said.stdout);
    let path = text.lines().last().map(Path::new);
    Ok(path.with_context(|| format!("guest-images/{name}/{words} named no path"))?.to_owned())
}
