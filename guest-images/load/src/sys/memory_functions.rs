//! The memory functions that compiled code calls and that no C library provides here.
//!
//! They use the processor's string instructions, which copy a page at the speed of memory.

use core::arch::asm;

/// C's `memcpy`.
///
/// # Safety
/// As C's: both regions are valid for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller vouches for both regions.
    unsafe { asm!("rep movsb", inout("rdi") to => _, inout("rsi") from => _, inout("rcx") count => _) };
    to
}

/// C's `memmove`.
///
/// # Safety
/// As C's: both regions are valid for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= count {
        // SAFETY: the caller vouches for the regions, and a forward copy reads each byte before it is written.
        return unsafe { memcpy(to, from, count) };
    }
    // SAFETY: the caller vouches for the regions; backwards, each byte is read before it is written.
    unsafe {
        asm!("std", "rep movsb", "cld",
            inout("rdi") to.wrapping_add(count).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(count).wrapping_sub(1) => _,
            inout("rcx") count => _);
    }
    to
}

/// C's `memset`.
///
/// # Safety
/// As C's: the region is valid for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: i32, count: usize) -> *mut u8 {
    // SAFETY: the caller vouches for the region.
    unsafe { asm!("rep stosb", inout("rdi") to => _, in("al") value as u8, inout("rcx") count => _) };
    to
}

/// C's `memcmp`.
///
/// # Safety
/// As C's: both regions are valid for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    let mut at = 0;
    while at + 8 <= count {
        // SAFETY: the caller vouches for `count` bytes of both regions.
        let (a, b) = unsafe {
            (left.add(at).cast::<u64>().read_unaligned(), right.add(at).cast::<u64>().read_unaligned())
        };
        if a != b {
            return if a.swap_bytes() < b.swap_bytes() { -1 } else { 1 };
        }
        at += 8;
    }
    while at < count {
        // SAFETY: as above.
        let (a, b) = unsafe { (left.add(at).read(), right.add(at).read()) };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
        at += 1;
    }
    0
}

/// C's `bcmp`.
///
/// # Safety
/// As C's: both regions are valid for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    // SAFETY: the caller vouches for both regions.
    unsafe { memcmp(left, right, count) }
}
