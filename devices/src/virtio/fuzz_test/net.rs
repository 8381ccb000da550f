use std::os::unix::net::UnixDatagram;

use super::{
    SEQUENCES,
    hostile::{Request, Subject, attack, take_every_size},
};
use crate::{
    fuzz_test::Mutator,
    virtio::{
        Net, NetConfig, VirtioMmio,
        driver_test::{BUFFERS, Driver, WRITE},
        net_with_a_wire,
    },
};

const HEADER_BYTES: usize = 12;
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
/// Commands of the control queue: an address, an announcement that was made, and one that there is not.
const COMMANDS: [&[u8]; 4] = [&[1, 1, 2, 0, 0, 0, 0, 9], &[3, 0], &[1, 1, 1, 0, 0, 0, 0, 9], &[9, 9, 9]];

struct Card {
    wire: UnixDatagram,
    config: NetConfig,
}

impl Card {
    fn new(queue_size: u16) -> Self {
        let config = NetConfig { queue_size, ..NetConfig::on_tap("test") };
        Self { wire: net_with_a_wire(&config).1, config }
    }
}

fn frame(len: usize, seed: u8) -> Vec<u8> {
    [vec![0; HEADER_BYTES], vec![seed; len]].concat()
}

impl Card {
    fn heard(&self) -> Vec<Vec<u8>> {
        let mut buffer = vec![0; 0x2_0000];
        std::iter::from_fn(|| self.wire.recv(&mut buffer).ok().map(|len| buffer[..len].to_vec())).collect()
    }
}

impl Subject for Card {
    type Device = Net;

    fn fresh(&mut self) -> Net {
        let (net, wire) = net_with_a_wire(&self.config);
        self.wire = wire;
        net
    }

    fn request(&mut self, queue: usize, mutator: &mut Mutator) -> Request {
        match queue {
            RECEIVE => Request { says: vec![], room: HEADER_BYTES + mutator.below(3000) },
            TRANSMIT => Request { says: frame(mutator.below(3000), 0x5a), room: 0 },
            _ => Request { says: COMMANDS[mutator.below(COMMANDS.len())].into(), room: 1 },
        }
    }

    fn host(&mut self, _: &mut VirtioMmio<Net>, mutator: &mut Mutator) {
        match mutator.below(4) {
            0 => drop(self.heard()),
            _ => drop(self.wire.send(&frame(mutator.below(5000), 0xb7))),
        }
    }

    fn serves(&mut self, driver: &mut Driver<Net>) {
        self.heard();
        let sent = frame(60, 0x33);
        driver.put(BUFFERS, &sent);
        driver.offer(TRANSMIT, &[(BUFFERS, sent.len() as u32, 0)]);
        driver.notify(TRANSMIT);
        assert_eq!(driver.used(TRANSMIT).len(), 1);
        assert!(self.heard().contains(&sent), "a frame is not sent");
        let head = driver.offer(RECEIVE, &[(BUFFERS + 0x1000, 0x800, WRITE)]);
        driver.notify(RECEIVE);
        self.wire.send(&sent).unwrap();
        driver.turn();
        assert_eq!(driver.used(RECEIVE), [(head, sent.len() as u32)]);
    }
}

#[test]
fn a_hostile_driver_of_a_network_card() {
    attack(23, SEQUENCES, |_| Card::new(256));
}

#[test]
fn a_network_card_works_with_queues_of_every_size() {
    take_every_size(Card::new(1024));
}
