//! The host's random numbers: getrandom(2).

use std::io;

/// Fills `bytes` from the kernel's generator. Blocks only before the host itself has gathered entropy after its boot.
///
/// # Errors
/// What getrandom(2) said; an interruption is not an error.
pub fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        // SAFETY: getrandom writes at most `rest.len()` bytes to `rest`, which is ours alone.
        let filled = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(filled) {
            Ok(filled) => rest = &mut rest[filled..],
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
    Ok(())
}
