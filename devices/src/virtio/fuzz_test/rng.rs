use super::{
    SEQUENCES,
    hostile::{Request, Subject, attack, take_every_size},
};
use crate::{
    fuzz_test::Mutator,
    virtio::{
        Rng, VirtioMmio,
        driver_test::{BUFFERS, Driver, WRITE},
    },
};

struct Source {
    config: &'static str,
}

impl Subject for Source {
    type Device = Rng;

    fn fresh(&mut self) -> Rng {
        Rng::configured(&self.config.parse().unwrap()).unwrap()
    }

    fn request(&mut self, _: usize, mutator: &mut Mutator) -> Request {
        Request { says: vec![], room: 1 + mutator.below(5000) }
    }

    fn host(&mut self, _: &mut VirtioMmio<Rng>, _: &mut Mutator) {}

    fn serves(&mut self, driver: &mut Driver<Rng>) {
        let before = driver.bytes(BUFFERS, 64);
        let head = driver.offer(0, &[(BUFFERS, 64, WRITE)]);
        driver.notify(0);
        let used = driver.turn_until(|driver| Some(driver.used(0)).filter(|used| !used.is_empty()));
        assert_eq!(used, [(head, 64)]);
        assert_ne!(driver.bytes(BUFFERS, 64), before);
    }
}

#[test]
fn a_hostile_driver_of_an_entropy_source() {
    attack(21, SEQUENCES, |mutator| Source {
        config: ["", "bw_size=32K,bw_refill_time=10"][mutator.below(4) / 3],
    });
}

#[test]
fn an_entropy_source_works_with_queues_of_every_size() {
    take_every_size(Source { config: "" });
}
