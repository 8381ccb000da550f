//! A bzImage is loaded as its header says, and a header that cannot be is refused in words.

use proptest::prelude::*;
use vm_memory::{Address, Bytes, GuestAddress};

use super::Entry;
use super::layout::ZERO_PAGE;
use super::samples::{BzImage, INIT_SIZE, MIB, PREF_ADDRESS, SETUP_BYTES, boot, memory, refusal};

#[test]
fn the_protected_mode_part_is_at_1_mib_and_entered_0x200_further() {
    let memory = memory(32 * MIB);
    let image = BzImage::new().0;
    let entry = boot(&memory, &image).unwrap();
    assert_eq!(entry, Entry::Linux64 { rip: 0x10_0200, zero_page: 0x7000 });
    let mut loaded = vec![0; image.len() - SETUP_BYTES];
    memory.read_slice(&mut loaded, GuestAddress(0x10_0000)).unwrap();
    assert_eq!(loaded, image[SETUP_BYTES..]);
}

#[test]
fn the_setup_header_is_handed_on() {
    let memory = memory(32 * MIB);
    boot(&memory, &BzImage::new().0).unwrap();
    let field = |offset| memory.read_obj::<u32>(ZERO_PAGE.unchecked_add(offset)).unwrap();
    assert_eq!(field(0x202), u32::from_le_bytes(*b"HdrS"));
    assert_eq!(field(0x260), INIT_SIZE);
    assert_eq!(field(0x210) & 0xff, 0xff, "type_of_loader");
    assert_eq!(field(0x228), 0x2_0000, "cmd_line_ptr");
}

#[test]
fn bytes_beyond_the_header_of_an_older_version_are_not_handed_on() {
    let memory = memory(32 * MIB);
    let mut image = BzImage::new();
    image.put(0x201, &[0x264u16 as u8 - 2]); // the header ends at 0x264
    image.put(0x264, &[0xee; 4]);
    boot(&memory, &image.0).unwrap();
    assert_eq!(memory.read_obj::<u32>(ZERO_PAGE.unchecked_add(0x264)).unwrap(), 0);
}

#[test]
fn without_a_64_bit_entry_it_is_refused() {
    let mut no_flag = BzImage::new();
    no_flag.put(0x236, &[0, 0]);
    let mut old = BzImage::new();
    old.put(0x206, &0x0206u16.to_le_bytes());
    let mut low = BzImage::new();
    low.put(0x211, &[0]);
    for (image, version) in [(no_flag, "2.15"), (old, "2.06"), (low, "2.15")] {
        let message = refusal(&image.0);
        assert!(message.contains(&format!("has no 64-bit entry (boot protocol {version})")), "{message}");
    }
}

#[test]
fn one_that_unpacks_beyond_memory_is_refused_with_the_size_it_needs() {
    let small = memory((PREF_ADDRESS as usize) + (INIT_SIZE as usize) - MIB);
    let message = boot(&small, &BzImage::new().0).unwrap_err().to_string();
    assert!(message.contains("needs memory up to 17 MiB and the guest has 16 MiB"), "{message}");
    assert!(boot(&memory(17 * MIB), &BzImage::new().0).is_ok());
}

#[test]
fn one_that_can_be_moved_unpacks_where_it_was_loaded() {
    let mut image = BzImage::new();
    image.put(0x214, &0x100_0000u32.to_le_bytes());
    image.put(0x258, &0x10_0000u64.to_le_bytes());
    let memory = memory(16 * MIB + MIB / 2);
    let message = boot(&memory, &image.0).unwrap_err().to_string();
    assert!(message.contains("needs memory up to 17 MiB"), "{message}");
    image.put(0x234, &[0]);
    assert!(boot(&memory, &image.0).is_ok(), "one that cannot be moved unpacks where it wants to");
}

#[test]
fn the_file_itself_must_fit_too() {
    let mut image = BzImage::new();
    image.put(0x258, &0x10_0000u64.to_le_bytes());
    image.put(0x260, &0u32.to_le_bytes());
    let message = boot(&memory(MIB), &image.0).unwrap_err().to_string();
    assert!(message.contains("needs memory up to 2 MiB and the guest has 1 MiB"), "{message}");
}

#[test]
fn no_setup_sectors_mean_four() {
    let memory = memory(32 * MIB);
    let mut image = BzImage::new();
    image.put(0x1f1, &[0]);
    image.put(0x1f4, &1u32.to_le_bytes());
    boot(&memory, &image.0).unwrap();
    let mut loaded = vec![0; image.0.len() - 5 * 512];
    memory.read_slice(&mut loaded, GuestAddress(0x10_0000)).unwrap();
    assert_eq!(loaded, image.0[5 * 512..]);
    let short = &image.0[..5 * 512 + 8];
    assert!(
        boot(&memory, short).unwrap_err().to_string().contains("asks for 2576"),
        "5 sectors and 16 bytes"
    );
}

#[test]
fn addresses_that_cannot_be_are_refused() {
    let mut low = BzImage::new();
    low.put(0x214, &0x1000u32.to_le_bytes());
    assert!(refusal(&low.0).contains("its code32_start is 0x1000, below 1 MiB"));
    let mut high = BzImage::new();
    high.put(0x214, &u32::MAX.to_le_bytes());
    assert!(refusal(&high.0).contains("needs memory up to"));
    let mut wrapping = BzImage::new();
    wrapping.put(0x258, &u64::MAX.to_le_bytes());
    assert!(refusal(&wrapping.0).contains("is damaged: its pref_address is 0xffffffffffffffff"));
}

#[test]
fn one_that_takes_no_command_line_is_named() {
    let mut image = BzImage::new();
    image.put(0x201, &[0x238u16 as u8 - 2]); // the header ends before cmdline_size
    let message = refusal(&image.0);
    assert!(message.contains("godwit-boot-") && message.contains("takes 0"), "{message}");
}

#[test]
fn every_truncation_is_refused() {
    let image = BzImage::new().0;
    let memory = memory(32 * MIB);
    for length in 0..image.len() {
        let message = boot(&memory, &image[..length]).unwrap_err().to_string();
        let expected = match length {
            0 => "is empty",
            1..=0x205 => "less than a kernel's header",
            _ => "is truncated",
        };
        assert!(message.contains(expected), "{length}: {message}");
    }
}

proptest! {
    #[test]
    fn no_header_brings_the_loader_down(offset in 0x1f1usize..0x26c, bytes in any::<[u8; 8]>()) {
        let mut image = BzImage::new();
        image.put(offset, &bytes);
        // Loaded or refused; a refusal names the file.
        if let Err(error) = boot(&memory(2 * MIB), &image.0) {
            prop_assert!(error.to_string().contains("godwit-boot-"));
        }
    }
}
