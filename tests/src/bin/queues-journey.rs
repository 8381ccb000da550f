//! Has Linux's own drivers work with virtio queues from the least to the largest: a disk that is written and read back by several
//! threads at once, and streams through a network card in both directions, as large as the sender makes its frames. Made for
//! a host with a complete KVM, as `linux-journey`.
//!
//! `queues-journey KERNEL INITRD [DISK/NET]...`, entries of a disk's and of a card's queues, with `GODWIT_BIN` naming the program
//! under test. Prints a line for each thing that held; ends with a panic at the first harm.

use std::{
    env, fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use godwit_tests::{network::bridge, shell::Shell, site::Site, vmm::Vmm};

/// Longest wait for one thing; the nested host is software.
const PATIENCE: Duration = Duration::from_secs(90);
/// The least that godwit takes, and the most.
const SIZES: [&str; 2] = ["4/128", "1024/1024"];
const CMDLINE: &str = "console=ttyS0 quiet panic=-1 rcupdate.rcu_cpu_stall_suppress=1 godwit.shell=1 godwit.mem=4M \
    godwit.rate=50 godwit.echo=7 godwit.ip=10.0.0.2/24";
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// The same for one guest after the other: this host asks for the address of who answered a moment ago half a minute later, or more.
const MAC: &str = "52:54:00:12:34:56";
/// Bytes that go to the guest and come back, more than a card's smaller queues hold.
const BYTES: usize = 512 << 10;
/// They go in so many parts, each after so many bytes one by one, and come back in pieces.
const PARTS: usize = 4;
const SMALL: usize = 100;
const PIECE: usize = 16 << 10;
/// Writes and reads of the disk that are waited for.
const WRITES: u64 = 100;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [kernel, initrd, sizes @ ..] = &arguments[..] else {
        panic!("KERNEL INITRD are wanted: {arguments:?}")
    };
    bridge("br0", "10.0.0.1/24", &["tap0"]);
    // Frames of 64 KiB, as a fast host sends them: this one would send small ones, to keep them even.
    fs::write("/proc/sys/net/ipv4/tcp_min_tso_segs", "44").expect("this host is ours");
    let sizes: Vec<&str> =
        if sizes.is_empty() { SIZES.into() } else { sizes.iter().map(String::as_str).collect() };
    for size in sizes {
        let (disk, net) = size.split_once('/').expect("DISK/NET");
        works(kernel, initrd, disk, net);
    }
    println!("queues of every size worked");
}

fn works(kernel: &str, initrd: &str, disk: &str, net: &str) {
    let site = Site::open();
    let image = site.holding("disk.img", &vec![0; 16 << 20]);
    let machine = ["--kernel", kernel, "--initrd", initrd, "--memory", "128M", "--cmdline", CMDLINE];
    let devices = [
        "--disk",
        &format!("path={image},serial=GW-QUEUES,queue_size={disk}"),
        "--net",
        &format!("tap=tap0,mac={MAC},queue_size={net}"),
    ];
    let mut guest = site.run(&[&machine[..], &devices].concat());
    let mut shell = Shell::of_busybox(&mut guest, PATIENCE);
    let begun = Instant::now();
    shell.run(&mut guest, "blockwork GW-QUEUES 4 >/tmp/block &", PATIENCE);
    let longest = exchange();
    let exchanged = begun.elapsed();
    while block(&mut shell, &mut guest, "writes") < WRITES {
        assert!(begun.elapsed() < PATIENCE, "the disk is not written to");
        thread::sleep(Duration::from_millis(200));
    }
    let harm = shell.run(&mut guest, "dmesg | grep -E 'WATCHDOG|BUG|I/O error|blocked for'; true", PATIENCE);
    assert!(harm.is_empty(), "{harm}");
    assert_eq!(guest.ask(&["shutdown"]).status, 0);
    assert_eq!(guest.end().status, 0);
    println!(
        "disk queue of {disk}, network queues of {net}: {BYTES} bytes there and back in {:.1} s, none for {:.1} s at most",
        exchanged.as_secs_f64(),
        longest.as_secs_f64()
    );
}

/// A number of the disk's last line, 0 before the first; nothing of it may be bad.
fn block(shell: &mut Shell, guest: &mut Vmm, name: &str) -> u64 {
    let said = shell.run(guest, "grep BAD /tmp/block; tail -n 1 /tmp/block", PATIENCE);
    if said.is_empty() {
        return 0;
    }
    assert!(!said.contains("BAD") && said.contains(" bad=0 "), "{said}");
    let word = said.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    word.and_then(|word| word.trim().parse().ok()).unwrap_or_else(|| panic!("no {name} in {said}"))
}

/// Sends a pattern as fast as it is taken, and checks that it comes back; how long nothing came, at most. Between the large
/// pieces are many small ones: Linux takes the buffers for what it receives as large as what it has received, and gives new
/// ones when half are used, so that the next large frame finds few and small ones.
fn exchange() -> Duration {
    let guest = SocketAddr::from((GUEST, 7));
    let mut stream = TcpStream::connect_timeout(&guest, PATIENCE).expect("the guest answers");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.set_nodelay(true).expect("small pieces go at once");
    let sent: Vec<u8> = (0..BYTES).map(|at| (at * 31 + at / 4099) as u8).collect();
    let mut longest = Duration::ZERO;
    for part in sent.chunks(BYTES / PARTS) {
        for small in part[..SMALL].chunks(1) {
            stream.write_all(small).expect("the guest takes it");
            longest = longest.max(comes_back(&mut stream, small));
        }
        let mut writer = stream.try_clone().expect("a second descriptor");
        thread::scope(|scope| {
            scope.spawn(move || writer.write_all(part).expect("the guest takes it"));
            for piece in part.chunks(PIECE) {
                longest = longest.max(comes_back(&mut stream, piece));
            }
        });
    }
    longest
}

/// Reads what was sent; how long that took.
fn comes_back(stream: &mut TcpStream, sent: &[u8]) -> Duration {
    let (begun, mut got) = (Instant::now(), vec![0; sent.len()]);
    stream.read_exact(&mut got).expect("the guest sends it back");
    assert!(got == sent, "what comes back is not what was sent");
    begun.elapsed()
}
