//! Reads the hardware random number generator from time to time, on a thread of its own because it may block for ever.

use std::{
    fs::File,
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

const DEVICE: &str = "/dev/hwrng";
const BYTES: usize = 32;
const PAUSE: Duration = Duration::from_millis(250);

/// Starts the thread; the counter says how many bytes have come, and stays 0 where there is no device.
pub fn start() -> Arc<AtomicU64> {
    let count = Arc::new(AtomicU64::new(0));
    if let Ok(device) = File::open(DEVICE) {
        let counter = count.clone();
        thread::spawn(move || read(device, &counter));
    }
    count
}

/// Ends with the first error: a device that has gone does not come back.
fn read(mut device: impl Read, counter: &AtomicU64) {
    let mut bytes = [0; BYTES];
    while let Ok(got @ 1..) = device.read(&mut bytes) {
        counter.fetch_add(got as u64, Ordering::Relaxed);
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_until_there_are_no_more() {
        let counter = AtomicU64::new(0);
        read(&[7u8; BYTES + 1][..], &counter);
        assert_eq!(counter.load(Ordering::Relaxed), BYTES as u64 + 1);
    }
}
