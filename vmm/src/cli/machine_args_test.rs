//! Which kernels `--kernel` takes.

use crate::boot::Kernel;

use super::machine_args::parse_kernel;

#[test]
fn the_builtin_guest_is_named_and_everything_else_is_a_file() {
    assert!(matches!(parse_kernel("builtin:load"), Ok(Kernel::Builtin(elf)) if elf.starts_with(b"\x7fELF")));
    assert_eq!(parse_kernel("/boot/vmlinuz"), Ok(Kernel::File("/boot/vmlinuz".into())));
    assert_eq!(
        parse_kernel("builtin:laod").unwrap_err(),
        "there is no builtin guest 'laod'; there is builtin:load"
    );
    assert!(parse_kernel("").is_err());
}
