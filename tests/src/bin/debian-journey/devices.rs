//! Every device through ten moves in a row, each asked for what it is for after each of them.

use godwit_tests::debian::Debian;

use super::use_of;

const MOVES: usize = 10;
/// What stands on the second disk.
const DATA: &str = "echo 3 >/proc/sys/vm/drop_caches; head -c 4M /dev/vdb | md5sum";
/// Sizes of the balloon, one after the other.
const BALLOONS: [u64; 2] = [0, 24 << 20];

pub(crate) fn journey(debian: &mut Debian) {
    use_of::listen_by_vsock(debian);
    debian.run("head -c 4M /dev/urandom >/dev/vdb; sync");
    let sum = debian.run(DATA);
    for round in 1..=MOVES {
        debian.hop();
        let words = format!("round {round}");
        assert_eq!(debian.run(DATA), sum, "what the second disk holds");
        debian.run(&format!("echo {round} >>/var/tmp/rounds; sync"));
        use_of::network(debian);
        use_of::entropy(debian);
        use_of::balloon(debian, BALLOONS[round % BALLOONS.len()]);
        use_of::vsock(debian, &words);
        use_of::port(debian, &words);
        use_of::console(debian);
        use_of::no_panic(debian);
    }
    assert_eq!(debian.run("wc -l </var/tmp/rounds").trim(), MOVES.to_string());
    println!(
        "  disks, network card, entropy, balloon, vsock, port and console did what they are for after each"
    );
}
