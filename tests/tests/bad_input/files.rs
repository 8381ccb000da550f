//! Kernels and initrds that cannot be booted.

use std::fs::File;

use godwit_tests::{
    program::{alone, has, run},
    site::{Site, text},
};
use guest_images::LOAD_ELF;

/// Where an ELF file says what machine it is for.
const ELF_MACHINE: usize = 18;

fn kernel(path: &str) -> String {
    run(&["run", "--memory", "64M", "--kernel", path]).sentence().to_owned()
}

#[test]
fn a_kernel_that_is_not_there_or_no_file() {
    let _turn = alone();
    let site = Site::open();
    has(&kernel("no/such/kernel"), &["kernel 'no/such/kernel'", "No such file", "--kernel"]);
    has(&kernel(&text(&site.file(""))), &["is not a regular file", "--kernel"]);
    has(run(&["run", "--kernel", "builtin:nothing"]).usage(), &["builtin:load", "nothing"]);
    has(run(&["run"]).usage(), &["--kernel"]);
}

#[test]
fn a_kernel_that_is_empty_or_cut() {
    let _turn = alone();
    let site = Site::open();
    has(&kernel(&site.holding("empty", b"")), &["empty", "is empty", "again"]);
    for length in [100, 0x1000, LOAD_ELF.len() - 1] {
        let said = kernel(&site.holding("cut", &LOAD_ELF[..length]));
        has(&said, &["cut", "truncated", &format!("it has {length} bytes"), "again"]);
    }
}

#[test]
fn a_kernel_for_another_machine() {
    let _turn = alone();
    let site = Site::open();
    let mut elf = LOAD_ELF.to_vec();
    elf[ELF_MACHINE] = 183;
    has(&kernel(&site.holding("arm", &elf)), &["arm", "arm64", "x86-64"]);
    // The header of an arm64 Image.
    let mut image = vec![0; 4096];
    image[56..60].copy_from_slice(b"ARM\x64");
    has(&kernel(&site.holding("image", &image)), &["image", "x86-64"]);
}

#[test]
fn a_kernel_that_is_none() {
    let _turn = alone();
    let site = Site::open();
    has(&kernel(&site.holding("text", &[b'x'; 10_000])), &["text", "is not a kernel", "bzImage or vmlinux"]);
    has(&kernel(&site.holding("short", b"MZ")), &["short"]);
}

#[test]
fn an_initrd_that_is_not_there_or_larger_than_memory() {
    let _turn = alone();
    let site = Site::open();
    let boot = |initrd: &str| {
        let ended = run(&["run", "--kernel", "builtin:load", "--memory", "64M", "--initrd", initrd]);
        ended.sentence().to_owned()
    };
    has(&boot("no/such/initrd"), &["initrd 'no/such/initrd'", "--initrd"]);
    let large = site.holding("large", b"");
    File::options().write(true).open(&large).unwrap().set_len(65 << 20).unwrap();
    has(&boot(&large), &["large", "68157440 bytes", "does not fit", "--memory"]);
}

#[test]
fn a_command_line_that_is_too_long() {
    let _turn = alone();
    let long = "x".repeat(10_000);
    let ended = run(&["run", "--kernel", "builtin:load", "--memory", "64M", "--cmdline", &long]);
    has(ended.sentence(), &["10000 bytes", "--cmdline"]);
}

#[test]
fn a_state_directory_that_is_not_there_or_has_nothing_open() {
    let site = Site::open();
    let missing = text(&site.file("missing"));
    let resolve = |dir: &str| run(&["resolve", "--state-dir", dir, "--keep"]);
    has(resolve(&missing).sentence(), &["there is no state directory", &missing]);
    assert!(!site.file("missing").exists(), "looking makes nothing");
    has(resolve(&text(&site.file(""))).sentence(), &["there is nothing to resolve in"]);
}
