//! The ELF kernel: entered as its PVH note says, else at the 64-bit Linux entry.
//!
//! Specifications: ELF-64, and Xen's docs/misc/pvh.pandoc for the note. Every field is checked before it is used, since
//! every file is suspect. Neighbours: `notes` finds the PVH entry.

use std::io::SeekFrom;
use std::mem::size_of;

use linux_loader::elf::{EM_X86_64, Elf64_Ehdr, Elf64_Phdr, PT_INTERP, PT_LOAD, PT_NOTE};
use vm_memory::{ByteValued, Bytes, GuestAddress};

use super::image::{Image, Source, machine_name};
use super::layout::HIGH_MEMORY_START;
use super::{BootError, GuestMemory, Loaded, Protocol, Role, notes};

/// Place of the class (32 or 64 bits) in `e_ident`.
const CLASS: usize = 4;
const CLASS_64: u8 = 2;
/// Place of the byte order in `e_ident`.
const DATA: usize = 5;
const LITTLE_ENDIAN: u8 = 1;
/// Most program headers of a kernel; Linux has five.
const MAX_PROGRAM_HEADERS: u16 = 64;

/// Largest segment of notes that is looked at; Linux's has 512 bytes.
const MAX_NOTE_BYTES: u64 = 64 << 10;

/// Checks and loads `image`, which has the magic number of an ELF file.
pub(super) fn load<S: Source>(memory: &GuestMemory, image: &mut Image<S>) -> Result<Loaded, BootError> {
    let header = read_header(image)?;
    let segments = read_segments(image, &header)?;
    let end = check_loaded(image, loaded(&segments))?;
    super::require_room(memory, &image.name, end)?;
    let (protocol, rip) = match pvh_entry(image, &segments)? {
        Some(entry) => (Protocol::Pvh, u64::from(entry)),
        None => (Protocol::Linux64, header.e_entry),
    };
    if !loaded(&segments).any(|s| (s.p_paddr..s.p_paddr + s.p_filesz).contains(&rip)) {
        return Err(image.damaged(format!("its entry {rip:#x} is outside everything that it loads")));
    }
    for segment in loaded(&segments) {
        copy(memory, image, segment)?;
    }
    Ok(Loaded { protocol, rip, end, header: None })
}

fn loaded(segments: &[Elf64_Phdr]) -> impl Iterator<Item = &Elf64_Phdr> {
    segments.iter().filter(|s| s.p_type == PT_LOAD)
}

/// Copies what the file has of `segment`; the rest of it is zero, as fresh memory is.
fn copy<S: Source>(
    memory: &GuestMemory,
    image: &mut Image<S>,
    segment: &Elf64_Phdr,
) -> Result<(), BootError> {
    image.source.seek(SeekFrom::Start(segment.p_offset)).map_err(|e| image.unreadable(Role::Kernel, &e))?;
    memory
        .read_exact_volatile_from(GuestAddress(segment.p_paddr), &mut image.source, segment.p_filesz as usize)
        .map_err(|e| image.unreadable(Role::Kernel, &e))
}

/// The entry in the first note segment that has one.
fn pvh_entry<S: Source>(image: &mut Image<S>, segments: &[Elf64_Phdr]) -> Result<Option<u32>, BootError> {
    for segment in segments.iter().filter(|s| s.p_type == PT_NOTE) {
        if segment.p_filesz > MAX_NOTE_BYTES {
            return Err(
                image.damaged(format!("it has {} bytes of notes, over {MAX_NOTE_BYTES}", segment.p_filesz))
            );
        }
        let notes = image.read(segment.p_offset, segment.p_filesz)?;
        let alignment = if segment.p_align == 8 { 8 } else { 4 };
        let entry = notes::pvh_entry(&notes, alignment)
            .map_err(|notes::Malformed| image.damaged("its notes do not follow the format"))?;
        if entry.is_some() {
            return Ok(entry);
        }
    }
    Ok(None)
}

fn read_header<S: Source>(image: &mut Image<S>) -> Result<Elf64_Ehdr, BootError> {
    image.require(size_of::<Elf64_Ehdr>() as u64)?;
    let bytes = image.read(0, size_of::<Elf64_Ehdr>() as u64)?;
    let mut header = Elf64_Ehdr::default();
    header.as_mut_slice().copy_from_slice(&bytes);

    let wrong = |found: String| BootError::WrongArchitecture { name: image.name.clone(), found };
    if header.e_ident[DATA] != LITTLE_ENDIAN {
        return Err(wrong("a big-endian architecture".into()));
    }
    if header.e_machine != EM_X86_64 {
        return Err(wrong(machine_name(header.e_machine)));
    }
    if header.e_ident[CLASS] != CLASS_64 {
        return Err(wrong("32-bit programs on x86-64 (x32)".into()));
    }
    Ok(header)
}

/// The segments, after a check that the whole file is there.
fn read_segments<S: Source>(image: &mut Image<S>, header: &Elf64_Ehdr) -> Result<Vec<Elf64_Phdr>, BootError> {
    let (count, size) = (header.e_phnum, size_of::<Elf64_Phdr>());
    if count == 0 || usize::from(header.e_phentsize) != size {
        return Err(BootError::NotAKernel {
            name: image.name.clone(),
            reason: "it is an ELF file without program headers, as object files are".into(),
        });
    }
    if count > MAX_PROGRAM_HEADERS {
        return Err(image.damaged(format!("it has {count} program headers, over {MAX_PROGRAM_HEADERS}")));
    }
    require_range(image, header.e_phoff, u64::from(count) * size as u64)?;
    require_range(image, header.e_shoff, u64::from(header.e_shnum) * u64::from(header.e_shentsize))?;

    let bytes = image.read(header.e_phoff, u64::from(count) * size as u64)?;
    let mut segments = Vec::new();
    for chunk in bytes.chunks_exact(size) {
        let mut segment = Elf64_Phdr::default();
        segment.as_mut_slice().copy_from_slice(chunk);
        require_range(image, segment.p_offset, segment.p_filesz)?;
        if segment.p_type == PT_INTERP {
            return Err(BootError::NotAKernel {
                name: image.name.clone(),
                reason: "it is a program that needs an operating system".into(),
            });
        }
        segments.push(segment);
    }
    Ok(segments)
}

/// Checks where the segments go, and returns the end of the memory that they need.
fn check_loaded<'a, S: Source>(
    image: &Image<S>,
    segments: impl Iterator<Item = &'a Elf64_Phdr>,
) -> Result<u64, BootError> {
    let mut end = 0;
    for segment in segments {
        let start = segment.p_paddr;
        if segment.p_filesz > segment.p_memsz {
            return Err(
                image.damaged(format!("its segment at {start:#x} is larger in the file than in memory"))
            );
        }
        let segment_end = start
            .checked_add(segment.p_memsz)
            .ok_or_else(|| image.damaged(format!("its segment at {start:#x} ends beyond 64 bits")))?;
        if start < HIGH_MEMORY_START {
            return Err(image.damaged(format!("its segment at {start:#x} is below 1 MiB")));
        }
        end = end.max(segment_end);
    }
    Ok(end)
}

fn require_range<S: Source>(image: &Image<S>, offset: u64, count: u64) -> Result<(), BootError> {
    let end = offset
        .checked_add(count)
        .ok_or_else(|| image.damaged(format!("its header points to byte {offset:#x}, beyond 64 bits")))?;
    image.require(end)
}
