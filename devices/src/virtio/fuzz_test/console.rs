use super::{
    SEQUENCES,
    hostile::{Request, Subject, attack, take_every_size},
    sockets::Sockets,
};
use crate::{
    StopLine,
    fuzz_test::Mutator,
    virtio::{
        Console, VirtioMmio,
        driver_test::{BUFFERS, Driver},
    },
};

const MESSAGES_TO_GUEST: usize = 2;
const MESSAGES: usize = 3;
const OUTPUT: usize = 1;

struct Ports(Sockets);

impl Subject for Ports {
    type Device = Console;

    fn fresh(&mut self) -> Console {
        self.0.made += 1;
        let ports = [
            format!("file={}", self.0.path(".log").display()),
            format!("name=agent,socket={}", self.0.path(".agent").display()),
        ];
        let ports = ports.map(|port| port.parse().unwrap());
        Console::new(&ports.each_ref(), StopLine::new().unwrap()).unwrap()
    }

    fn request(&mut self, queue: usize, mutator: &mut Mutator) -> Request {
        match queue {
            MESSAGES_TO_GUEST => Request { says: vec![], room: 8 + mutator.below(100) },
            MESSAGES => {
                let port = mutator.below(3) as u32;
                let (event, value) = ([0, 3, 6, 6, 1, 99][mutator.below(6)], mutator.below(4).min(1) as u16);
                let event: [u8; 2] = u16::to_le_bytes(event);
                let says = [&port.to_le_bytes()[..], &event, &value.to_le_bytes()].concat();
                Request { says, room: 0 }
            }
            to_guest if to_guest % 2 == 0 => Request { says: vec![], room: 1 + mutator.below(5000) },
            _ => Request { says: vec![b'x'; 1 + mutator.below(9000)], room: 0 },
        }
    }

    fn host(&mut self, _: &mut VirtioMmio<Console>, mutator: &mut Mutator) {
        match mutator.below(4) {
            0 => self.0.connect(".agent", &[]),
            way => self.0.go_or_talk(way == 1, b'y', mutator),
        }
    }

    fn serves(&mut self, driver: &mut Driver<Console>) {
        let said = format!("the end of {}", self.0.made);
        driver.put(BUFFERS, said.as_bytes());
        let head = driver.offer(OUTPUT, &[(BUFFERS, said.len() as u32, 0)]);
        driver.notify(OUTPUT);
        let log = self.0.path(".log");
        driver.turn_until(|_| std::fs::read(&log).unwrap().ends_with(said.as_bytes()).then_some(()));
        assert_eq!(driver.used(OUTPUT), [(head, 0)]);
    }
}

#[test]
fn a_hostile_driver_of_consoles() {
    attack(26, SEQUENCES, |_| Ports(Sockets::new()));
}

#[test]
fn consoles_work_with_queues_of_every_size() {
    take_every_size(Ports(Sockets::new()));
}
