use std::os::unix::net::UnixListener;

use super::{
    SEQUENCES,
    hostile::{Request, Subject, attack, take_every_size},
    sockets::Sockets,
};
use crate::{
    fuzz_test::Mutator,
    virtio::{
        VirtioMmio, Vsock, VsockConfig,
        driver_test::{BUFFERS, Driver, WRITE},
    },
};

const CID: u64 = 3;
const HOST: u64 = 2;
const HEADER_BYTES: usize = 44;
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
/// A port at which somebody listens, for the attack and for what is right after it.
const ATTACKED_PORT: u32 = 5;
const RIGHT_PORT: u32 = 77;
const REQUEST: u16 = 1;
const RESPONSE: u16 = 2;

struct Streams {
    /// Clients are the host's ends of streams.
    sockets: Sockets,
    listeners: Vec<UnixListener>,
    /// The guest's port of the last right request.
    asked: u32,
}

fn packet(from: u32, to: u32, op: u16, flags: u32, credit: [u32; 2], data: &[u8]) -> Vec<u8> {
    let mut bytes = [CID.to_le_bytes(), HOST.to_le_bytes()].concat();
    [from, to, data.len() as u32].iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    [1, op].iter().for_each(|half| bytes.extend(half.to_le_bytes()));
    [flags, credit[0], credit[1]].iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    bytes.extend(data);
    bytes
}

impl Streams {
    fn new() -> Self {
        Self { sockets: Sockets::new(), listeners: vec![], asked: 2000 }
    }
}

impl Subject for Streams {
    type Device = Vsock;

    fn fresh(&mut self) -> Vsock {
        self.sockets.made += 1;
        let config = VsockConfig { cid: CID as u32, socket: self.sockets.path("") };
        self.listeners = [ATTACKED_PORT, RIGHT_PORT]
            .map(|port| {
                let listener = UnixListener::bind(self.sockets.path(&format!("_{port}"))).unwrap();
                listener.set_nonblocking(true).unwrap();
                listener
            })
            .into();
        Vsock::new(&config).unwrap()
    }

    fn request(&mut self, queue: usize, mutator: &mut Mutator) -> Request {
        match queue {
            RECEIVE => Request { says: vec![], room: HEADER_BYTES + 1 + mutator.below(3000) },
            TRANSMIT => {
                let from = 1000 + mutator.below(4) as u32;
                let to = [ATTACKED_PORT, 6, 1 << 30, (1 << 30) + 1][mutator.below(4)];
                let op = [REQUEST, REQUEST, RESPONSE, 3, 4, 5, 5, 6, 7, 9][mutator.below(10)];
                let data = vec![0x61; if op == 5 { mutator.below(4000) } else { 0 }];
                let credit = [[0x1_0000, u32::MAX, 0][mutator.below(8).min(2)], mutator.below(2) as u32 * 7];
                Request { says: packet(from, to, op, mutator.below(4) as u32, credit, &data), room: 0 }
            }
            _ => Request { says: vec![], room: 4 },
        }
    }

    fn host(&mut self, _: &mut VirtioMmio<Vsock>, mutator: &mut Mutator) {
        match mutator.below(6) {
            0 | 1 => {
                let says = ["CONNECT 9\n", "CONNECT 10", "CONNECT 99999999999\n", "HELLO\nCONNECT 4\n"];
                self.sockets.connect("", says[mutator.below(6).saturating_sub(2)].as_bytes());
            }
            2 => {
                if let Ok((client, _)) = self.listeners[0].accept() {
                    self.sockets.add(client, &[]);
                }
            }
            way => self.sockets.go_or_talk(way == 3, b'b', mutator),
        }
    }

    fn serves(&mut self, driver: &mut Driver<Vsock>) {
        self.sockets.clients.clear();
        let room = |driver: &mut Driver<Vsock>| {
            driver.offer(RECEIVE, &[(BUFFERS + 0x1000, 0x1000, WRITE)]);
            driver.notify(RECEIVE);
        };
        room(driver);
        self.asked += 1;
        let from = self.asked;
        let asked = packet(from, RIGHT_PORT, REQUEST, 0, [0x1_0000, 0], &[]);
        driver.put(BUFFERS, &asked);
        driver.offer(TRANSMIT, &[(BUFFERS, asked.len() as u32, 0)]);
        driver.notify(TRANSMIT);
        // Others may be told of before it: clients that waited while the device had no driver.
        driver.turn_until(|driver| {
            let used = driver.used(RECEIVE);
            let header = driver.bytes(BUFFERS + 0x1000, HEADER_BYTES);
            let answers = header[16..24] == [RIGHT_PORT.to_le_bytes(), from.to_le_bytes()].concat()[..];
            if !used.is_empty() && !answers {
                room(driver);
            }
            (!used.is_empty() && answers).then(|| assert_eq!(header[30..32], RESPONSE.to_le_bytes()))
        });
        self.listeners[1].accept().unwrap();
    }
}

#[test]
fn a_hostile_driver_of_sockets() {
    attack(25, SEQUENCES, |_| Streams::new());
}

#[test]
fn sockets_work_with_queues_of_every_size() {
    take_every_size(Streams::new());
}
