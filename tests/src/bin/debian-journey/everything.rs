//! From the first host to the second, back, and there again, while fio writes and verifies, a TCP stream goes through the guest
//! and pings ask for it; after each move every device is asked for what it is for.

use std::time::Duration;

use godwit_tests::{
    debian::{Debian, GUEST},
    network::Pings,
};

use super::{fio::Passes, use_of};

const MOVES: usize = 3;
/// Between two pings: a host of one CPU has other things to do.
const INTERVAL: Duration = Duration::from_millis(100);
/// Of fio, after each block, for the same reason.
const REST: Duration = Duration::from_millis(20);
/// Of the stream, after each move.
const BYTES: u64 = 1 << 20;

pub(crate) fn journey(debian: &mut Debian) {
    use_of::listen_by_vsock(debian);
    let traffic = use_of::stream(debian);
    let pings = Pings::by_icmp(GUEST, INTERVAL);
    let passes = Passes::start(debian, REST);
    passes.await_one(debian);
    for round in 1..=MOVES {
        debian.hop();
        let (bytes, answers) = (traffic.checked(), pings.answered());
        use_of::all_but_disks(debian, round);
        passes.await_one(debian);
        super::wait("bytes of the stream", || traffic.checked() >= bytes + BYTES);
        super::wait("answers to pings", || pings.answered() > answers);
    }
    println!("  {} KiB there and back, each byte right; {:?}", traffic.end() >> 10, pings.end());
    passes.end(debian);
}
