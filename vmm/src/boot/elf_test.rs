//! An ELF kernel is loaded at its physical addresses and entered by its PVH note, else at its 64-bit entry.

use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

use super::Entry;
use super::samples::{ELF_CODE, ELF_LOAD, ELF_NOTE, MIB, boot, elf, memory, refusal};

const CODE: [u8; 64] = [0xf4; 64];

fn changed(offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut image = elf(&CODE, Some(ELF_LOAD as u32));
    image[offset..offset + bytes.len()].copy_from_slice(bytes);
    image
}

#[test]
fn the_pvh_note_is_preferred() {
    let memory = memory(32 * MIB);
    let entry = boot(&memory, &elf(&CODE, Some(0x10_0010))).unwrap();
    assert_eq!(entry, Entry::Pvh { rip: 0x10_0010, start_info: 0x6000 });
    let mut loaded = CODE.map(|_| 0);
    memory.read_slice(&mut loaded, GuestAddress(ELF_LOAD)).unwrap();
    assert_eq!(loaded, CODE);
}

#[test]
fn notes_that_break_the_format_are_refused() {
    let too_long = changed(ELF_NOTE, &100u32.to_le_bytes());
    let too_short = changed(ELF_NOTE + 4, &0u32.to_le_bytes());
    for image in [too_long, too_short] {
        assert!(refusal(&image).ends_with("its notes do not follow the format; copy or build it again"));
    }
    let mut huge = changed(64 + 56 + 32, &(1u64 << 20).to_le_bytes());
    huge.resize(2 << 20, 0);
    assert!(refusal(&huge).contains("1048576 bytes of notes, over 65536"));
}

#[test]
fn notes_padded_to_8_bytes_are_read_so() {
    let mut image = elf(&CODE, Some(0));
    let start = image.len() as u64;
    // A GNU note whose description of 12 bytes is padded to 16, then the entry.
    for field in [4, 12, 5, u32::from_le_bytes(*b"GNU\0"), 0, 0, 0, 0] {
        image.extend(u32::to_le_bytes(field));
    }
    for field in [4, 4, 18, u32::from_le_bytes(*b"Xen\0"), ELF_LOAD as u32, 0] {
        image.extend(u32::to_le_bytes(field));
    }
    let length = image.len() as u64 - start;
    for (field, value) in [(8, start), (32, length), (48, 8)] {
        image[64 + 56 + field..][..8].copy_from_slice(&value.to_le_bytes());
    }
    let entry = boot(&memory(32 * MIB), &image).unwrap();
    assert_eq!(entry, Entry::Pvh { rip: ELF_LOAD, start_info: 0x6000 });
}

#[test]
fn without_a_note_the_64_bit_entry_is_taken() {
    let entry = boot(&memory(32 * MIB), &elf(&CODE, None)).unwrap();
    assert_eq!(entry, Entry::Linux64 { rip: ELF_LOAD, zero_page: 0x7000 });
}

#[test]
fn other_architectures_are_named() {
    for (machine, name) in [(183u16, "arm64"), (3, "32-bit x86"), (243, "RISC-V"), (9, "ELF machine 9")] {
        let message = refusal(&changed(18, &machine.to_le_bytes()));
        assert!(message.contains("is for ") && message.contains(name), "{message}");
    }
    assert!(refusal(&changed(5, &[2])).contains("is for a big-endian architecture"));
    assert!(refusal(&changed(4, &[1])).contains("x32"));
}

#[test]
fn programs_and_objects_are_no_kernels() {
    let program = changed(64 + 56, &3u32.to_le_bytes());
    assert!(refusal(&program).contains("it is a program that needs an operating system"));
    let object = changed(56, &0u16.to_le_bytes());
    assert!(refusal(&object).contains("without program headers"));
}

#[test]
fn segments_that_cannot_be_are_refused() {
    let physical = 64 + 24;
    let file_size = 64 + 32;
    let memory_size = 64 + 40;
    for (image, expected) in [
        (changed(physical, &0x8000u64.to_le_bytes()), "its segment at 0x8000 is below 1 MiB"),
        (changed(physical, &u64::MAX.to_le_bytes()), "ends beyond 64 bits"),
        (changed(physical, &0x1000_0000u64.to_le_bytes()), "needs memory up to 257 MiB"),
        (changed(memory_size, &0u64.to_le_bytes()), "is larger in the file than in memory"),
        (changed(memory_size, &0x4000_0000u64.to_le_bytes()), "needs memory up to 1025 MiB"),
        (changed(file_size, &u64::MAX.to_le_bytes()), "points to byte"),
        (changed(56, &65u16.to_le_bytes()), "65 program headers, over 64"),
    ] {
        let message = refusal(&image);
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn an_entry_outside_what_is_loaded_is_refused() {
    let note = elf(&CODE, Some(0x20_0000));
    assert!(refusal(&note).contains("its entry 0x200000 is outside everything that it loads"));
    let mut header = elf(&CODE, None);
    header[24..32].copy_from_slice(&0xffff_ffff_8100_0000u64.to_le_bytes());
    assert!(refusal(&header).contains("its entry 0xffffffff81000000 is outside"));
}

#[test]
fn missing_section_headers_mean_truncation() {
    let mut image = elf(&CODE, None);
    let end = image.len() as u64;
    image[40..48].copy_from_slice(&end.to_le_bytes());
    image[60..62].copy_from_slice(&1u16.to_le_bytes());
    assert!(refusal(&image).contains("is truncated"));
    image.extend([0; 64]);
    assert!(boot(&memory(32 * MIB), &image).is_ok());
}

#[test]
fn every_truncation_is_refused() {
    let image = elf(&CODE, Some(ELF_LOAD as u32));
    assert_eq!(image.len(), ELF_CODE + CODE.len());
    let memory = memory(2 * MIB);
    for length in 0..image.len() {
        let message = boot(&memory, &image[..length]).unwrap_err().to_string();
        let expected = match length {
            0 => "is empty",
            1..=3 => "less than a kernel's header",
            _ => "is truncated",
        };
        assert!(message.contains(expected), "{length}: {message}");
    }
}

proptest! {
    #[test]
    fn no_header_brings_the_loader_down(offset in 0usize..ELF_CODE - 8, bytes in any::<[u8; 8]>()) {
        if let Err(error) = boot(&memory(2 * MIB), &changed(offset, &bytes)) {
            prop_assert!(error.to_string().contains("godwit-boot-"));
        }
    }
}
