//! godwit and QEMU's microvm, by turns on this machine, with the same Linux guest, which measures its devices itself and
//! says what it saw. Made for a nested host, of which it has the network and the disk `/dev/vda` to itself.
//!
//! `beside-qemu GUEST [boot] [devices] [turns=5] [seconds=1] [of=NAME,NAME]`: GUEST is the folder of `vmlinuz`, `vmlinux` and
//! `initramfs.cpio`, `GODWIT_BIN` names the program under test. One turn more goes before those that count. It judges
//! nothing.

mod contestant;
mod ground;
mod peer;
mod turn;

use std::{env, path::PathBuf};

use godwit_tests::figures::Figure;

use self::{
    contestant::{CONTESTANTS, Contestant, Guest},
    ground::Ground,
    peer::Peer,
    turn::{Seen, Until},
};

/// Figures of a run, as the guest names them, and what they are. More is better.
const FIGURES: &[(&str, &str, f64)] = &[
    ("read-4k-1", "4 KiB random reads, one at a time, per s", 1.0),
    ("read-4k-16", "4 KiB random reads, 16 at a time, per s", 1.0),
    ("read-1m-1", "1 MiB in sequence, one at a time, MiB/s", 1.0),
    ("read-1m-4", "1 MiB in sequence, 4 at a time, MiB/s", 1.0),
    ("net-from", "TCP from the guest, MiB/s", MIB),
    ("net-to", "TCP to the guest, MiB/s", MIB),
    ("net-requests", "requests of a byte, per s", 1.0),
];
const MIB: f64 = 1_048_576.0;

/// What is asked for on the command line.
struct Asked {
    guest: PathBuf,
    boot: bool,
    devices: bool,
    turns: usize,
    seconds: f64,
    contestants: Vec<&'static Contestant>,
}

fn main() {
    let asked = Asked::parse(env::args().skip(1));
    let (ground, peer) = (Ground::prepare(), Peer::listen());
    if asked.boot {
        for kernel in ["vmlinux", "vmlinuz"] {
            boot(&asked, &ground, &peer, kernel);
        }
    }
    if asked.devices {
        devices(&asked, &ground, &peer);
    }
    println!("compared");
}

impl Asked {
    fn parse(mut words: impl Iterator<Item = String>) -> Self {
        let guest = words.next().expect("the folder of a guest is wanted").into();
        let mut asked = Self {
            guest,
            boot: false,
            devices: false,
            turns: 5,
            seconds: 1.0,
            contestants: CONTESTANTS.iter().filter(|one| one.by_default).collect(),
        };
        for word in words {
            match word.split_once('=').unwrap_or((&word, "")) {
                ("boot", "") => asked.boot = true,
                ("devices", "") => asked.devices = true,
                ("turns", number) => asked.turns = number.parse().expect("turns=NUMBER"),
                ("seconds", number) => asked.seconds = number.parse().expect("seconds=NUMBER"),
                ("of", names) => asked.contestants = names.split(',').map(contestant::named).collect(),
                _ => panic!("'{word}' is none of boot, devices, turns=, seconds=, of="),
            }
        }
        if !(asked.boot || asked.devices) {
            (asked.boot, asked.devices) = (true, true);
        }
        asked
    }

    fn guest(&self, kernel: &str, words: String) -> Guest {
        Guest { kernel: self.guest.join(kernel), initrd: self.guest.join("initramfs.cpio"), words }
    }

    /// Has each contestant take its turn, as often as is asked and once to warm up; what was seen of each.
    fn by_turns(&self, ground: &Ground, peer: &Peer, guest: &Guest, until: Until) -> Vec<Vec<Seen>> {
        let mut seen: Vec<Vec<Seen>> = self.contestants.iter().map(|_| Vec::new()).collect();
        for turn in 0..=self.turns {
            for (contestant, seen) in self.contestants.iter().zip(&mut seen) {
                let tap = ground.tap();
                let one = turn::take(contestant, ground, guest, until);
                peer.forget();
                drop(tap);
                println!("  {turn}: {:<20} {one}", contestant.name);
                if turn > 0 {
                    seen.push(one);
                }
            }
        }
        seen
    }
}

fn boot(asked: &Asked, ground: &Ground, peer: &Peer, kernel: &str) {
    println!("\n== boot, {kernel}");
    let seen = asked.by_turns(ground, peer, &asked.guest(kernel, String::new()), Until::UserSpace);
    show_boot(asked, &seen);
}

fn show_boot(asked: &Asked, seen: &[Vec<Seen>]) {
    show(asked, "exec to user space, ms", seen, |seen| seen.boot.as_secs_f64() * 1e3);
}

fn devices(asked: &Asked, ground: &Ground, peer: &Peer) {
    println!("\n== devices");
    let words = format!(
        "godwit.ip={}/24 godwit.measure={} godwit.peer={}:{}",
        ground::GUEST,
        asked.seconds,
        ground::HOST,
        peer::PORT
    );
    let seen = asked.by_turns(ground, peer, &asked.guest("vmlinux", words), Until::Measured);
    show_boot(asked, &seen);
    for (name, what, unit) in FIGURES {
        show(asked, what, &seen, |seen| seen.rate(name) / unit);
    }
}

/// A figure of each contestant, and the first one's as a multiple of each other's.
fn show(asked: &Asked, what: &str, seen: &[Vec<Seen>], of: impl Fn(&Seen) -> f64) {
    let figures: Vec<Figure> = seen.iter().map(|seen| Figure::new(seen.iter().map(&of))).collect();
    println!();
    for (contestant, figure) in asked.contestants.iter().zip(&figures) {
        figure.show(contestant.name, what);
    }
    let [first, others @ ..] = &figures[..] else { return };
    for (contestant, other) in asked.contestants[1..].iter().zip(others) {
        let ratio = first.median() / other.median();
        println!("{:<20} {:<40} {ratio:>9.2}", "", format!("times that of {}", contestant.name));
    }
}
