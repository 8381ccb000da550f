//! The PVH entry is found among other notes, and notes that break the format are told apart from none.

use proptest::prelude::*;

use super::notes::{Malformed, pvh_entry};

fn note(name: &[u8], description: &[u8], kind: u32, alignment: usize) -> Vec<u8> {
    let mut note = Vec::new();
    for field in [name.len() as u32, description.len() as u32, kind] {
        note.extend(field.to_le_bytes());
    }
    for part in [name, description] {
        note.extend(part);
        note.resize(note.len().next_multiple_of(alignment), 0);
    }
    note
}

#[test]
fn the_entry_is_found_after_other_notes() {
    let entry = note(b"Xen\0", &0x100_0000u32.to_le_bytes(), 18, 4);
    let others =
        [note(b"GNU\0", &[1; 20], 3, 4), note(b"Xen\0", b"linux\0", 6, 4), note(b"Linux\0", &[7], 18, 4)];
    assert_eq!(pvh_entry(&[others.concat(), entry].concat(), 4), Ok(Some(0x100_0000)));
    assert_eq!(pvh_entry(&others.concat(), 4), Ok(None));
    assert_eq!(pvh_entry(&[], 4), Ok(None));
}

#[test]
fn an_entry_of_64_bits_counts_by_its_lower_half() {
    let entry = note(b"Xen\0", &0x10_0000u64.to_le_bytes(), 18, 4);
    assert_eq!(pvh_entry(&entry, 4), Ok(Some(0x10_0000)));
}

#[test]
fn parts_can_be_padded_to_8_bytes() {
    let first = note(b"GNU\0", &[1; 12], 5, 8);
    // A name of 4 bytes ends at offset 16 of its note either way, a description of 12 does not.
    let notes = [first, note(b"Xen\0", &1u32.to_le_bytes(), 18, 8)].concat();
    assert_eq!(pvh_entry(&notes, 8), Ok(Some(1)));
}

#[test]
fn notes_beyond_their_segment_are_malformed() {
    let entry = note(b"Xen\0", &1u32.to_le_bytes(), 18, 4);
    for length in 12..entry.len() {
        assert_eq!(pvh_entry(&entry[..length], 4), Err(Malformed), "{length}");
    }
    assert_eq!(pvh_entry(&note(b"Xen\0", &[1, 2, 3], 18, 4)[..19], 4), Err(Malformed));
}

proptest! {
    #[test]
    fn any_bytes_end_in_an_answer(notes in proptest::collection::vec(any::<u8>(), 0..200), wide in any::<bool>()) {
        let _answer = pvh_entry(&notes, if wide { 8 } else { 4 });
    }
}
