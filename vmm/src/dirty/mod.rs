//! Which pages were written: KVM's view of the vCPUs, united with vm-memory's bitmap of the VMM's own writes, which
//! KVM does not see.
//!
//! One file per way to ask KVM ([`log`], [`ring`]); both are off, and cost the guest nothing, until `begin`.
//! Neighbours: `slots` owns the memory slots and their logging flag; the engine harvests.

pub(crate) mod log;
pub(crate) mod ring;
mod slots;

pub(crate) use slots::Slots;
