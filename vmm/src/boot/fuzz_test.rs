//! Kernel images, command lines and initial RAM disks, mutated: each is loaded within the guest, or refused with its name.

use std::fs::File;

use linux_loader::bootparam::setup_header;
use vm_memory::{Bytes, GuestAddress};

use super::{
    BootRequest, Kernel, Loaded, Protocol, initrd, load, memory_map,
    samples::{BzImage, ELF_LOAD, MIB, RSDP, SampleFile, elf, memory},
};
use crate::fuzz_test::{Mutator, each};

/// Where headers end and what is only copied begins.
const HEADERS_BYTES: usize = 1024;

#[test]
fn an_image_is_loaded_or_refused_with_its_name() {
    let code = vec![0xf4; 64];
    let seeds = [BzImage::new().0, elf(&code, None), elf(&code, Some(ELF_LOAD as u32))];
    let headers = seeds.each_ref().map(|image| image[..image.len().min(HEADERS_BYTES)].to_vec());
    let memory = memory(32 * MIB);
    let (mut loaded, mut refused) = (0, 0);
    each(13, 2_000, &headers, |mutator, mut image| {
        let rest = &seeds[mutator.below(seeds.len())];
        image.extend_from_slice(&rest[rest.len().min(HEADERS_BYTES)..]);
        let file = SampleFile::new(&image);
        let kernel = Kernel::File(file.path.clone());
        let cmdline =
            String::from_utf8_lossy(&image[..mutator.below(image.len().min(4096) + 1)]).into_owned();
        let cmdline = if mutator.below(2) == 0 { "console=ttyS0" } else { &cmdline };
        match load(&memory, &BootRequest { kernel: &kernel, initrd: None, cmdline, rsdp: RSDP }) {
            Ok(_) => loaded += 1,
            Err(error) => {
                let said = error.to_string();
                assert!(said.len() < 8192, "{said}");
                refused += 1;
            }
        }
    });
    assert!(loaded > 0 && refused > 0, "{loaded} loaded, {refused} refused");
    // The memory is still the guest's.
    memory.write_obj(1_u8, GuestAddress(0)).unwrap();
}

/// A number at a limit of something, or near one.
fn telling(mutator: &mut Mutator) -> u64 {
    let limit = match mutator.below(4) {
        0 => 1 << mutator.below(64),
        1 => [0, u64::from(u32::MAX), i64::MAX as u64, u64::MAX][mutator.below(4)],
        _ => mutator.below(32 * MIB) as u64,
    };
    limit.wrapping_add(mutator.below(3) as u64).wrapping_sub(1)
}

/// Sizes of files that take no room on the disk, beside kernels whose ends and limits are as hostile.
#[test]
fn an_initrd_of_any_size_is_placed_in_what_is_left_or_refused_with_its_name() {
    const CONTENT: &[u8] = b"070701";
    let (mut placed, mut refused) = (0, 0);
    each(19, 400, &[CONTENT.to_vec()], |mutator, content| {
        let memory = memory(([1, 8, 32][mutator.below(3)]) * MIB);
        let file = SampleFile::new(&content);
        let sparse = File::options().write(true).open(&file.path).unwrap();
        // Not every file system has files of every size; then it is what it was.
        let _ = sparse.set_len(telling(mutator).max(content.len() as u64));
        let size = sparse.metadata().unwrap().len();
        let header = (mutator.below(2) == 0)
            .then(|| setup_header { initrd_addr_max: telling(mutator) as u32, ..setup_header::default() });
        // The end of a kernel that was loaded is one of an address in the guest.
        let end = telling(mutator).min(32 * MIB as u64);
        let kernel = Loaded { protocol: Protocol::Linux64, rip: 0, end, header };
        match initrd::load(&memory, &file.path, &kernel) {
            Ok(initrd::Initrd { start, size: loaded }) => {
                assert_eq!((loaded, start % 4096), (size, 0));
                assert!(start >= end, "{start:#x} is in the kernel, which ends at {end:#x}");
                assert!(start + size <= memory_map::low_memory_end(&memory));
                let most = header.map_or(u64::MAX, |header| u64::from(header.initrd_addr_max));
                assert!(start + size - 1 <= most, "{start:#x} + {size:#x} is beyond {most:#x}");
                let mut first = vec![0; content.len()];
                memory.read_slice(&mut first, GuestAddress(start)).unwrap();
                assert_eq!(first, content);
                placed += 1;
            }
            Err(error) => {
                let said = error.to_string();
                assert!(said.len() < 1024 && said.contains(file.path.to_str().unwrap()), "{said}");
                refused += 1;
            }
        }
    });
    assert!(placed > 0 && refused > 0, "{placed} placed, {refused} refused");
}
