//! Small kernels made for the tests, field by field, and the memory to load them into.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use vm_memory::GuestAddress;

use super::{BootError, BootRequest, Entry, GuestMemory, Kernel, load};

pub(super) const MIB: usize = 1 << 20;
/// Where the samples' RSDP is said to be.
pub(super) const RSDP: GuestAddress = GuestAddress(0xe_0000);

/// Memory from address 0.
pub(super) fn memory(bytes: usize) -> GuestMemory {
    GuestMemory::from_ranges(&[(GuestAddress(0), bytes)]).unwrap()
}

/// Loads `kernel` into `memory` with a command line and no initrd.
pub(super) fn boot(memory: &GuestMemory, kernel: &[u8]) -> Result<Entry, BootError> {
    let file = SampleFile::new(kernel);
    let kernel = Kernel::File(file.path.clone());
    load(memory, &BootRequest { kernel: &kernel, initrd: None, cmdline: "console=ttyS0", rsdp: RSDP })
}

/// The message of the error that loading `kernel` gives.
pub(super) fn refusal(kernel: &[u8]) -> String {
    boot(&memory(32 * MIB), kernel).unwrap_err().to_string()
}

/// A file that is gone with its value.
pub(super) struct SampleFile {
    pub path: PathBuf,
}

impl SampleFile {
    pub fn new(content: &[u8]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("godwit-boot-{}-{number}", std::process::id()));
        fs::write(&path, content).unwrap();
        Self { path }
    }
}

impl Drop for SampleFile {
    fn drop(&mut self) {
        fs::remove_file(&self.path).unwrap();
    }
}

/// A bzImage of protocol 2.15 with one setup sector; `put` changes its fields.
pub(super) struct BzImage(pub Vec<u8>);

/// Bytes of boot sector and setup sector together.
pub(super) const SETUP_BYTES: usize = 1024;
/// What the sample needs at run time, from its preferred address on.
pub(super) const PREF_ADDRESS: u64 = 0x100_0000;
pub(super) const INIT_SIZE: u32 = 0x10_0000;

impl BzImage {
    pub fn new() -> Self {
        let payload: Vec<u8> = (0..4096u32).map(|n| n as u8).collect();
        let mut image = Self([vec![0; SETUP_BYTES], payload].concat());
        image.put(0x000, b"MZ");
        image.put(0x1f1, &[1]);
        image.put(0x1f4, &(4096u32 / 16).to_le_bytes());
        image.put(0x1fe, &[0x55, 0xaa, 0xeb, 0x6a]);
        image.put(0x202, b"HdrS");
        image.put(0x206, &0x020fu16.to_le_bytes());
        image.put(0x211, &[1]);
        image.put(0x214, &0x10_0000u32.to_le_bytes());
        image.put(0x22c, &0x7fff_ffffu32.to_le_bytes());
        image.put(0x230, &0x20_0000u32.to_le_bytes());
        image.put(0x234, &[1]);
        image.put(0x236, &1u16.to_le_bytes());
        image.put(0x238, &2047u32.to_le_bytes());
        image.put(0x258, &PREF_ADDRESS.to_le_bytes());
        image.put(0x260, &INIT_SIZE.to_le_bytes());
        image
    }

    pub fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

/// Where the ELF sample is loaded, and what it does: `hlt`.
pub(super) const ELF_LOAD: u64 = 0x10_0000;
/// Offsets in the sample: its PVH note, its code.
pub(super) const ELF_NOTE: usize = 64 + 2 * 56;
pub(super) const ELF_CODE: usize = ELF_NOTE + 20;

/// An ELF kernel with a segment of `code` at 1 MiB, and a note segment with a PVH entry if asked for.
pub(super) fn elf(code: &[u8], pvh_entry: Option<u32>) -> Vec<u8> {
    let mut image = b"\x7fELF\x02\x01\x01".to_vec();
    image.resize(16, 0);
    image.extend(2u16.to_le_bytes()); // executable
    image.extend(62u16.to_le_bytes()); // x86-64
    image.extend(1u32.to_le_bytes());
    image.extend(ELF_LOAD.to_le_bytes()); // entry
    image.extend(64u64.to_le_bytes()); // program headers
    image.extend(0u64.to_le_bytes()); // section headers
    image.extend(0u32.to_le_bytes());
    for field in [64u16, 56, 2, 64, 0, 0] {
        image.extend(field.to_le_bytes());
    }
    let length = code.len() as u64;
    segment(&mut image, 1, ELF_CODE as u64, ELF_LOAD, length, length + 4096);
    segment(&mut image, if pvh_entry.is_some() { 4 } else { 0 }, ELF_NOTE as u64, 0, 20, 20);
    for field in [4, 4, 18, u32::from_le_bytes(*b"Xen\0"), pvh_entry.unwrap_or(0)] {
        image.extend(field.to_le_bytes());
    }
    image.extend(code);
    image
}

fn segment(image: &mut Vec<u8>, kind: u32, offset: u64, address: u64, file: u64, memory: u64) {
    image.extend(kind.to_le_bytes());
    image.extend(7u32.to_le_bytes());
    for field in [offset, address, address, file, memory, 4096] {
        image.extend(field.to_le_bytes());
    }
}
