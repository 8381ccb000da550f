//! A generation is random, stands where the guest looks, and changes only when it is told to.

use godwit_state::Save;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, bitmap::Bitmap};

use crate::{Generation, GuestMemory};

const AT: GuestAddress = GuestAddress(0x5000);

fn memory() -> GuestMemory {
    GuestMemory::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap()
}

fn seen(memory: &GuestMemory) -> [u8; 16] {
    memory.read_obj(AT).unwrap()
}

#[test]
fn a_new_generation_is_another_and_its_page_is_told() {
    let memory = memory();
    let mut generation = Generation::new("vmgenid", memory.clone(), AT);
    generation.renew().unwrap();
    let first = seen(&memory);
    assert_eq!(generation.id(), first);
    let bitmap = memory.find_region(AT).unwrap().get_mmap();
    assert!(bitmap.bitmap().dirty_at(AT.0 as usize));
    generation.renew().unwrap();
    assert_ne!(seen(&memory), first);
    assert_ne!(first, [0; 16]);
}

#[test]
fn a_move_keeps_it() {
    let memory = memory();
    let mut source = Generation::new("vmgenid", memory.clone(), AT);
    source.renew().unwrap();
    let before = seen(&memory);
    let mut target = Generation::new("vmgenid", memory.clone(), AT);
    target.restore(&source.save().unwrap()).unwrap();
    assert_eq!((target.id(), seen(&memory)), (before, before));
    // What restores a copy of it.
    target.renew().unwrap();
    assert_ne!(seen(&memory), before);
    assert_eq!(target.save().unwrap().id, seen(&memory));
}

#[test]
fn a_place_that_is_no_memory_is_an_error() {
    let mut generation = Generation::new("vmgenid", memory(), GuestAddress(1 << 20));
    let error = generation.renew().unwrap_err().to_string();
    assert!(error.starts_with("the guest's generation has no place in its memory: "), "{error}");
    assert_eq!(generation.id(), [0; 16]);
}
