//! The shape of a machine: all that a target must be able to offer before a page is sent to it.

use godwit_state::MAX_NAME_BYTES;
use serde::{Deserialize, Serialize};

use crate::limits::{
    MAX_CPUID_ENTRIES, MAX_CPUS, MAX_DEVICES, MAX_MSRS, MAX_PAGES, MAX_QUEUES, MAX_REGIONS, PAGE_BYTES,
    REGION_ALIGN_PAGES,
};

/// A contiguous piece of guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Guest-physical address of its first byte.
    pub gpa: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Guest memory: regions in ascending order, which do not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryShape {
    /// The regions.
    pub regions: Vec<Region>,
}

impl MemoryShape {
    /// Memory in bytes over all regions.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.regions.iter().fold(0, |sum, r| sum.saturating_add(r.bytes))
    }

    /// Pages over all regions. Right only for a shape that has been [checked](MachineShape::check).
    #[must_use]
    pub fn pages(&self) -> u32 {
        (self.bytes() / PAGE_BYTES as u64) as u32
    }

    /// The regions with the number of the first page of each.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, Region)> + '_ {
        self.regions.iter().scan(0u32, |next, &region| {
            let first = *next;
            *next += (region.bytes / PAGE_BYTES as u64) as u32;
            Some((first, region))
        })
    }
}

/// One CPUID leaf as the guest sees it, in KVM's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuidEntry {
    /// Leaf (EAX on entry).
    pub function: u32,
    /// Subleaf (ECX on entry), where the leaf has any.
    pub index: u32,
    /// KVM's flags: whether `index` matters.
    pub flags: u32,
    /// EAX, EBX, ECX and EDX of the answer.
    pub registers: [u32; 4],
}

/// What the vCPUs need of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuShape {
    /// Number of vCPUs.
    pub count: u8,
    /// CPUID as vCPU 0 sees it.
    pub cpuid: Vec<CpuidEntry>,
    /// MSRs whose values travel.
    pub msrs: Vec<u32>,
    /// Frequency of the guest's TSC in kHz; 0 where unknown.
    pub tsc_khz: u32,
    /// Bytes of the XSAVE area.
    pub xsave_bytes: u32,
}

/// A device of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceShape {
    /// Its name: `com1`, `rng0`. As its kind at most [`MAX_NAME_BYTES`] long and without control characters.
    pub instance: String,
    /// Its kind: the kind of its saved state.
    pub kind: String,
    /// Version of the saved state that will be sent.
    pub version: u16,
    /// Most entries of each of its virtio queues, by index; empty for a device that has none.
    pub queue_sizes: Vec<u16>,
}

/// All that the target must offer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineShape {
    /// Guest memory.
    pub memory: MemoryShape,
    /// vCPUs.
    pub cpus: CpuShape,
    /// Devices, in the order of their places on the bus.
    pub devices: Vec<DeviceShape>,
}

impl MachineShape {
    /// Whether such a machine can be at all. For shapes that came from a peer, before anything is made of them.
    ///
    /// # Errors
    /// The first thing that is wrong, in words.
    pub fn check(&self) -> Result<(), String> {
        let regions = &self.memory.regions;
        if regions.is_empty() || regions.len() > MAX_REGIONS {
            return Err(format!("{} memory regions; there must be 1 to {MAX_REGIONS}", regions.len()));
        }
        let align = u64::from(REGION_ALIGN_PAGES) * PAGE_BYTES as u64;
        let mut end = 0u64;
        for region in regions {
            if region.bytes == 0 || region.bytes % align != 0 || region.gpa % align != 0 || region.gpa < end {
                return Err(format!("memory region {:#x}+{:#x} is misplaced", region.gpa, region.bytes));
            }
            end = region.gpa.checked_add(region.bytes).ok_or("a memory region wraps around")?;
        }
        if self.memory.bytes() > u64::from(MAX_PAGES) * PAGE_BYTES as u64 {
            return Err(format!(
                "{} bytes of memory; at most {MAX_PAGES} pages are possible",
                self.memory.bytes()
            ));
        }
        let limits = [
            ("vCPUs", usize::from(self.cpus.count), usize::from(MAX_CPUS)),
            ("CPUID entries", self.cpus.cpuid.len(), MAX_CPUID_ENTRIES),
            ("MSRs", self.cpus.msrs.len(), MAX_MSRS),
            ("devices", self.devices.len(), MAX_DEVICES),
        ];
        match limits.iter().find(|(_, n, max)| n > max) {
            Some((what, n, max)) => Err(format!("{n} {what}; at most {max} are possible")),
            None if self.cpus.count == 0 => Err("no vCPU".into()),
            None => self.check_names().and_then(|()| self.check_queues()),
        }
    }

    fn check_queues(&self) -> Result<(), String> {
        match self.devices.iter().find(|device| device.queue_sizes.len() > MAX_QUEUES) {
            Some(DeviceShape { instance, queue_sizes, .. }) => {
                let queues = queue_sizes.len();
                Err(format!("device '{instance}' has {queues} queues; at most {MAX_QUEUES} are possible"))
            }
            None => Ok(()),
        }
    }

    /// Names are said to people, at either side.
    fn check_names(&self) -> Result<(), String> {
        let names = self.devices.iter().flat_map(|device| [&device.instance, &device.kind]);
        for (at, name) in names.enumerate() {
            let device = at / 2;
            if name.len() > MAX_NAME_BYTES {
                let bytes = name.len();
                return Err(format!(
                    "device {device} has a name of {bytes} bytes; at most {MAX_NAME_BYTES} are possible"
                ));
            }
            if name.chars().any(char::is_control) {
                return Err(format!("device {device} has a name with control characters"));
            }
        }
        Ok(())
    }
}
