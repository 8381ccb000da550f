//! Packs the initramfs of the nested host: busybox, modules, init, and the files that come along. It calls `cpio` and
//! `busybox`, and knows nothing of QEMU.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    io::{Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    str::FromStr,
};

use anyhow::{Context, Result, bail};

use super::{
    Request, WORK_DIR,
    kernel::{Guest, Kernel},
    terminal,
};

/// Modules that every nested host loads.
const MODULES: &[&str] = &["kvm-amd", "tun"];
/// Modules for its disks.
const DISK_MODULES: &[&str] = &["virtio_pci", "virtio_blk"];
/// Files that may come along, those of folders and libraries included.
const MAX_FILES: usize = 4096;

/// A file or a folder that is brought along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bring {
    /// Where it is here.
    pub source: PathBuf,
    /// Where it will be there; an absolute path.
    pub destination: PathBuf,
}

impl Bring {
    /// `source` under its own name in [`WORK_DIR`].
    ///
    /// # Errors
    /// Where it has no name.
    pub fn into_work_dir(source: PathBuf) -> Result<Self> {
        let name = source.file_name().with_context(|| format!("'{}' has no file name", source.display()))?;
        let destination = Path::new(WORK_DIR).join(name);
        Ok(Self { source, destination })
    }
}

impl FromStr for Bring {
    type Err = anyhow::Error;

    /// `PATH` or `PATH:/destination`.
    fn from_str(text: &str) -> Result<Self> {
        match text.rsplit_once(':') {
            Some((source, destination)) if destination.starts_with('/') => {
                Ok(Self { source: source.into(), destination: destination.into() })
            }
            _ => Self::into_work_dir(text.into()),
        }
    }
}

/// Writes the initramfs of `request` to `archive`: two cpio archives one after the other, which the kernel unpacks
/// both. The first holds the system, the second the files that come along.
pub(super) fn pack(request: &Request, kernel: &Kernel, nonce: &str, archive: &Path) -> Result<()> {
    let staging = archive.with_extension("staging");
    let (system, files) = (staging.join("system"), staging.join("files"));
    stage_system(request, kernel, nonce, &system)?;
    stage_files(&wanted(request)?, &files)?;
    let out = File::create(archive).with_context(|| format!("'{}' cannot be written", archive.display()))?;
    cpio(&system, false, &out)?;
    cpio(&files, true, &out)?;
    fs::remove_dir_all(&staging).with_context(|| format!("'{}' cannot be removed", staging.display()))
}

fn stage_system(request: &Request, kernel: &Kernel, nonce: &str, root: &Path) -> Result<()> {
    for folder in ["bin", "dev", "etc", "modules", "proc", "run/godwit", "sys", "tmp", "work"] {
        fs::create_dir_all(root.join(folder))?;
    }
    stage_busybox(root)?;
    let mut modules: Vec<String> = MODULES.iter().map(ToString::to_string).collect();
    if !request.disks.is_empty() {
        modules.extend(DISK_MODULES.iter().map(ToString::to_string));
    }
    modules.extend(request.modules.iter().cloned());
    for (index, file) in kernel.module_files(&modules)?.iter().enumerate() {
        stage_module(file, index, &root.join("modules"))?;
    }
    write(&root.join("init"), include_str!("init.sh"), 0o755)?;
    write(&root.join("run/godwit/nonce"), nonce, 0o600)?;
    write(&root.join("run/godwit/command"), &script(&request.command), 0o600)?;
    if request.terminal {
        write(&root.join("run/godwit/terminal"), &terminal::size_words(), 0o600)?;
    }
    Ok(())
}

fn stage_busybox(root: &Path) -> Result<()> {
    let busybox =
        crate::packages::path_of("busybox").context("busybox is missing: apt-get install busybox-static")?;
    fs::copy(&busybox, root.join("bin/busybox"))?;
    let list = Command::new(&busybox).arg("--list").output().context("busybox does not start")?;
    for applet in String::from_utf8_lossy(&list.stdout).lines().filter(|&applet| applet != "busybox") {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    Ok(())
}

/// Copies one module, unpacked, under a name that keeps the order of loading.
fn stage_module(file: &Path, index: usize, folder: &Path) -> Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match name.strip_suffix(".xz") {
        None => drop(fs::copy(file, folder.join(format!("{index:02}-{name}")))?),
        Some(plain) => {
            let out = File::create(folder.join(format!("{index:02}-{plain}")))?;
            let status =
                Command::new("xz").arg("-dc").arg(file).stdout(out).status().context("xz does not start")?;
            if !status.success() {
                bail!("'{}' does not unpack", file.display());
            }
        }
    }
    Ok(())
}

/// The command as a shell script that becomes it.
pub(super) fn script(command: &[String]) -> String {
    let quoted: Vec<String> =
        command.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
    format!("exec {}\n", quoted.join(" "))
}

/// Everything that comes along, by its destination: files of folders one by one, and libraries of programs.
fn wanted(request: &Request) -> Result<BTreeMap<PathBuf, PathBuf>> {
    let mut wanted = BTreeMap::new();
    for bring in &request.files {
        add(bring, &mut wanted)?;
    }
    for series in &request.guests {
        let guest = Guest::cached(*series)?;
        let folder = Path::new("/guest").join(series.to_string());
        wanted.insert(folder.join("vmlinuz"), guest.kernel);
        wanted.insert(folder.join("initramfs.cpio"), guest.initrd);
    }
    Ok(wanted)
}

fn add(bring: &Bring, wanted: &mut BTreeMap<PathBuf, PathBuf>) -> Result<()> {
    let source = fs::canonicalize(&bring.source)
        .with_context(|| format!("'{}' cannot be brought into the nested host", bring.source.display()))?;
    if source.is_dir() {
        for entry in fs::read_dir(&source)? {
            let entry = entry?;
            let inner =
                Bring { source: entry.path(), destination: bring.destination.join(entry.file_name()) };
            add(&inner, wanted)?;
        }
        return Ok(());
    }
    for library in libraries(&source)? {
        wanted.insert(library.clone(), library);
    }
    wanted.insert(bring.destination.clone(), source);
    if wanted.len() > MAX_FILES {
        bail!("more than {MAX_FILES} files to bring into the nested host; pack them into one archive");
    }
    Ok(())
}

/// The shared libraries of a program, its loader among them; none of a static program or of any other file.
pub(super) fn libraries(file: &Path) -> Result<Vec<PathBuf>> {
    let mut magic = [0; 4];
    let mut opened = File::open(file).with_context(|| format!("'{}' cannot be read", file.display()))?;
    if opened.read_exact(&mut magic).is_err() || magic != *b"\x7fELF" {
        return Ok(Vec::new());
    }
    let said = Command::new("ldd").arg(file).output().context("ldd does not start")?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    parse_ldd(&text).with_context(|| format!("'{}' cannot run in the nested host", file.display()))
}

/// Reads lines such as `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)` and `/lib64/ld-linux-x86-64.so.2 (0x…)`.
pub(super) fn parse_ldd(text: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        let right = line.split_once("=> ").map_or(line, |(_, right)| right);
        if right.starts_with("not found") {
            bail!("its library {} is missing", line.split(' ').next().unwrap_or(line));
        }
        if right.starts_with('/') {
            found.push(PathBuf::from(right.split(" (0x").next().unwrap_or(right)));
        }
    }
    Ok(found)
}

fn stage_files(wanted: &BTreeMap<PathBuf, PathBuf>, root: &Path) -> Result<()> {
    fs::create_dir_all(root)?;
    for (destination, source) in wanted {
        let inside = destination.strip_prefix("/").unwrap_or(destination);
        let place = root.join(inside);
        fs::create_dir_all(place.parent().unwrap_or(root))?;
        symlink(source, &place).with_context(|| format!("'{}' cannot be staged", destination.display()))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    Ok(file.write_all(text.as_bytes())?)
}

/// Appends the tree of `root` to `out`; with `follow`, what its links point to instead of the links.
fn cpio(root: &Path, follow: bool, out: &File) -> Result<()> {
    let mut names = Vec::new();
    list(root, &mut PathBuf::new(), &mut names)?;
    let mut child = Command::new("cpio")
        .args(["--null", "--create", "--quiet", "--format=newc", "--owner=0:0"])
        .args(follow.then_some("--dereference"))
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(out.try_clone()?)
        .spawn()
        .context("cpio does not start: apt-get install cpio")?;
    let mut stdin = child.stdin.take().context("cpio has no standard input")?;
    for name in names {
        stdin.write_all(name.as_encoded_bytes())?;
        stdin.write_all(&[0])?;
    }
    drop(stdin);
    if !child.wait()?.success() {
        bail!("cpio could not pack the initramfs of the nested host");
    }
    Ok(())
}

/// Names below `root`, folders before what they hold.
fn list(root: &Path, inside: &mut PathBuf, names: &mut Vec<OsString>) -> Result<()> {
    let mut entries: Vec<_> = fs::read_dir(root.join(&inside))?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        inside.push(entry.file_name());
        names.push(inside.clone().into_os_string());
        if entry.file_type()?.is_dir() {
            list(root, inside, names)?;
        }
        inside.pop();
    }
    Ok(())
}
