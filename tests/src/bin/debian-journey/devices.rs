//! Every device through ten moves in a row, each asked for what it is for after each of them.

use godwit_tests::debian::Debian;

use super::use_of;

const MOVES: usize = 10;
/// What stands on the second disk.
const DATA: &str = "echo 3 >/proc/sys/vm/drop_caches; head -c 4M /dev/vdb | md5sum";

pub(crate) fn journey(debian: &mut Debian) {
    use_of::listen_by_vsock(debian);
    debian.run("head -c 4M /dev/urandom >/dev/vdb; sync");
    let sum = debian.run(DATA);
    for round in 1..=MOVES {
        debian.hop();
        assert_eq!(debian.run(DATA), sum, "what the second disk holds");
        debian.run(&format!("echo {round} >>/var/tmp/rounds; sync"));
        use_of::all_but_disks(debian, round);
    }
    assert_eq!(debian.run("wc -l </var/tmp/rounds").trim(), MOVES.to_string());
    println!(
        "  disks, network card, entropy, balloon, vsock, port and console did what they are for after each"
    );
}
