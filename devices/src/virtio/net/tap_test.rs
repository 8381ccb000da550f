//! Real taps, in a network that the test makes for itself, with the host's own stack at the other end. Where this
//! process may not make one, nothing can be shown, and the test says so.

use std::{
    fs::File,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    os::fd::AsRawFd,
    process::Command,
    thread,
    time::Duration,
};

use super::{Mac, Net, NetConfig, Tap, features::*, sys};
use crate::virtio::{
    driver_test::{BUFFERS, Driver, WRITE},
    registers::{INTERRUPT_CONFIG, INTERRUPT_STATUS},
};

const MAC: Mac = Mac([0x52, 0x54, 0, 0, 0, 2]);
const HOST: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const PORT: u16 = 4009;
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
/// The control queue of a card of two pairs.
const CONTROL: usize = 4;
/// So many streams do not all happen to be spread to one queue of two.
const STREAMS: usize = 24;
const IP_HEADER: usize = HEADER_BYTES + 14;
const UDP_HEADER: usize = IP_HEADER + 20;
const PAYLOAD: usize = UDP_HEADER + 8;

/// Runs `test` in a network of its own.
fn in_own_network(test: fn()) {
    let thread = thread::spawn(move || match sys::own_network() {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            eprintln!("not shown: this process may not make a network of its own");
        }
        made => {
            made.unwrap();
            test();
        }
    });
    thread.join().unwrap();
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

fn card(name: &str, mtu: Option<u16>) -> Net {
    Net::new(&NetConfig { mac: Some(MAC), mtu, ..NetConfig::on_tap(name) }).unwrap()
}

/// The sum that makes an Internet checksum right.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// A datagram from the guest to the host, behind a header that asks for nothing, without a checksum of its own.
fn datagram(to: Mac, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; HEADER_BYTES];
    for part in [&to.0[..], &MAC.0, &[8, 0]] {
        frame.extend_from_slice(part);
    }
    let mut header = vec![0x45, 0];
    header.extend_from_slice(&(28 + payload.len() as u16).to_be_bytes());
    header.extend_from_slice(&[0, 0, 0, 0, 64, 17, 0, 0]);
    header.extend_from_slice(&[GUEST.octets(), HOST.octets()].concat());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend_from_slice(&header);
    for number in [PORT, PORT, 8 + payload.len() as u16, 0] {
        frame.extend_from_slice(&number.to_be_bytes());
    }
    frame.extend_from_slice(payload);
    frame
}

/// Gives buffers until the host's datagram arrives, which it does among what a stack says of its own accord.
fn hear(driver: &mut Driver<Net>, payload: &[u8]) -> Vec<u8> {
    hear_by(driver, RECEIVE, payload)
}

/// As [`hear`], in another queue.
fn hear_by(driver: &mut Driver<Net>, queue: usize, payload: &[u8]) -> Vec<u8> {
    driver.turn_until(|driver| {
        if driver.used(queue).is_empty() {
            driver.offer(queue, &[(BUFFERS, 0x1_2000, WRITE)]);
            driver.notify(queue);
        }
        let frame = driver.bytes(BUFFERS, PAYLOAD + payload.len());
        frame.ends_with(payload).then_some(frame)
    })
}

fn the_hosts_stack_and_the_guest_hear_each_other() {
    let net = card("tap0", Some(9000));
    ip("addr add 10.9.0.1/24 dev tap0");
    ip("neigh add 10.9.0.2 lladdr 52:54:00:00:00:02 dev tap0");
    let mtu = std::fs::read_to_string("/sys/class/net/tap0/mtu");
    // A network of one's own is not always seen in /sys.
    assert!(mtu.is_err() || mtu.unwrap().trim() == "9000");
    let socket = UdpSocket::bind((HOST, PORT)).unwrap();
    let mut driver = Driver::ready(net, CSUM | F_MRG_RXBUF | F_MTU);
    assert_eq!(driver.config::<2>(10), 9000_u16.to_le_bytes());

    let long: Vec<u8> = (0..8000).map(|n| n as u8).collect();
    socket.send_to(&long, SocketAddrV4::new(GUEST, PORT)).unwrap();
    let frame = hear(&mut driver, &long);
    assert_eq!(frame[0], 1, "VIRTIO_NET_HDR_F_NEEDS_CSUM: the guest may finish it");
    assert_eq!(frame[HEADER_BYTES..][..6], MAC.0);
    let host = Mac(frame[HEADER_BYTES + 6..][..6].try_into().unwrap());

    driver.put(BUFFERS, &datagram(host, &long));
    driver.offer(TRANSMIT, &[(BUFFERS, (PAYLOAD + long.len()) as u32, 0)]);
    driver.notify(TRANSMIT);
    let mut heard = vec![0; 10_000];
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (len, from) = socket.recv_from(&mut heard).unwrap();
    assert_eq!((&heard[..len], from), (&long[..], SocketAddrV4::new(GUEST, PORT).into()));

    // A header that makes no sense is the guest's loss alone.
    let mut senseless = datagram(host, b"senseless");
    senseless[..4].copy_from_slice(&[1, 0x77, 0xff, 0xff]);
    driver.put(BUFFERS, &senseless);
    driver.put(BUFFERS + 0x1000, &datagram(host, b"good"));
    driver.offer(TRANSMIT, &[(BUFFERS, senseless.len() as u32, 0)]);
    driver.offer(TRANSMIT, &[(BUFFERS + 0x1000, (PAYLOAD + 4) as u32, 0)]);
    driver.notify(TRANSMIT);
    let (len, _) = socket.recv_from(&mut heard).unwrap();
    assert_eq!((&heard[..len], driver.needs_reset()), (&b"good"[..], false));
}

fn one_without_offloads_is_given_finished_frames() {
    let net = card("tap0", None);
    ip("addr add 10.9.0.1/24 dev tap0");
    ip("neigh add 10.9.0.2 lladdr 52:54:00:00:00:02 dev tap0");
    let socket = UdpSocket::bind((HOST, PORT)).unwrap();
    let mut driver = Driver::ready(net, 0);
    socket.send_to(b"complete", SocketAddrV4::new(GUEST, PORT)).unwrap();
    let frame = hear(&mut driver, b"complete");
    assert_eq!(frame[..HEADER_BYTES], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    // Over the pseudo header, its own and the payload, its checksum included, the sum is right.
    let pseudo = [&frame[IP_HEADER + 12..UDP_HEADER], &[0, 17, 0, 16], &frame[UDP_HEADER..]].concat();
    assert_eq!(checksum(&pseudo), 0);
}

fn an_interface_that_is_removed_is_a_link_that_is_down() {
    let mut driver = Driver::ready(card("tap0", None), F_STATUS);
    assert_eq!(driver.config::<2>(6), [1, 0]);
    driver.offer(RECEIVE, &[(BUFFERS, 2000, WRITE)]);
    ip("link del tap0");
    driver.turn_until(|driver| (driver.config::<2>(6) == [0, 0]).then_some(()));
    assert_eq!(driver.read(INTERRUPT_STATUS) & INTERRUPT_CONFIG, INTERRUPT_CONFIG);
    driver.put(BUFFERS, &datagram(MAC, b"to nowhere"));
    driver.offer(TRANSMIT, &[(BUFFERS, 60, 0)]);
    driver.notify(TRANSMIT);
    assert_eq!((driver.used(TRANSMIT).len(), driver.needs_reset()), (1, false));
}

/// A card of two pairs on a tap that is made for it, and what the host sends to the guest of its own accord.
fn the_host_answers_by_the_pair_that_it_was_asked_by() {
    let config = NetConfig { mac: Some(MAC), num_queues: 4, ..NetConfig::on_tap("tap0") };
    let mut driver = Driver::ready(Net::new(&config).unwrap(), CSUM | F_MRG_RXBUF | F_MQ | F_CTRL_VQ);
    ip("addr add 10.9.0.1/24 dev tap0");
    ip("link set tap0 address 52:54:00:00:00:01");
    ip("neigh add 10.9.0.2 lladdr 52:54:00:00:00:02 dev tap0");
    let host = Mac([0x52, 0x54, 0, 0, 0, 1]);
    let socket = UdpSocket::bind((HOST, PORT)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // One pair, then both, then one again: the host keeps to those that are used.
    for (used, by) in [(1, 0), (2, 1), (1, 0)] {
        driver.put(BUFFERS, &[4, 0, used, 0]);
        driver.offer(CONTROL, &[(BUFFERS, 4, 0), (BUFFERS + 0x10, 1, WRITE)]);
        driver.notify(CONTROL);
        assert_eq!(driver.bytes(BUFFERS + 0x10, 1), [0]);
        let asked = [b"asked by pair ", &[b'0' + by as u8][..]].concat();
        driver.put(BUFFERS, &datagram(host, &asked));
        driver.offer(TRANSMIT + 2 * by, &[(BUFFERS, (PAYLOAD + asked.len()) as u32, 0)]);
        driver.notify(TRANSMIT + 2 * by);
        let mut heard = [0; 100];
        let (len, from) = socket.recv_from(&mut heard).unwrap();
        assert_eq!(heard[..len], asked);
        let answer = [b"answer of ", &[b'0' + used, b'0' + by as u8][..]].concat();
        socket.send_to(&answer, from).unwrap();
        hear_by(&mut driver, RECEIVE + 2 * by, &answer);
    }
    // Streams of which the guest has said nothing are spread over what is used: over one, now.
    for stream in 0..STREAMS {
        let socket = UdpSocket::bind((HOST, 0)).unwrap();
        let said = format!("of stream {stream}");
        socket.send_to(said.as_bytes(), (GUEST, PORT)).unwrap();
        hear(&mut driver, said.as_bytes());
    }
    let taken = Tap::open("tap0", None, 1).unwrap_err().to_string();
    assert!(taken.contains("cannot be a tap of one queue: it was made for several"), "{taken}");
    let _one = Tap::open("tap1", None, 1).unwrap();
    let one = Tap::open("tap1", None, 2).unwrap_err().to_string();
    assert!(one.contains("cannot be a tap of 2 queues: it was made for one ('ip tuntap add"), "{one}");
}

fn a_tap_that_cannot_be_had_is_named() {
    let first = Tap::open("tap0", None, 1).unwrap().remove(0);
    let said = |result: Result<Vec<Tap>, super::TapError>| result.unwrap_err().to_string();
    assert_eq!(said(Tap::open("tap0", None, 1)), "tap 'tap0' is in use by another process");
    assert!(said(Tap::open("lo", None, 1)).contains("another kind of interface"));
    assert!(said(Tap::open("a-name-of-17-byte", None, 1)).contains("has no name of up to 15 characters"));
    assert!(
        said(Tap::open("tap1", Some(100), 1).and_then(|_| Tap::open("tap2", Some(65_535), 1)))
            .contains("MTU of 65535")
    );
    let given = Tap::given(&[first.as_raw_fd()]).unwrap().remove(0);
    assert_eq!(given.name(), "tap0");
    assert!(said(Tap::given(&[12_345])).starts_with("descriptor 12345 is not open"));
    let file = File::open("/dev/null").unwrap();
    assert!(said(Tap::given(&[file.as_raw_fd()])).ends_with("is not a tap"));
    let bare = File::options().read(true).write(true).open("/dev/net/tun").unwrap();
    sys::attach(&bare, "tap3", libc::IFF_TAP | libc::IFF_NO_PI).unwrap();
    let why = said(Tap::given(&[bare.as_raw_fd()]));
    assert!(why.contains("is interface 'tap3'") && why.contains("IFF_VNET_HDR"), "{why}");
}

#[test]
fn real_taps_carry_frames_and_tell_of_their_troubles() {
    for test in [
        the_hosts_stack_and_the_guest_hear_each_other,
        one_without_offloads_is_given_finished_frames,
        an_interface_that_is_removed_is_a_link_that_is_down,
        the_host_answers_by_the_pair_that_it_was_asked_by,
        a_tap_that_cannot_be_had_is_named,
    ] {
        in_own_network(test);
    }
}
