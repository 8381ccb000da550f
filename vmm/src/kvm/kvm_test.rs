//! A host without KVM says what to do; a structure of KVM's API comes back from its bytes, and from no others.

use std::io;

use kvm_bindings::{kvm_irqchip, kvm_regs};

use super::{Plain, unopened};

#[test]
fn each_way_of_having_no_kvm_says_what_to_do() {
    let sentence = |errno| unopened(io::Error::from_raw_os_error(errno)).to_string();
    assert!(sentence(libc::ENOENT).contains("/dev/kvm does not exist: load the module"));
    assert!(sentence(libc::EACCES).contains("join the group"));
    assert!(sentence(libc::ENODEV).contains("load the module"));
}

#[test]
fn a_structure_comes_back_from_exactly_its_bytes() {
    let regs = Plain(kvm_regs { rax: 1, rflags: u64::MAX, ..Default::default() });
    let bytes = postcard::to_stdvec(&regs).unwrap();
    assert_eq!(postcard::from_bytes::<Plain<kvm_regs>>(&bytes).unwrap().0, regs.0);
    assert!(postcard::from_bytes::<Plain<kvm_irqchip>>(&bytes).is_err());
    for length in 0..bytes.len() {
        assert!(postcard::from_bytes::<Plain<kvm_regs>>(&bytes[..length]).is_err(), "{length} bytes");
    }
}
