//! KVM's C structures as bytes of a section, and back.
//!
//! The kernel never changes the layout of a structure of its API, so that layout is the encoding; a payload of any
//! other length is refused. What the bytes mean is KVM's business: it checks every structure that it is given.

use std::mem::size_of;

use kvm_bindings::{
    kvm_debugregs, kvm_irqchip, kvm_lapic_state, kvm_pit_state2, kvm_regs, kvm_sregs2, kvm_vcpu_events,
    kvm_xcrs,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A structure of KVM's API in a saved state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plain<T>(pub T);

/// A C structure without padding, of which every bit pattern is a value.
///
/// # Safety
/// Both must be true of the type.
pub(crate) unsafe trait Bits: Copy + Default {}

// SAFETY: integers and arrays of integers only; every reserved byte is a named field.
unsafe impl Bits for kvm_regs {}
// SAFETY: as above.
unsafe impl Bits for kvm_sregs2 {}
// SAFETY: as above.
unsafe impl Bits for kvm_debugregs {}
// SAFETY: as above.
unsafe impl Bits for kvm_xcrs {}
// SAFETY: as above.
unsafe impl Bits for kvm_vcpu_events {}
// SAFETY: as above.
unsafe impl Bits for kvm_lapic_state {}
// SAFETY: as above.
unsafe impl Bits for kvm_pit_state2 {}
// SAFETY: two integers and a union, one member of which is an array of bytes over its whole size.
unsafe impl Bits for kvm_irqchip {}

impl<T: Bits> Plain<T> {
    fn bytes(&self) -> &[u8] {
        // SAFETY: `T` has no padding, so all its bytes are initialised; the slice borrows `self`.
        unsafe { std::slice::from_raw_parts((&raw const self.0).cast(), size_of::<T>()) }
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != size_of::<T>() {
            return None;
        }
        // SAFETY: as many bytes as `T` has, any of which make a value of it; the read needs no alignment.
        Some(Self(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() }))
    }
}

impl<T: Bits> PartialEq for Plain<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl<T: Bits> Serialize for Plain<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.bytes())
    }
}

impl<'de, T: Bits> Deserialize<'de> for Plain<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        Self::from_bytes(bytes).ok_or_else(|| {
            D::Error::custom(format!("{} bytes where {} are needed", bytes.len(), size_of::<T>()))
        })
    }
}
