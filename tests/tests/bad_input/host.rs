//! Hosts that have no KVM to give.
//!
//! The program runs in a mount namespace of its own, whose /dev is empty but for what a case puts there.

use std::process::Command;

use godwit_tests::program::{Ended, PROMPT, Program, alone, godwit, has};

/// Runs `godwit ARGUMENTS` with a /dev that `prepare` has filled; `become` goes in front of the program.
fn on_a_host(prepare: &str, r#become: &str, arguments: &str) -> Ended {
    let script = format!(
        "mount -t tmpfs -o mode=755 none /dev && {{ cat <&3 >/dev/godwit; chmod 755 /dev/godwit; {prepare}; }} && \
         exec {become} /dev/godwit {arguments}"
    );
    let outer = format!("exec unshare --mount sh -c '{script}' 3<\"$1\"");
    let mut command = Command::new("sh");
    Program::start("godwit on another host", command.args(["-c", &outer, "sh"]).arg(godwit())).end(PROMPT)
}

const RUN: &str = "run --kernel builtin:load --memory 64M";

#[test]
fn no_kvm() {
    let _turn = alone();
    has(on_a_host("true", "", RUN).sentence(), &["/dev/kvm", "modprobe"]);
}

#[test]
fn kvm_that_is_not_ours() {
    let _turn = alone();
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    let said = on_a_host("mknod -m 660 /dev/kvm c 10 232", nobody, RUN);
    has(said.sentence(), &["/dev/kvm", "group", "kvm"]);
}

#[test]
fn kvm_that_is_something_else() {
    let _turn = alone();
    has(on_a_host("mknod -m 666 /dev/kvm c 1 3", "", RUN).sentence(), &["/dev/kvm"]);
}
