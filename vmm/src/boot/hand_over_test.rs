//! What the kernel is handed: command line, initrd, memory map and the place of the ACPI tables, in both protocols.

use vm_memory::{Address, Bytes, GuestAddress};

use super::layout::{PVH_START_INFO, ZERO_PAGE};
use super::samples::{BzImage, ELF_LOAD, MIB, RSDP, SampleFile, elf, memory};
use super::{BootError, BootRequest, Entry, GuestMemory, Kernel, load};

fn hand_over(
    memory: &GuestMemory,
    kernel: &[u8],
    initrd: Option<&[u8]>,
    cmdline: &str,
) -> Result<Entry, BootError> {
    let kernel = SampleFile::new(kernel);
    let initrd = initrd.map(SampleFile::new);
    let request = BootRequest {
        kernel: &Kernel::File(kernel.path.clone()),
        initrd: initrd.as_ref().map(|file| file.path.as_path()),
        cmdline,
        rsdp: RSDP,
    };
    load(memory, &request)
}

fn pvh_kernel() -> Vec<u8> {
    elf(&[0xf4], Some(ELF_LOAD as u32))
}

fn u32_at(memory: &GuestMemory, address: u64) -> u32 {
    memory.read_obj(GuestAddress(address)).unwrap()
}

fn u64_at(memory: &GuestMemory, address: u64) -> u64 {
    memory.read_obj(GuestAddress(address)).unwrap()
}

fn bytes_at(memory: &GuestMemory, address: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
    bytes
}

#[test]
fn pvh_start_info_leads_to_everything() {
    let memory = memory(32 * MIB);
    let initrd = [0xabu8; 5000];
    hand_over(&memory, &pvh_kernel(), Some(&initrd), "console=ttyS0 quiet").unwrap();
    let info = PVH_START_INFO.raw_value();
    assert_eq!(u32_at(&memory, info), 0x336e_c578);
    assert_eq!((u32_at(&memory, info + 4), u32_at(&memory, info + 12)), (1, 1), "version, modules");
    let (modules, cmdline) = (u64_at(&memory, info + 16), u64_at(&memory, info + 24));
    assert_eq!(bytes_at(&memory, cmdline, 20), b"console=ttyS0 quiet\0");
    assert_eq!(u64_at(&memory, info + 32), RSDP.raw_value());
    let (map, entries) = (u64_at(&memory, info + 40), u32_at(&memory, info + 48));
    assert_eq!(entries, 4);
    let last = map + 3 * 24;
    assert_eq!((u64_at(&memory, last), u64_at(&memory, last + 8)), (0x10_0000, 31 << 20));
    assert_eq!(u32_at(&memory, last + 16), 1);
    let (start, size) = (u64_at(&memory, modules), u64_at(&memory, modules + 8));
    assert_eq!((start, size), ((32 << 20) - 0x2000, 5000));
    assert_eq!(bytes_at(&memory, start, 5000), initrd);
}

#[test]
fn the_zero_page_leads_to_everything() {
    let memory = memory(32 * MIB);
    let initrd = [0xcdu8; 4096];
    hand_over(&memory, &BzImage::new().0, Some(&initrd), "root=/dev/ram0").unwrap();
    let page = ZERO_PAGE.raw_value();
    assert_eq!(u64_at(&memory, page + 0x70), RSDP.raw_value());
    let (start, size) = (u32_at(&memory, page + 0x218), u32_at(&memory, page + 0x21c));
    assert_eq!((start, size), ((32 << 20) - 4096, 4096));
    assert_eq!(bytes_at(&memory, u64::from(start), 4096), initrd);
    let cmdline = u64::from(u32_at(&memory, page + 0x228));
    assert_eq!(bytes_at(&memory, cmdline, 15), b"root=/dev/ram0\0");
    assert_eq!(bytes_at(&memory, page + 0x1e8, 1), [4], "e820 entries");
    let last = page + 0x2d0 + 3 * 20;
    assert_eq!((u64_at(&memory, last), u64_at(&memory, last + 8)), (0x10_0000, 31 << 20));
    assert_eq!(u32_at(&memory, last + 16), 1);
}

#[test]
fn an_elf_kernel_without_a_note_gets_a_zero_page_too() {
    let memory = memory(32 * MIB);
    hand_over(&memory, &elf(&[0xf4], None), None, "quiet").unwrap();
    let page = ZERO_PAGE.raw_value();
    assert_eq!(u32_at(&memory, page + 0x202), u32::from_le_bytes(*b"HdrS"));
    assert_eq!(u32_at(&memory, page + 0x228), 0x2_0000);
    assert_eq!(u32_at(&memory, page + 0x21c), 0, "no initrd");
}

#[test]
fn the_initrd_stays_below_the_kernels_limit() {
    let memory = memory(64 * MIB);
    let mut image = BzImage::new();
    image.put(0x22c, &0x1ff_ffffu32.to_le_bytes());
    hand_over(&memory, &image.0, Some(&[1; 4096]), "").unwrap();
    assert_eq!(u32_at(&memory, ZERO_PAGE.raw_value() + 0x218), (32 << 20) - 4096);
}

#[test]
fn an_initrd_that_fills_the_room_fits_and_one_byte_more_does_not() {
    // The kernel unpacks itself up to 17 MiB.
    let memory = memory(18 * MIB);
    let exact = vec![7; MIB];
    hand_over(&memory, &BzImage::new().0, Some(&exact), "").unwrap();
    let message = hand_over(&memory, &BzImage::new().0, Some(&vec![7; MIB + 1]), "").unwrap_err().to_string();
    assert!(message.contains("of 1048577 bytes does not fit: 1048576 bytes are free"), "{message}");
    let huge = hand_over(&memory, &pvh_kernel(), Some(&vec![7; 19 * MIB]), "").unwrap_err();
    assert!(matches!(huge, BootError::InitrdTooLarge { .. }), "{huge}");
}

#[test]
fn a_missing_or_empty_initrd_is_refused() {
    let memory = memory(32 * MIB);
    let empty = hand_over(&memory, &pvh_kernel(), Some(b""), "").unwrap_err().to_string();
    assert!(empty.starts_with("the initrd '") && empty.contains("is empty"), "{empty}");
    let kernel = SampleFile::new(&pvh_kernel());
    let request = BootRequest {
        kernel: &Kernel::File(kernel.path.clone()),
        initrd: Some("/nowhere/initrd".as_ref()),
        cmdline: "",
        rsdp: RSDP,
    };
    let missing = load(&memory, &request).unwrap_err().to_string();
    assert!(missing.contains("cannot open the initrd '/nowhere/initrd'"), "{missing}");
    assert!(missing.ends_with("check the path given to --initrd"), "{missing}");
}

#[test]
fn the_command_line_has_a_limit() {
    let memory = memory(32 * MIB);
    assert!(hand_over(&memory, &pvh_kernel(), None, &"x".repeat(2047)).is_ok());
    let long = hand_over(&memory, &pvh_kernel(), None, &"x".repeat(2048)).unwrap_err().to_string();
    assert!(long.starts_with("the command line has 2048 bytes and the kernel '"), "{long}");
    assert!(long.ends_with("' takes 2047; shorten --cmdline"), "{long}");
    let mut image = BzImage::new();
    image.put(0x238, &255u32.to_le_bytes());
    let own = hand_over(&memory, &image.0, None, &"x".repeat(256)).unwrap_err().to_string();
    assert!(own.contains("' takes 255"), "{own}");
    let nul = hand_over(&memory, &pvh_kernel(), None, "quiet\0debug").unwrap_err().to_string();
    assert!(nul.contains("a control character at byte 5"), "{nul}");
}

#[test]
fn a_builtin_kernel_needs_no_file() {
    let kernel = Kernel::Builtin(Box::leak(pvh_kernel().into_boxed_slice()));
    let request = BootRequest { kernel: &kernel, initrd: None, cmdline: "", rsdp: RSDP };
    let entry = load(&memory(2 * MIB), &request).unwrap();
    assert_eq!(entry, Entry::Pvh { rip: ELF_LOAD, start_info: 0x6000 });
}
