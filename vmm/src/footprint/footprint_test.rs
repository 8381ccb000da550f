//! The program gets smaller, and still has all it had.

use std::{fs::File, hint::black_box, os::unix::fs::FileExt};

use super::forget_program;

/// Constants of the program. Far more than the host maps at once around a page that another test touches.
static CONSTANTS: [u8; 512 << 10] = [7; 512 << 10];

/// Whether the page of `byte` is mapped in this process.
fn is_mapped(byte: &u8) -> bool {
    let mut word = [0; 8];
    let at = std::ptr::from_ref(byte) as u64 / 4096 * 8;
    File::open("/proc/self/pagemap").unwrap().read_exact_at(&mut word, at).unwrap();
    u64::from_le_bytes(word) >> 63 == 1
}

#[test]
fn what_was_read_of_the_program_is_unmapped_and_comes_back_when_it_is_used() {
    let middle = &CONSTANTS[256 << 10];
    assert_eq!(*black_box(middle), 7);
    assert!(is_mapped(middle));
    forget_program();
    assert!(!is_mapped(middle));
    assert_eq!(*black_box(middle), 7);
}
