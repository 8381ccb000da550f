//! Kernel images and command lines, mutated: each is loaded within the guest, or refused with its name.

use vm_memory::{Bytes, GuestAddress};

use super::{
    BootRequest, Kernel, load,
    samples::{BzImage, ELF_LOAD, MIB, RSDP, SampleFile, elf, memory},
};
use crate::fuzz_test::each;

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
