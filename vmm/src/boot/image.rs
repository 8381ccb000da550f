//! A file that is to be loaded: opened with care, and recognised by its content.
//!
//! Never looks at a file's name to decide what it is. Neighbours: `bzimage` and `elf` check and load what this finds,
//! `initrd` opens its file here.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use linux_loader::elf::{EM_386, EM_AARCH64, EM_ARM, EM_LOONGARCH, EM_PPC64, EM_RISCV, EM_S390};
use vm_memory::ReadVolatile;

use super::{BootError, Role};

/// What a loader reads: a file, or bytes in this process.
pub(super) trait Source: Read + Seek + ReadVolatile {}
impl<T: Read + Seek + ReadVolatile> Source for T {}

/// An open image of a known length.
pub(super) struct Image<S> {
    /// Its name in messages.
    pub name: String,
    /// Its size in bytes, at least 1.
    pub length: u64,
    /// Its content.
    pub source: S,
}

/// Formats of kernels that there is a loader for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    BzImage,
    Elf,
}

/// Offset of `HdrS` in a bzImage (Linux, Documentation/arch/x86/boot.rst).
const BZIMAGE_MAGIC_OFFSET: u64 = 0x202;
/// Bytes of the start of a file that tell what it is.
const HEAD_BYTES: u64 = BZIMAGE_MAGIC_OFFSET + 4;
/// Offset of the magic number in the `Image` of arm64 and RISC-V.
const IMAGE_MAGIC_OFFSET: usize = 0x38;
/// Offset of the place of the PE header in an EFI program.
const PE_OFFSET: usize = 0x3c;
/// First bytes of the compressed files that kernels are delivered in.
const COMPRESSED: [(&[u8], &str); 7] = [
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ", "xz"),
    (b"BZh", "bzip2"),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x5d\x00\x00", "lzma"),
];

impl Image<File> {
    /// Opens the regular, non-empty file at `path`.
    pub fn open(role: Role, path: &Path) -> Result<Self, BootError> {
        let name = path.display().to_string();
        let cannot = |source| BootError::Open { role, name: name.clone(), source };
        // Asked before opening, since opening a pipe would wait for its writer.
        if !std::fs::metadata(path).map_err(cannot)?.is_file() {
            return Err(BootError::NotAFile { role, name });
        }
        let source = File::open(path).map_err(cannot)?;
        let length = source.metadata().map_err(cannot)?.len();
        if length == 0 {
            return Err(BootError::Empty { role, name });
        }
        Ok(Self { name, length, source })
    }
}

impl<S: Source> Image<S> {
    /// What kind of kernel this is.
    pub fn kernel_format(&mut self) -> Result<Format, BootError> {
        let head = self.read(0, self.length.min(HEAD_BYTES))?;
        if head.starts_with(b"\x7fELF") {
            return Ok(Format::Elf);
        }
        if magic_at(&head, BZIMAGE_MAGIC_OFFSET as usize, b"HdrS") {
            return Ok(Format::BzImage);
        }
        if let Some(found) = foreign_image(&head) {
            return Err(BootError::WrongArchitecture { name: self.name.clone(), found: found.into() });
        }
        Err(BootError::NotAKernel { name: self.name.clone(), reason: self.describe(&head) })
    }

    /// The `count` bytes from `offset`, which the caller has checked to be within the image.
    pub fn read(&mut self, offset: u64, count: u64) -> Result<Vec<u8>, BootError> {
        let mut bytes = Vec::new();
        let read = self
            .source
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.source.by_ref().take(count).read_to_end(&mut bytes));
        match read {
            Ok(n) if n as u64 == count => Ok(bytes),
            Ok(_) => Err(self.unreadable(Role::Kernel, &io::Error::from(io::ErrorKind::UnexpectedEof))),
            Err(e) => Err(self.unreadable(Role::Kernel, &e)),
        }
    }

    /// The error for a read that failed though the image was long enough when it was opened.
    pub fn unreadable(&self, role: Role, reason: &dyn std::fmt::Display) -> BootError {
        BootError::Read { role, name: self.name.clone(), reason: reason.to_string() }
    }

    /// An error unless the image has `expected` bytes.
    pub fn require(&self, expected: u64) -> Result<(), BootError> {
        if self.length >= expected {
            return Ok(());
        }
        Err(BootError::Truncated { name: self.name.clone(), length: self.length, expected })
    }

    /// The error for a header field that cannot be.
    pub fn damaged(&self, reason: impl Into<String>) -> BootError {
        BootError::Damaged { name: self.name.clone(), reason: reason.into() }
    }

    fn describe(&self, head: &[u8]) -> String {
        if let Some((_, format)) = COMPRESSED.iter().find(|(magic, _)| head.starts_with(magic)) {
            return format!("it is compressed with {format}, unpack it first");
        }
        if self.length < HEAD_BYTES {
            return format!("it has {} bytes, less than a kernel's header", self.length);
        }
        if head.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) {
            return "it is a text file".into();
        }
        "it has the header of neither".into()
    }
}

/// The field's name of an ELF or PE machine number.
pub(super) fn machine_name(machine: u16) -> String {
    match machine {
        EM_386 => "32-bit x86",
        EM_ARM => "32-bit Arm",
        EM_AARCH64 => "arm64",
        EM_RISCV => "RISC-V",
        EM_PPC64 => "POWER",
        EM_S390 => "s390",
        EM_LOONGARCH => "LoongArch",
        other => return format!("another architecture (ELF machine {other})"),
    }
    .into()
}

/// The architecture of an `Image` or EFI program that is not for x86.
fn foreign_image(head: &[u8]) -> Option<&'static str> {
    if magic_at(head, IMAGE_MAGIC_OFFSET, b"ARM\x64") {
        return Some("arm64");
    }
    if magic_at(head, IMAGE_MAGIC_OFFSET, b"RSC\x05") {
        return Some("RISC-V");
    }
    let pe = u32::from_le_bytes(head.get(PE_OFFSET..PE_OFFSET + 4)?.try_into().ok()?) as usize;
    if !head.starts_with(b"MZ") || !magic_at(head, pe, b"PE\0\0") {
        return None;
    }
    match head.get(pe + 4..pe + 6)? {
        [0x64, 0xaa] => Some("arm64"),
        [0x64, 0x50] => Some("RISC-V"),
        [0x64, 0x62] => Some("LoongArch"),
        _ => None,
    }
}

fn magic_at(bytes: &[u8], offset: usize, magic: &[u8]) -> bool {
    bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic))
}
