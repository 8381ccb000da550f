//! Every limit that a peer, a file or a user can run into, by name. Nothing here is learnt from a peer.

use std::time::Duration;

/// Bytes of a guest page. The engine knows one size; huge pages are a matter of the host.
pub const PAGE_BYTES: usize = 4096;
/// Pages of a block: the unit in which pages are dealt to lanes (2 MiB, so that a lane's work is contiguous).
pub const BLOCK_PAGES: u32 = 512;
/// Guest memory comes in multiples of this many pages, so that a word of a bitmap never spans two regions.
pub const REGION_ALIGN_PAGES: u32 = 64;
/// Most pages of a guest: 4 TiB.
pub const MAX_PAGES: u32 = 1 << 30;
/// Most regions of guest memory.
pub const MAX_REGIONS: usize = 16;
/// Most vCPUs.
pub const MAX_CPUS: u8 = 16;
/// Most lanes of a migration.
pub const MAX_LANES: u8 = 16;
/// Most pages with content in one lane frame: 64 KiB raw, a small part of either side's L2 cache.
pub const MAX_FRAME_PAGES: u32 = 16;
/// Most payload bytes of a lane frame: every page raw.
pub const MAX_FRAME_BYTES: usize = MAX_FRAME_PAGES as usize * PAGE_BYTES;
/// Most bytes of one control message (16 vCPUs of 16 KiB, devices, and room).
pub const MAX_MESSAGE_BYTES: usize = 8 << 20;
/// Most devices a shape names.
pub const MAX_DEVICES: usize = 64;
/// Most CPUID entries a shape names.
pub const MAX_CPUID_ENTRIES: usize = 256;
/// Most MSR indices a shape names.
pub const MAX_MSRS: usize = 1024;
/// Most reasons in a refusal, and most bytes of each text from a peer that is shown to a user.
pub const MAX_REASONS: usize = 64;
/// Longest text taken from a peer.
pub const MAX_TEXT_BYTES: usize = 4096;
/// How long a peer may stay silent in the phases where it owes an answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the target may take to answer for a round after its last byte was written: what the sockets hold must
/// drain first, also on a slow link.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the target may take to build the machine from its state.
pub const BUILD_TIMEOUT: Duration = Duration::from_secs(10);
/// Most rounds of pre-copy, whatever the preset says.
pub const MAX_ROUNDS: u32 = 10_000;
/// Protocol versions that this build speaks, oldest and newest.
pub const PROTOCOL: (u16, u16) = (1, 1);
/// Capabilities of this build. None is optional yet.
pub const CAPABILITIES: u64 = 0;
/// Name and version in messages to people.
pub const SOFTWARE: &str = concat!("godwit ", env!("CARGO_PKG_VERSION"));
