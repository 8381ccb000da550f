//! What is served at once, and what is left to a thread.

use std::{fs, time::Instant};

use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::tempfile::TempFile;

use super::{
    DiskConfig,
    image::Image,
    request::{Kind, Range, Request},
    sys::Way,
    tally::Moved,
    work::{Done, serve_at_once},
};
use crate::GuestMemory;

const DATA: GuestAddress = GuestAddress(0x1000);
const STATUS: GuestAddress = GuestAddress(0x100);

/// Serves a request of an image that was written a moment ago, and so is in the page cache.
fn at_once(kind: Kind) -> (Option<Done>, Image, GuestMemory) {
    let file = TempFile::new().unwrap();
    fs::write(file.as_path(), [0xab; 8192]).unwrap();
    let image = Image::open(&DiskConfig::new(file.as_path())).unwrap();
    let memory = GuestMemory::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
    memory.write_obj(0x55_u8, STATUS).unwrap();
    let request = Request { head: 3, kind, status: STATUS, writable: 513, since: Instant::now() };
    let done = serve_at_once(&request, &image, &memory);
    (done, image, memory)
}

fn data() -> Vec<Range> {
    vec![Range { at: DATA, len: 512 }]
}

#[test]
fn what_is_in_the_page_cache_is_read_at_once() {
    let (done, image, memory) = at_once(Kind::Read { sector: 1, into: data() });
    if !image.tells_what_is_cached() {
        // A file system that cannot tell what it has; then nothing is done.
        assert_eq!(done, None);
        return;
    }
    let done = done.expect("it is in the page cache");
    let Done { head: 3, written: 513, moved: Some(Moved { way: Way::Read, bytes: 512, .. }) } = done else {
        panic!("{done:?}");
    };
    assert_eq!(memory.read_obj::<u8>(STATUS).unwrap(), 0);
    let mut read = [0; 512];
    memory.read_slice(&mut read, DATA).unwrap();
    assert_eq!(read, [0xab; 512]);
}

#[test]
fn all_else_is_left_as_it_is() {
    let cases = [
        Kind::Write { sector: 0, from: data() },
        Kind::Flush,
        Kind::Identify { into: data() },
        Kind::Read { sector: 16, into: data() },
        Kind::Read { sector: u64::MAX, into: data() },
        Kind::Malformed,
    ];
    for kind in cases {
        let (done, _, memory) = at_once(kind.clone());
        assert_eq!(done, None, "{kind:?}");
        assert_eq!(memory.read_obj::<u8>(STATUS).unwrap(), 0x55, "{kind:?}");
    }
}
