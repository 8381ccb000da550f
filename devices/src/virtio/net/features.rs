//! Numbers of virtio-net (virtio 1.2 §5.1) and what they are to the tap.

use libc::{TUN_F_CSUM, TUN_F_TSO_ECN, TUN_F_TSO4, TUN_F_TSO6, TUN_F_UFO, c_uint};

/// Bytes of the header before each frame, `struct virtio_net_hdr` of a modern device (§5.1.6).
pub const HEADER_BYTES: usize = 12;
/// Where the header says how many buffers a frame fills, 2 bytes.
pub const NUM_BUFFERS_OFFSET: usize = 10;
/// Largest header and frame: a packet of 64 KiB, of which the host may make one segment of many.
pub const FRAME_BYTES: usize = HEADER_BYTES + (64 << 10) + 64;

const fn bit(number: u32) -> u64 {
    1 << number
}

/// The host takes frames without a checksum.
pub const F_CSUM: u64 = bit(0);
/// The guest does.
pub const F_GUEST_CSUM: u64 = bit(1);
/// The largest packet is in the configuration space.
pub const F_MTU: u64 = bit(3);
/// And so is the address.
pub const F_MAC: u64 = bit(5);
const F_GUEST_TSO4: u64 = bit(7);
const F_GUEST_TSO6: u64 = bit(8);
const F_GUEST_ECN: u64 = bit(9);
const F_GUEST_UFO: u64 = bit(10);
const F_HOST_TSO4: u64 = bit(11);
const F_HOST_TSO6: u64 = bit(12);
const F_HOST_ECN: u64 = bit(13);
const F_HOST_UFO: u64 = bit(14);
/// A frame may fill several buffers.
pub const F_MRG_RXBUF: u64 = bit(15);
/// The link's status is in the configuration space.
pub const F_STATUS: u64 = bit(16);
/// There is a control queue.
pub const F_CTRL_VQ: u64 = bit(17);
/// The guest announces itself when it is asked to.
pub const F_GUEST_ANNOUNCE: u64 = bit(21);
/// There are several pairs of queues, and the guest says how many of them it uses.
pub const F_MQ: u64 = bit(22);
/// It may change its address by the control queue.
pub const F_CTRL_MAC_ADDR: u64 = bit(23);

/// What every card offers.
pub const ALWAYS: u64 =
    F_MTU | F_MAC | F_MRG_RXBUF | F_STATUS | F_CTRL_VQ | F_GUEST_ANNOUNCE | F_CTRL_MAC_ADDR;
/// Checksums that the other side completes.
pub const CSUM: u64 = F_CSUM | F_GUEST_CSUM;
/// TCP segments that the other side cuts; they need [`CSUM`].
pub const TSO: u64 = F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN | F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN;
/// UDP datagrams that the other side cuts; they need [`CSUM`].
pub const UFO: u64 = F_GUEST_UFO | F_HOST_UFO;

/// Link status in the configuration space: up.
pub const STATUS_LINK_UP: u16 = 1;
/// Announce yourself.
pub const STATUS_ANNOUNCE: u16 = 2;

/// What the tap may leave to a guest with `features`.
pub fn tap_offloads(features: u64) -> c_uint {
    if features & F_GUEST_CSUM == 0 {
        return 0;
    }
    let each = [
        (F_GUEST_TSO4, TUN_F_TSO4),
        (F_GUEST_TSO6, TUN_F_TSO6),
        (F_GUEST_ECN, TUN_F_TSO_ECN),
        (F_GUEST_UFO, TUN_F_UFO),
    ];
    each.iter()
        .filter(|(feature, _)| features & feature != 0)
        .fold(TUN_F_CSUM, |flags, (_, flag)| flags | flag)
}
