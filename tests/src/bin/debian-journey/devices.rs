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
        let before = Done::of(debian);
        debian.hop();
        assert_eq!(debian.run(DATA), sum, "what the second disk holds");
        let since = Done::of(debian).since(&before);
        assert_eq!(Done::as_counted(debian), since, "the second disk's reads and writes since it came here");
        assert!(since.read_bytes >= 4 << 20, "{since:?}");
        debian.run(&format!("echo {round} >>/var/tmp/rounds; sync"));
        use_of::all_but_disks(debian, round);
    }
    assert_eq!(debian.run("wc -l </var/tmp/rounds").trim(), MOVES.to_string());
    println!(
        "  disks, network card, entropy, balloon, vsock, port and console did what they are for after each"
    );
}

/// What was done with the second disk, which nobody else uses.
#[derive(Debug, PartialEq, Eq)]
struct Done {
    reads: u64,
    read_bytes: u64,
    writes: u64,
    written_bytes: u64,
}

impl Done {
    /// As the guest's kernel has it, since it booted.
    fn of(debian: &mut Debian) -> Self {
        let said = debian.run("cat /sys/block/vdb/stat");
        let fields: Vec<u64> = said.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let [reads, _, sectors_read, _, writes, _, sectors_written, ..] = fields[..] else {
            panic!("no figures of a disk: {said}");
        };
        Self { reads, read_bytes: 512 * sectors_read, writes, written_bytes: 512 * sectors_written }
    }

    /// As its device has it, since it came to where it is now.
    fn as_counted(debian: &Debian) -> Self {
        let of = |name| debian.vmm().counter("disk1", name);
        Self {
            reads: of("read_ops"),
            read_bytes: of("read_bytes"),
            writes: of("write_ops"),
            written_bytes: of("write_bytes"),
        }
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            reads: self.reads - before.reads,
            read_bytes: self.read_bytes - before.read_bytes,
            writes: self.writes - before.writes,
            written_bytes: self.written_bytes - before.written_bytes,
        }
    }
}
