//! fio in the guest writes to the second disk and verifies it, over and over, while the guest moves there and back; what
//! stands in the image in the end is verified from outside.

use std::{fs, time::Duration};

use godwit_tests::debian::{Debian, PATIENCE};

use super::background::Background;

/// Blocks of several sizes, which hold their place and the number of the pass all over: with a checksum alone, what a pass before
/// has left would pass for what this one lost. A pass is written, and then read back past the page cache.
fn job(pass: &str) -> String {
    format!(
        "fio --name=verify --rw=randwrite --bsrange=4k-64k --size=16M --randseed={pass} --verify=pattern \
         --verify_pattern=%o\\\"pass$(printf %04d {pass})\\\" --verify_fatal=1 --do_verify=1 --output-format=terse --eta=never"
    )
}

/// How the guest does it; what was written is on the disk when a pass is over.
const INSIDE: &str = "--filename=/dev/vdb --direct=1 --ioengine=libaio --iodepth=4 --fsync=64 --end_fsync=1";

/// Passes under way in the guest.
pub(crate) struct Passes(Background);

impl Passes {
    /// Begins them, each block after a `rest` of the program.
    pub(crate) fn start(debian: &mut Debian, rest: Duration) -> Self {
        Self(Background::start(
            debian,
            "fio",
            &format!("{} {INSIDE} --thinktime={}", job("$n"), rest.as_micros()),
        ))
    }

    /// Waits until one more has come to its end.
    pub(crate) fn await_one(&self, debian: &mut Debian) {
        self.0.await_more(debian, 1);
    }

    /// Ends them, and has a fio outside verify in a copy of the image what the last one wrote.
    pub(crate) fn end(self, debian: &mut Debian) {
        let count = self.0.end(debian);
        println!("  {count} passes of 16 MiB written and verified in the guest");
        let clients = debian.clients();
        let copy = "/tmp/data.img";
        fs::copy(debian.data(), clients.path(copy)).expect("the clients' disk has room");
        let outside = |pass: usize| {
            let command =
                format!("{} --filename={copy} --ioengine=psync --verify_only=1", job(&pass.to_string()));
            clients.start("fio", &command).end(PATIENCE)
        };
        let ended = outside(count);
        assert_eq!(ended.status, 0, "{}{}", ended.out, ended.err);
        let before = outside(count - 1);
        assert_ne!(before.status, 0, "the blocks of a pass before it are there, too: {}", before.out);
        println!("  the last of them verified in the image from outside");
    }
}

pub(crate) fn journey(debian: &mut Debian) {
    let passes = Passes::start(debian, Duration::ZERO);
    passes.await_one(debian);
    for _ in 0..2 {
        debian.hop();
        passes.await_one(debian);
    }
    passes.end(debian);
}
