//! fio in the guest writes to the second disk and verifies it, over and over, while the guest moves there and back; what
//! stands in the image in the end is verified from outside.

use std::{fs, time::Duration};

use godwit_tests::debian::Debian;

use super::background::Background;

/// Of blocks of several sizes with a checksum in each; a pass is written, and then read back past the page cache.
const JOB: &str = "fio --name=verify --rw=randwrite --bsrange=4k-64k --size=16M --direct=1 --ioengine=libaio --iodepth=4 \
    --verify=crc32c --verify_fatal=1 --do_verify=1 --fsync=64 --output-format=terse --eta=never";

/// One pass, as a command for the guest.
fn pass() -> String {
    format!("{JOB} --filename=/dev/vdb --randseed=7")
}

pub(crate) fn journey(debian: &mut Debian) {
    let passes = Background::start(debian, "fio", &pass());
    passes.await_more(debian, 1);
    for _ in 0..2 {
        debian.hop();
        passes.await_more(debian, 1);
    }
    let count = passes.end(debian);
    debian.run("sync");
    println!("  {count} passes of 16 MiB written and verified in the guest");
    verify_outside(debian);
}

/// The same blocks, by a fio outside, in a copy of the image.
fn verify_outside(debian: &Debian) {
    let clients = debian.clients();
    let copy = "/tmp/data.img";
    fs::copy(debian.data(), clients.path(copy)).expect("the clients' disk has room");
    let command = format!("{JOB} --direct=0 --ioengine=psync --filename={copy} --randseed=7 --verify_only=1");
    let ended = clients.start("fio", &command).end(Duration::from_secs(120));
    assert_eq!(ended.status, 0, "{}{}", ended.out, ended.err);
    println!("  and verified in the image from outside");
}
