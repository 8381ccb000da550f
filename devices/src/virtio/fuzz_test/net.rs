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
        net_with_wires,
    },
};

const HEADER_BYTES: usize = 12;
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
/// Commands of the control queue: an address, an announcement that was made, pairs that are used, and what is none.
const COMMANDS: [&[u8]; 7] = [
    &[1, 1, 2, 0, 0, 0, 0, 9],
    &[3, 0],
    &[4, 0, 1, 0],
    &[4, 0, 2, 0],
    &[4, 0, 3, 0],
    &[1, 1, 1, 0, 0, 0, 0, 9],
    &[9, 9, 9],
];

struct Card {
    wires: Vec<UnixDatagram>,
    config: NetConfig,
}

impl Card {
    fn new(queue_size: u16, num_queues: u16) -> Self {
        let config = NetConfig { queue_size, num_queues, ..NetConfig::on_tap("test") };
        Self { wires: net_with_wires(&config).1, config }
    }

    /// What has come out of the card by any wire.
    fn heard(&self) -> Vec<Vec<u8>> {
        let mut buffer = vec![0; 0x2_0000];
        let wires = self.wires.iter();
        let heard = wires.flat_map(|wire| {
            std::iter::from_fn(|| wire.recv(&mut buffer).ok().map(|len| buffer[..len].to_vec()))
                .collect::<Vec<_>>()
        });
        heard.collect()
    }
}

fn frame(len: usize, seed: u8) -> Vec<u8> {
    [vec![0; HEADER_BYTES], vec![seed; len]].concat()
}

impl Subject for Card {
    type Device = Net;

    fn fresh(&mut self) -> Net {
        let (net, wires) = net_with_wires(&self.config);
        self.wires = wires;
        net
    }

    fn request(&mut self, queue: usize, mutator: &mut Mutator) -> Request {
        match (queue % 2, queue < usize::from(self.config.num_queues)) {
            (RECEIVE, true) => Request { says: vec![], room: HEADER_BYTES + mutator.below(3000) },
            (_, true) => Request { says: frame(mutator.below(3000), 0x5a), room: 0 },
            _ => Request { says: COMMANDS[mutator.below(COMMANDS.len())].into(), room: 1 },
        }
    }

    fn host(&mut self, _: &mut VirtioMmio<Net>, mutator: &mut Mutator) {
        match mutator.below(4) {
            0 => drop(self.heard()),
            _ => {
                let wire = &self.wires[mutator.below(self.wires.len())];
                let _ = wire.send(&frame(mutator.below(5000), 0xb7));
            }
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
        self.wires[0].send(&sent).unwrap();
        driver.turn();
        assert_eq!(driver.used(RECEIVE), [(head, sent.len() as u32)]);
    }
}

#[test]
fn a_hostile_driver_of_a_network_card() {
    attack(23, SEQUENCES, |mutator| Card::new(256, [2, 2, 4, 6][mutator.below(4)]));
}

#[test]
fn a_network_card_works_with_queues_of_every_size() {
    take_every_size(Card::new(1024, 16));
}
