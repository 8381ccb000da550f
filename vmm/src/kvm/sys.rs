//! The KVM calls that kvm-ioctls does not offer, or offers only as unsafe, each behind a safe signature.

use std::{io, mem::size_of, os::fd::AsRawFd, ptr};

use kvm_bindings::nested::KvmNestedStateBuffer;
use kvm_bindings::{
    KVM_CAP_DIRTY_LOG_RING, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, KVMIO,
    kvm_clear_dirty_log, kvm_clear_dirty_log__bindgen_ty_1, kvm_device_attr, kvm_dirty_log,
    kvm_dirty_log__bindgen_ty_1, kvm_enable_cap, kvm_sregs2, kvm_userspace_memory_region,
};
use kvm_ioctls::{VcpuFd, VmFd};
use vmm_sys_util::{
    ioctl::{ioctl, ioctl_with_mut_ptr, ioctl_with_mut_ref, ioctl_with_ptr, ioctl_with_ref},
    ioctl_io_nr, ioctl_ior_nr, ioctl_iow_nr, ioctl_iowr_nr,
};

/// The classic `struct kvm_xsave`, which the numbers of the XSAVE calls are made of.
type ClassicXsave = [u8; 4096];

ioctl_iow_nr!(KVM_GET_DIRTY_LOG, KVMIO, 0x42, kvm_dirty_log);
ioctl_iowr_nr!(KVM_CLEAR_DIRTY_LOG, KVMIO, 0xc0, kvm_clear_dirty_log);
ioctl_io_nr!(KVM_RESET_DIRTY_RINGS, KVMIO, 0xc7);
ioctl_ior_nr!(KVM_GET_SREGS2, KVMIO, 0xcc, kvm_sregs2);
ioctl_iow_nr!(KVM_SET_SREGS2, KVMIO, 0xcd, kvm_sregs2);
ioctl_ior_nr!(KVM_GET_XSAVE2, KVMIO, 0xcf, ClassicXsave);
ioctl_iow_nr!(KVM_SET_XSAVE, KVMIO, 0xa5, ClassicXsave);
ioctl_iow_nr!(KVM_SET_DEVICE_ATTR, KVMIO, 0xe1, kvm_device_attr);
ioctl_iow_nr!(KVM_GET_DEVICE_ATTR, KVMIO, 0xe2, kvm_device_attr);

/// What a C call's result means.
fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Makes `bytes` of this process's memory at `host` the guest's at `gpa`, as slot `slot`; or changes its flags.
///
/// # Safety
/// The memory must be a mapping that stays until the VM is gone: the guest reads and writes it.
pub(crate) unsafe fn set_memory_slot(vm: &VmFd, region: kvm_userspace_memory_region) -> io::Result<()> {
    // SAFETY: the caller's promise is the one that the call asks for.
    unsafe { vm.set_user_memory_region(region) }.map_err(Into::into)
}

/// KVM_GET_DIRTY_LOG: one bit a page of `slot` into `bitmap`, which must have a bit for every page of it.
pub(crate) fn get_dirty_log(vm: &VmFd, slot: u32, pages: u32, bitmap: &mut [u64]) -> io::Result<()> {
    assert!(bitmap.len() * 64 >= pages as usize);
    let bits = kvm_dirty_log__bindgen_ty_1 { dirty_bitmap: bitmap.as_mut_ptr().cast() };
    let log = kvm_dirty_log { slot, padding1: 0, __bindgen_anon_1: bits };
    // SAFETY: KVM writes a bit per page of the slot, rounded up to 64, and the assertion says there is room.
    checked(unsafe { ioctl_with_ref(vm, KVM_GET_DIRTY_LOG(), &log) }).map(drop)
}

/// KVM_CLEAR_DIRTY_LOG: forgets and re-protects the pages of `slot` from `first` on whose bit in `bitmap` is set.
/// `first` is a multiple of 64; so is `pages`, except at the slot's end.
pub(crate) fn clear_dirty_log(
    vm: &VmFd,
    slot: u32,
    first: u32,
    pages: u32,
    bitmap: &[u64],
) -> io::Result<()> {
    assert!(bitmap.len() * 64 >= pages as usize);
    let bits = kvm_clear_dirty_log__bindgen_ty_1 { dirty_bitmap: bitmap.as_ptr().cast_mut().cast() };
    let log =
        kvm_clear_dirty_log { slot, num_pages: pages, first_page: first.into(), __bindgen_anon_1: bits };
    // SAFETY: KVM only reads the bitmap, as many bits as `pages`, which the assertion says are there.
    checked(unsafe { ioctl_with_ref(vm, KVM_CLEAR_DIRTY_LOG(), &log) }).map(drop)
}

/// KVM_RESET_DIRTY_RINGS: re-protects the pages of every ring entry marked as collected; how many there were.
pub(crate) fn reset_dirty_rings(vm: &VmFd) -> io::Result<u32> {
    // SAFETY: no memory of this process is handed over.
    checked(unsafe { ioctl(vm, KVM_RESET_DIRTY_RINGS()) }).map(|count| count as u32)
}

/// KVM_ENABLE_CAP of a VM with one argument.
pub(crate) fn enable_cap(vm: &VmFd, cap: u32, arg: u64) -> io::Result<()> {
    let request = kvm_enable_cap { cap, args: [arg, 0, 0, 0], ..Default::default() };
    vm.enable_cap(&request).map_err(Into::into)
}

/// Which of the two names of the dirty ring's capability the host knows, and the most bytes of a ring.
pub(crate) fn dirty_ring_cap(vm: &VmFd) -> Option<(u32, u32)> {
    [KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_CAP_DIRTY_LOG_RING]
        .into_iter()
        .map(|cap| (cap, vm.check_extension_raw(cap.into())))
        .find(|(_, bytes)| *bytes > 0)
        .map(|(cap, bytes)| (cap, bytes as u32))
}

/// KVM_GET_SREGS2.
pub(crate) fn get_sregs2(vcpu: &VcpuFd) -> io::Result<kvm_sregs2> {
    let mut sregs = kvm_sregs2::default();
    // SAFETY: KVM writes one such structure.
    checked(unsafe { ioctl_with_mut_ref(vcpu, KVM_GET_SREGS2(), &mut sregs) }).map(|_| sregs)
}

/// KVM_SET_SREGS2.
pub(crate) fn set_sregs2(vcpu: &VcpuFd, sregs: &kvm_sregs2) -> io::Result<()> {
    // SAFETY: KVM reads one such structure, and checks it.
    checked(unsafe { ioctl_with_ref(vcpu, KVM_SET_SREGS2(), sregs) }).map(drop)
}

/// Bytes of the XSAVE area of this VM's vCPUs: what KVM_GET_XSAVE2 writes and KVM_SET_XSAVE reads.
pub(crate) fn xsave_bytes(vm: &VmFd) -> usize {
    usize::try_from(vm.check_extension_int(kvm_ioctls::Cap::Xsave2))
        .unwrap_or(0)
        .max(size_of::<ClassicXsave>())
}

/// KVM_GET_XSAVE2, `bytes` long ([`xsave_bytes`] of its VM).
pub(crate) fn get_xsave(vcpu: &VcpuFd, bytes: usize) -> io::Result<Vec<u8>> {
    let mut area = vec![0_u64; bytes.div_ceil(size_of::<u64>())];
    // SAFETY: KVM writes as many bytes as it said for the VM, and there are as many.
    checked(unsafe { ioctl_with_mut_ptr(vcpu, KVM_GET_XSAVE2(), area.as_mut_ptr()) })?;
    Ok(area.into_iter().flat_map(u64::to_ne_bytes).take(bytes).collect())
}

/// KVM_SET_XSAVE of at most `bytes` ([`xsave_bytes`] of its VM) bytes. What a source with fewer components does not
/// have is zeros: the header of the area says which components are in use.
pub(crate) fn set_xsave(vcpu: &VcpuFd, area: &[u8], bytes: usize) -> io::Result<()> {
    if area.len() > bytes {
        let reason = format!("the XSAVE area has {} bytes, this host's has {bytes}", area.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    let mut whole = area.to_vec();
    whole.resize(bytes, 0);
    // SAFETY: KVM reads as many bytes as it said for the VM, and there are as many. It checks them.
    checked(unsafe { ioctl_with_ptr(vcpu, KVM_SET_XSAVE(), whole.as_ptr()) }).map(drop)
}

fn tsc_offset_attr(value: *mut u64) -> kvm_device_attr {
    kvm_device_attr {
        flags: 0,
        group: KVM_VCPU_TSC_CTRL,
        attr: KVM_VCPU_TSC_OFFSET.into(),
        addr: value as u64,
    }
}

/// The vCPU attribute KVM_VCPU_TSC_OFFSET; `None` where the host does not have it.
pub(crate) fn tsc_offset(vcpu: &VcpuFd) -> Option<u64> {
    let mut value = 0;
    let attr = tsc_offset_attr(&raw mut value);
    // SAFETY: KVM writes eight bytes at `addr`, which is `value`.
    checked(unsafe { ioctl_with_ref(vcpu, KVM_GET_DEVICE_ATTR(), &attr) }).ok().map(|_| value)
}

/// Sets the vCPU attribute KVM_VCPU_TSC_OFFSET.
pub(crate) fn set_tsc_offset(vcpu: &VcpuFd, mut value: u64) -> io::Result<()> {
    let attr = tsc_offset_attr(&raw mut value);
    // SAFETY: KVM reads eight bytes at `addr`, which is `value`.
    checked(unsafe { ioctl_with_ref(vcpu, KVM_SET_DEVICE_ATTR(), &attr) }).map(drop)
}

/// KVM_GET_NESTED_STATE as bytes, as many as are in use: at least the header, which says whether interrupts are
/// masked globally even where no nested guest runs.
pub(crate) fn nested_state(vcpu: &VcpuFd) -> io::Result<Vec<u8>> {
    let mut buffer = KvmNestedStateBuffer::empty();
    vcpu.nested_state(&mut buffer).map_err(io::Error::from)?;
    let used = buffer.size as usize;
    // SAFETY: a C structure without padding, made of zeros and then written by KVM.
    let bytes = unsafe { std::slice::from_raw_parts((&raw const buffer).cast::<u8>(), size_of_val(&buffer)) };
    Ok(bytes[..used.min(bytes.len())].to_vec())
}

/// KVM_SET_NESTED_STATE from such bytes.
pub(crate) fn set_nested_state(vcpu: &VcpuFd, bytes: &[u8]) -> io::Result<()> {
    let mut buffer = KvmNestedStateBuffer::empty();
    if bytes.len() > size_of_val(&buffer) {
        let reason = format!("{} bytes of nested state; there can be {}", bytes.len(), size_of_val(&buffer));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    // SAFETY: the length was checked, the two do not overlap, and every bit pattern is a value of the structure.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut buffer).cast(), bytes.len()) };
    // The size is KVM's to read: never more than what is there.
    buffer.size = buffer.size.min(size_of_val(&buffer) as u32);
    vcpu.set_nested_state(&buffer).map_err(Into::into)
}

/// A vCPU's dirty ring, shared with KVM.
pub(crate) struct RingMapping {
    entries: ptr::NonNull<libc::c_void>,
    bytes: usize,
}

// SAFETY: the mapping is accessed by atomic operations only.
unsafe impl Send for RingMapping {}
// SAFETY: as above.
unsafe impl Sync for RingMapping {}

impl RingMapping {
    /// Maps the ring of `bytes` bytes of `vcpu`.
    pub(crate) fn new(vcpu: &VcpuFd, bytes: usize) -> io::Result<Self> {
        let offset = i64::from(kvm_bindings::KVM_DIRTY_LOG_PAGE_OFFSET) * 4096;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice takes nothing away from anybody.
        let at =
            unsafe { libc::mmap(ptr::null_mut(), bytes, access, libc::MAP_SHARED, vcpu.as_raw_fd(), offset) };
        match ptr::NonNull::new(at) {
            Some(entries) if at != libc::MAP_FAILED => Ok(Self { entries, bytes }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The words of the ring: four to an entry (flags, slot, and the page's number in the slot, low half first).
    pub(crate) fn words(&self) -> &[std::sync::atomic::AtomicU32] {
        // SAFETY: the mapping is page-aligned, `bytes` long and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.entries.as_ptr().cast(), self.bytes / 4) }
    }
}

impl Drop for RingMapping {
    fn drop(&mut self) {
        // SAFETY: made by mmap with this length, and nobody can hold a borrow of it any more.
        unsafe { libc::munmap(self.entries.as_ptr(), self.bytes) };
    }
}
