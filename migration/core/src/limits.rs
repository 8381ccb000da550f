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
/// Most payload bytes of a lane frame of pages: 16 pages raw, a small part of either side's L2 cache.
pub const MAX_FRAME_BYTES: usize = 64 << 10;
/// Most bytes of frames that are compressed together: a lane's buffer, a page more and the end of a round.
pub const MAX_UNPACKED_BYTES: usize = 136 << 10;
/// Most bytes that they become: what does not compress grows by a few.
pub const MAX_PACKED_BYTES: usize = 140 << 10;
/// The furthest that compressed frames may refer back, as a power of two: what a decoder keeps of them.
pub const PACK_WINDOW_LOG: u32 = 20;
/// Most bytes of one control message (16 vCPUs of 16 KiB, devices, and room).
pub const MAX_MESSAGE_BYTES: usize = 8 << 20;
/// Most devices a shape names.
pub const MAX_DEVICES: usize = 64;
/// Most virtio queues of a device that a shape names.
pub const MAX_QUEUES: usize = 64;
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
/// How often each side says that it lives.
pub const BEAT_EVERY: Duration = Duration::from_secs(1);
/// Beats in a row without a sign of life after which a peer counts as silent, and the link as lost.
pub const MISSED_BEATS: u32 = 10;
/// Bytes on the lanes that are a sign of life.
pub const LIVE_LANE_BYTES: u64 = 4096;
/// How long a connection may take to say what it is, its TLS handshake included.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that have not yet said what they are, at one time.
pub const MAX_GREETINGS: usize = 64;
/// Most bytes of the first message of a connection: nothing is known of who says it.
pub const MAX_GREETING_BYTES: usize = 4096;
/// How long a source asks what became of the guest, after the link was lost behind `Go`, before it says that nobody knows.
pub const ASK_FOR: Duration = Duration::from_secs(15);
/// How long a source waits before it asks again: at first, doubling each time, and at most.
pub const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How long a target keeps a guest that is ready to run, and of which its source says nothing. Longer than any source
/// asks, and long enough for a person to look.
pub const HOLD_READY: Duration = Duration::from_secs(300);
/// Most rounds of pre-copy, whatever the preset says.
pub const MAX_ROUNDS: u32 = 10_000;
/// How long the guest runs on before it is looked at again, where the policy holds back all that is owed.
pub const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long the first round waits for a guest to say what it has free. What comes later is left out by the lanes, if they
/// have not sent it by then.
pub const FREE_PAGES_WAIT: Duration = Duration::from_millis(300);
/// Protocol versions that this build speaks, oldest and newest.
pub const PROTOCOL: (u16, u16) = (1, 1);
/// Capabilities of this build. None is optional yet.
pub const CAPABILITIES: u64 = 0;
/// Name and version in messages to people.
pub const SOFTWARE: &str = concat!("godwit ", env!("CARGO_PKG_VERSION"));
