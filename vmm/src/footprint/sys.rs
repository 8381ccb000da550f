//! The mappings of the program and its libraries, from the loader's list of them.

use std::ptr;

use godwit_migration::limits::PAGE_BYTES;

/// Has the host unmap what the process has read of its program and libraries up to now: it comes back from the page cache
/// where it is used again, and what only the start used stays out. Only segments that cannot be written to, so nothing
/// is lost. Advice only.
pub(crate) fn forget_program() {
    unsafe extern "C" fn forget(
        object: *mut libc::dl_phdr_info,
        _: libc::size_t,
        _: *mut libc::c_void,
    ) -> libc::c_int {
        // SAFETY: the loader hands out a valid object with as many headers as it says.
        let (object, headers) = unsafe {
            let object = &*object;
            (object.dlpi_addr, std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()))
        };
        let read_only = headers.iter().filter(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_W == 0);
        for header in read_only {
            let page = PAGE_BYTES as u64 - 1;
            let (start, end) = ((object + header.p_vaddr) & !page, object + header.p_vaddr + header.p_memsz);
            // SAFETY: the segment is a private mapping of a file that nobody has written to through it; the pages are
            // what they were when they are mapped again.
            unsafe { libc::madvise(start as *mut libc::c_void, (end - start) as usize, libc::MADV_DONTNEED) };
        }
        0
    }
    // SAFETY: the callback takes what the loader gives, and keeps nothing.
    unsafe { libc::dl_iterate_phdr(Some(forget), ptr::null_mut()) };
}
