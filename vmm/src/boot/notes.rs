//! The notes of an ELF kernel: where its PVH entry is, if it has one.
//!
//! Specifications: ELF, "Note Section"; Xen, public/elfnote.h. Our own, since linux-loader looks at the last note
//! segment only and linkers make several.

/// `XEN_ELFNOTE_PHYS32_ENTRY`: the physical address of the 32-bit entry.
const PHYS32_ENTRY: u32 = 18;
/// Owner of the note, with its NUL.
const OWNER: &[u8] = b"Xen\0";
/// Three words: sizes of name and description, type.
const HEADER_BYTES: usize = 12;

/// The PVH entry in a segment of `notes`, each of whose notes and descriptions begins at a multiple of `alignment`.
///
/// `Err` when a note reaches beyond the segment or the entry has no 32-bit address.
pub(super) fn pvh_entry(mut notes: &[u8], alignment: usize) -> Result<Option<u32>, Malformed> {
    // Less than a header at the end is padding.
    while notes.len() >= HEADER_BYTES {
        let [name_bytes, description_bytes, kind] = [0, 4, 8].map(|at| word(&notes[at..]));
        let name_end = HEADER_BYTES + name_bytes.ok_or(Malformed)? as usize;
        let description = name_end.next_multiple_of(alignment);
        let end = description + description_bytes.ok_or(Malformed)? as usize;
        let name = notes.get(HEADER_BYTES..name_end).ok_or(Malformed)?;
        let description = notes.get(description..end).ok_or(Malformed)?;
        if kind == Some(PHYS32_ENTRY) && name == OWNER {
            return word(description).ok_or(Malformed).map(Some);
        }
        // The last note may lack its padding.
        notes = notes.get(end.next_multiple_of(alignment)..).unwrap_or_default();
    }
    Ok(None)
}

/// The notes do not follow the format.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

fn word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|word| u32::from_le_bytes(*word))
}
