//! What works on each device, how its driver is taken away, and by what one sees that the work goes on.

use std::time::{Duration, Instant};

use godwit_tests::port::Client;

use crate::guest::{Guest, PATIENCE, SERIAL};

/// Threads that use the disk.
const THREADS: u64 = 4;
/// Bytes that come back by network before it counts as going on.
const BYTES: u64 = 128 << 10;
const MIB: u64 = 1 << 20;

/// A driver, and the work on its device.
pub struct Work {
    /// As it is called in `/sys/bus/virtio/drivers`.
    pub driver: &'static str,
    /// The option that asks for the device; every machine has a source of entropy.
    pub option: &'static str,
    /// Its module's file among the guest's, where nothing in the guest holds the module while it works.
    module: Option<&'static str>,
    begin: fn(&mut Guest),
    /// Waits until the work has noticed that the device has gone, where it must before that comes back.
    stands: fn(&mut Guest),
    /// What the guest has to set up anew.
    came_back: fn(&mut Guest),
    goes_on: fn(&mut Guest),
}

/// How a driver goes and comes back, as commands of the guest's.
pub struct Way {
    pub away: String,
    pub back: String,
}

fn nothing(_: &mut Guest) {}

/// Every driver.
pub const WORKS: &[Work] = &[
    Work {
        driver: "virtio_blk",
        option: "--disk",
        // The open disk holds it.
        module: None,
        begin: |guest| drop(guest.run(&format!("blockwork {SERIAL} {THREADS} >/tmp/block &"))),
        stands: |guest| wait(guest, "no thread has the disk", |guest| number(guest, "working") == 0),
        came_back: nothing,
        goes_on: |guest| {
            wait(guest, "all threads have the disk", |guest| number(guest, "working") == THREADS);
            let before = number(guest, "writes");
            wait(guest, "more is written", |guest| number(guest, "writes") > before + 20);
        },
    },
    Work {
        driver: "virtio_net",
        option: "--net",
        module: Some("virtio_net"),
        begin: |guest| _ = guest.traffic(),
        stands: nothing,
        came_back: |guest| drop(guest.run("ip link set eth0 up; ip addr add 10.0.0.2/24 dev eth0")),
        goes_on: |guest| {
            let before = guest.traffic().checked();
            wait(guest, "more comes back", |guest| guest.traffic().checked() > before + BYTES);
        },
    },
    Work {
        driver: "virtio_rng",
        option: "--rng",
        module: Some("virtio-rng"),
        begin: |guest| {
            let draw = "while :; do dd if=/dev/hwrng of=/dev/null bs=4096 count=4 || usleep 50000; done >/dev/null 2>&1 &";
            guest.run(draw);
        },
        stands: nothing,
        came_back: nothing,
        goes_on: |guest| {
            wait(guest, "it gives bytes", |guest| {
                guest.run("dd if=/dev/hwrng bs=64 count=1 2>/dev/null | wc -c").trim() == "64"
            });
        },
    },
    Work {
        driver: "virtio_balloon",
        option: "--balloon",
        module: Some("virtio_balloon"),
        begin: nothing,
        stands: nothing,
        came_back: nothing,
        // It is left on its way to its size, for whoever takes the driver away.
        goes_on: |guest| {
            guest.resize_balloon("2M");
            wait(guest, "the balloon has its size", |guest| guest.balloon_bytes() == 2 * MIB);
            guest.resize_balloon("10M");
        },
    },
    Work {
        driver: "vmw_vsock_virtio_transport",
        option: "--vsock",
        module: None,
        begin: |guest| drop(guest.run("vsockwork >/tmp/vsock &")),
        stands: nothing,
        came_back: nothing,
        goes_on: |guest| {
            let rounds = |guest: &mut Guest| {
                let said = guest.run("grep -c 'round=.* bad=0' /tmp/vsock; grep BAD /tmp/vsock; true");
                said.trim().parse::<u64>().unwrap_or_else(|_| panic!("{said}"))
            };
            let before = rounds(guest);
            wait(guest, "more rounds to the host and back", |guest| rounds(guest) > before + 1);
        },
    },
    Work {
        driver: "virtio_console",
        option: "--console",
        module: None,
        begin: |guest| {
            guest.run("portwork >/tmp/ports 2>&1 &");
            wait(guest, "it answers", |guest| guest.run("cat /tmp/ports").contains("linux: ports agent"));
            // A device file that has gone must not be made anew as a file, by who opens it: the one that comes back would have
            // no place.
            guest.run("mount -o remount,bind,ro /dev");
        },
        stands: nothing,
        came_back: nothing,
        goes_on: |guest| {
            for (port, words) in [("agent", "one"), ("hvc0", "two")] {
                Client::at(&guest.port(if port == "hvc0" { "hvc" } else { port })).ask(port, words);
            }
        },
    },
];

impl Work {
    /// Begins.
    pub fn begin(&self, guest: &mut Guest) {
        (self.begin)(guest);
    }

    /// Waits until it stands.
    pub fn stands(&self, guest: &mut Guest) {
        (self.stands)(guest);
    }

    /// The driver is back.
    pub fn came_back(&self, guest: &mut Guest) {
        (self.came_back)(guest);
    }

    /// Waits until it has gone on.
    pub fn goes_on(&self, guest: &mut Guest) {
        (self.goes_on)(guest);
    }

    /// The ways of its driver.
    pub fn ways(&self) -> Vec<Way> {
        let folder = format!("/sys/bus/virtio/drivers/{}", self.driver);
        let unbound = Way {
            away: format!("d=$(cd {folder} && echo virtio*) && echo $d >{folder}/unbind"),
            back: format!("echo $d >{folder}/bind"),
        };
        let removed = self.module.map(|module| Way {
            away: format!("rmmod {}", module.replace('-', "_")),
            back: format!("insmod /modules/*-{module}.ko"),
        });
        [unbound].into_iter().chain(removed).collect()
    }
}

/// A number of the disk's last line, 0 before the first; nothing of it may be bad.
fn number(guest: &mut Guest, name: &str) -> u64 {
    let said = guest.run("grep BAD /tmp/block; tail -n 1 /tmp/block");
    if said.is_empty() {
        return 0;
    }
    assert!(!said.contains("BAD") && said.contains(" bad=0 "), "{said}");
    let word = said.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    word.and_then(|word| word.trim().parse().ok()).unwrap_or_else(|| panic!("no {name} in {said}"))
}

fn wait(guest: &mut Guest, what: &str, mut held: impl FnMut(&mut Guest) -> bool) {
    let begun = Instant::now();
    while !held(guest) {
        assert!(begun.elapsed() < PATIENCE, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(200));
    }
}
