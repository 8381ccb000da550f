//! A kernel is named on the command line, in requests and in answers by the same words.

use super::Kernel;

#[test]
fn a_kernel_is_a_file_or_the_builtin_guest() {
    let builtin: Kernel = "builtin:load".parse().unwrap();
    assert!(matches!(builtin, Kernel::Builtin(elf) if elf.starts_with(b"\x7fELF")));
    assert_eq!("/boot/vmlinuz".parse(), Ok(Kernel::File("/boot/vmlinuz".into())));
    assert_eq!(
        "builtin:laod".parse::<Kernel>().unwrap_err(),
        "there is no builtin guest 'laod'; there is builtin:load"
    );
    assert!("".parse::<Kernel>().is_err());
}

#[test]
fn its_name_in_json_is_what_was_given() {
    for name in ["\"builtin:load\"", "\"/boot/vmlinuz\""] {
        let kernel: Kernel = serde_json::from_str(name).unwrap();
        assert_eq!(serde_json::to_string(&kernel).unwrap(), name);
    }
    let error = serde_json::from_str::<Kernel>("\"builtin:x\"").unwrap_err();
    assert!(error.to_string().contains("no builtin guest 'x'"), "{error}");
}
