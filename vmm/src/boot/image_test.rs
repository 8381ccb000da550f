//! Files are recognised by content, and what cannot be booted is refused with what it is.

use std::path::{Path, PathBuf};

use super::samples::{BzImage, MIB, RSDP, SampleFile, memory, refusal};
use super::{BootError, BootRequest, Kernel, load};

fn boot_path(path: &Path) -> BootError {
    let kernel = Kernel::File(PathBuf::from(path));
    load(&memory(2 * MIB), &BootRequest { kernel: &kernel, initrd: None, cmdline: "", rsdp: RSDP })
        .unwrap_err()
}

#[test]
fn a_missing_file_is_named_with_what_the_system_said() {
    let message = boot_path(Path::new("/nowhere/vmlinuz")).to_string();
    assert!(message.starts_with("cannot open the kernel '/nowhere/vmlinuz': No such file"), "{message}");
    assert!(message.ends_with("check the path given to --kernel"), "{message}");
}

#[test]
fn a_directory_and_a_device_are_not_files() {
    for path in ["/", "/dev/zero"] {
        assert!(matches!(boot_path(Path::new(path)), BootError::NotAFile { .. }), "{path}");
    }
}

#[test]
fn an_empty_file_is_called_empty() {
    let file = SampleFile::new(b"");
    assert!(boot_path(&file.path).to_string().ends_with("is empty; copy or build it again"));
}

#[test]
fn what_it_is_instead_is_said() {
    let at = |offset: usize, magic: &[u8]| {
        let mut bytes = vec![0; 4096];
        bytes[offset..offset + magic.len()].copy_from_slice(magic);
        bytes
    };
    let mut efi = at(0, b"MZ");
    efi[0x3c] = 0x80;
    efi[0x80..0x86].copy_from_slice(b"PE\0\0\x64\xaa");
    for (content, expected) in [
        (b"#!/bin/sh\necho not a kernel\n".repeat(40), "it is a text file"),
        (b"short".to_vec(), "it has 5 bytes, less than a kernel's header"),
        (at(0, b"\x1f\x8b\x08"), "it is compressed with gzip, unpack it first"),
        (at(0, b"\x28\xb5\x2f\xfd"), "it is compressed with zstd"),
        (at(0x38, b"ARM\x64"), "is for arm64, this machine is x86-64"),
        (at(0x38, b"RSC\x05"), "is for RISC-V"),
        (efi, "is for arm64"),
        (vec![0; 4096], "it has the header of neither"),
    ] {
        let message = refusal(&content);
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn the_name_of_a_file_does_not_matter() {
    let file = SampleFile::new(&BzImage::new().0);
    let renamed = file.path.with_extension("txt");
    std::fs::copy(&file.path, &renamed).unwrap();
    let kernel = Kernel::File(renamed.clone());
    let request = BootRequest { kernel: &kernel, initrd: None, cmdline: "", rsdp: RSDP };
    let loaded = load(&memory(32 * MIB), &request);
    std::fs::remove_file(renamed).unwrap();
    assert!(loaded.is_ok());
}
