//! What comes along into the nested host, and under which name.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Bring,
    image::{libraries, parse_ldd, script},
};

#[test]
fn a_file_goes_to_the_work_folder_or_where_it_is_told() {
    let bring: Bring = "target/debug/godwit".parse().unwrap();
    assert_eq!(bring.destination, Path::new("/work/godwit"));
    let bring: Bring = "a:b/c:/bin/d".parse().unwrap();
    assert_eq!((bring.source, bring.destination), (PathBuf::from("a:b/c"), PathBuf::from("/bin/d")));
    assert!("..".parse::<Bring>().unwrap_err().to_string().contains("'..'"));
}

#[test]
fn a_command_arrives_word_for_word() {
    let words = ["printf", "%s|", "a b", "it's", "$HOME", "", "*", "\n"].map(str::to_owned);
    let said = Command::new("sh").args(["-c", &script(&words)]).output().unwrap();
    assert_eq!(String::from_utf8(said.stdout).unwrap(), "a b|it's|$HOME||*|\n|");
}

#[test]
fn libraries_are_found_and_missing_ones_named() {
    let text = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x00007f)\n\t/lib64/ld.so.2 (0x01)\n";
    assert_eq!(parse_ldd(text).unwrap(), [Path::new("/lib/x/libc.so.6"), Path::new("/lib64/ld.so.2")]);
    assert!(parse_ldd("\tstatically linked\n").unwrap().is_empty());
    let error = parse_ldd("\tlibodd.so.1 => not found\n").unwrap_err();
    assert!(error.to_string().contains("libodd.so.1"));
}

#[test]
fn only_programs_have_libraries() {
    assert!(libraries(Path::new(env!("CARGO_MANIFEST_PATH"))).unwrap().is_empty());
    let this = std::env::current_exe().unwrap();
    assert!(libraries(&this).unwrap().iter().any(|library| library.to_string_lossy().contains("libc.so")));
}
