//! What can be an image, and what its bytes become.

use std::{
    fs,
    os::unix::{fs::FileExt, net::UnixListener},
};

use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::{tempdir::TempDir, tempfile::TempFile};

use super::{
    config::{DiskConfig, ImageType},
    image::Image,
    request::Range,
    sys::Way,
};
use crate::GuestMemory;

fn file(bytes: u64) -> TempFile {
    let file = TempFile::new().unwrap();
    file.as_file().set_len(bytes).unwrap();
    file
}

fn refused(config: &DiskConfig) -> String {
    Image::open(config).unwrap_err().to_string()
}

#[test]
fn what_is_no_image_is_refused_in_words() {
    let folder = TempDir::new().unwrap();
    assert!(refused(&DiskConfig::new(folder.as_path())).contains("is neither a file nor a block device"));
    let socket = folder.as_path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    assert!(refused(&DiskConfig::new(socket)).contains("is neither a file nor a block device"));
    let missing = refused(&DiskConfig::new(folder.as_path().join("missing")));
    assert!(missing.contains("missing' cannot be opened: No such file"), "{missing}");
    assert!(
        refused(&DiskConfig::new(file(511).as_path()))
            .contains("has 511 bytes, which is not one block of 512")
    );
}

#[test]
fn an_image_of_another_format_is_refused_by_name_unless_it_is_said_to_be_raw() {
    let file = file(4096);
    file.as_file().write_all_at(b"QFI\xfb\0\0\0\x03", 0).unwrap();
    let mut config = DiskConfig::new(file.as_path());
    let words = refused(&config);
    assert!(words.contains("is a qcow2 image") && words.contains("qemu-img convert -O raw"), "{words}");
    config.image_type = Some(ImageType::Raw);
    assert_eq!(Image::open(&config).unwrap().sectors(), 8);
}

#[test]
fn what_is_left_of_the_last_block_is_not_used() {
    assert_eq!(Image::open(&DiskConfig::new(file(1_023).as_path())).unwrap().sectors(), 1);
}

#[test]
fn bytes_go_both_ways_also_where_direct_io_needs_a_copy() {
    let memory = GuestMemory::from_ranges(&[(GuestAddress(0), 8 << 20)]).unwrap();
    // In a folder of the build, since not every file system of temporary files knows direct I/O.
    let folder = TempDir::new_in(env!("CARGO_MANIFEST_DIR").as_ref()).unwrap();
    let path = folder.as_path().join("image");
    let bytes: Vec<u8> = (0..4_u32 << 20).map(|at| (at / 512 + at) as u8).collect();
    for direct in [false, true] {
        fs::write(&path, vec![0; 4 << 20]).unwrap();
        let image = match Image::open(&DiskConfig { direct, ..DiskConfig::new(&path) }) {
            Err(error) if direct => return println!("no direct I/O here: {error}"),
            image => image.unwrap(),
        };
        // Three portions and a bit, in ranges of odd lengths at odd places.
        let total = (3 << 20) + 4096;
        let ranges = [(3, 1_000_001), (1_500_000, 2_000_000), (5_000_000, total - 3_000_001)];
        let ranges = ranges.map(|(at, len)| Range { at: GuestAddress(at), len });
        let mut rest = &bytes[..total];
        for Range { at, len } in ranges {
            memory.write_slice(&rest[..len], at).unwrap();
            rest = &rest[len..];
        }
        image.transfer(Way::Write, 8, &memory, &ranges).unwrap();
        image.flush().unwrap();
        let found = fs::read(&path).unwrap();
        assert!(found[4096..4096 + total] == bytes[..total], "direct: {direct}");
        assert!(found[..4096].iter().chain(&found[4096 + total..]).all(|byte| *byte == 0));

        memory.write_slice(&vec![0; 8 << 20], GuestAddress(0)).unwrap();
        image.transfer(Way::Read, 8, &memory, &ranges).unwrap();
        let mut read = Vec::new();
        for Range { at, len } in ranges {
            let mut part = vec![0; len];
            memory.read_slice(&mut part, at).unwrap();
            read.extend(part);
        }
        assert!(read == bytes[..total], "direct: {direct}");
    }
}

#[test]
fn zeroes_and_holes_read_as_zeroes_and_leave_the_size() {
    for unmap in [false, true] {
        let file = file(64 << 10);
        file.as_file().write_all_at(&[0xaa; 64 << 10], 0).unwrap();
        let image = Image::open(&DiskConfig::new(file.as_path())).unwrap();
        image.write_zeroes(9, 16, unmap).unwrap();
        let found = fs::read(file.as_path()).unwrap();
        let zero = 9 * 512..25 * 512;
        assert_eq!(found.len(), 64 << 10);
        assert!(found[zero.clone()].iter().all(|byte| *byte == 0));
        assert!(found[..zero.start].iter().chain(&found[zero.end..]).all(|byte| *byte == 0xaa));
        image.discard(32, 64).unwrap();
        assert_eq!(fs::metadata(file.as_path()).unwrap().len(), 64 << 10);
    }
}

#[test]
fn a_disk_grows_and_never_shrinks() {
    let file = file(8192);
    let image = Image::open(&DiskConfig::new(file.as_path())).unwrap();
    for (bytes, words) in [(4096, "can only grow"), (8193, "not a whole number of blocks")] {
        assert!(image.resize(Some(bytes)).unwrap_err().to_string().contains(words));
        assert_eq!(image.sectors(), 16);
    }
    image.resize(Some(16384)).unwrap();
    assert_eq!((image.sectors(), fs::metadata(file.as_path()).unwrap().len()), (32, 16384));
    file.as_file().set_len(32768).unwrap();
    image.resize(None).unwrap();
    assert_eq!(image.sectors(), 64);
    let reader = Image::open(&DiskConfig { readonly: true, ..DiskConfig::new(file.as_path()) }).unwrap();
    assert!(reader.resize(Some(65536)).unwrap_err().to_string().contains("only a file that can be written"));
}
