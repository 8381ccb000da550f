//! Takes the drivers of a Linux guest from its devices and gives them back, in the middle of what they do: the device is reset
//! with work under way, comes back, works, and moves; and once all of them come and go while the guest moves. The works in
//! the guest are the judges. Made for a host with a complete KVM, as `linux-journey`.
//!
//! Or gives each device a guest of its own, which works on it through ten moves in a row.
//!
//! `drivers-journey KERNEL INITRD [alone]`, with `GODWIT_BIN` naming the program under test. Prints a line for each thing that
//! held; ends with a panic at the first harm.

mod guest;
mod works;

use std::{env, time::Instant};

use guest::{Guest, bridge_taps};
use works::{WORKS, Work};

/// What a guest does all the time in the end: takes each driver away and gives it back.
const COME_AND_GO: &str = "while [ ! -e /tmp/stop ]; do \
    for d in /sys/bus/virtio/devices/virtio*; do \
        v=${d##*/}; r=$(readlink $d/driver); r=${r##*/}; \
        [ -z \"$r\" ] || { echo $v >$d/driver/unbind; usleep 100000; echo $v >/sys/bus/virtio/drivers/$r/bind; }; \
    done; echo round >>/tmp/rounds; done >/tmp/come-and-go 2>&1 &";
/// Moves of a guest with one device.
const MOVES: usize = 10;
/// Slow enough that each driver comes and goes a few times while pages travel.
const SLOWLY: [&str; 2] = ["--bandwidth", "4MB/s"];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    bridge_taps();
    match &arguments[..] {
        [kernel, initrd] => come_and_go(kernel, initrd),
        [kernel, initrd, word] if word == "alone" => alone(kernel, initrd),
        _ => panic!("KERNEL INITRD [alone] are wanted: {arguments:?}"),
    }
}

/// Each device in a guest of its own.
fn alone(kernel: &str, initrd: &str) {
    for work in WORKS {
        let begun = Instant::now();
        let mut guest = Guest::boot(kernel, initrd, Some(work.option));
        work.begin(&mut guest);
        work.goes_on(&mut guest);
        for _ in 0..MOVES {
            guest.moved(&[]);
            work.goes_on(&mut guest);
        }
        guest.end();
        println!("{}: {MOVES} moves in a row, {:.0} s", work.option, begun.elapsed().as_secs_f64());
    }
    println!("every device lasted alone");
}

/// All devices in one guest, whose drivers come and go.
fn come_and_go(kernel: &str, initrd: &str) {
    let mut guest = Guest::boot(kernel, initrd, None);
    for work in WORKS {
        work.begin(&mut guest);
        work.goes_on(&mut guest);
    }
    println!("every device is at work");
    for work in WORKS {
        again(&mut guest, work);
        guest.moved(&[]);
        work.goes_on(&mut guest);
        println!("{}: moved right after it", work.driver);
    }

    guest.run(COME_AND_GO);
    let report = guest.moved(&SLOWLY);
    let rounds = guest.run("echo stop >/tmp/stop; wait $!; cat /tmp/come-and-go; wc -l </tmp/rounds");
    assert!(rounds.trim().parse::<u32>().is_ok_and(|rounds| rounds > 0), "{rounds}");
    println!("all drivers came and went in {:.0} s of a move: {} rounds", report.total_s, rounds.trim());
    for work in WORKS {
        work.came_back(&mut guest);
        work.goes_on(&mut guest);
    }
    guest.end();
    println!("all drivers went and came back");
}

/// Takes the driver of `work` away in the middle of it, by each way there is, and gives it back.
fn again(guest: &mut Guest, work: &Work) {
    for ways in work.ways() {
        let begun = Instant::now();
        guest.run(&ways.away);
        let went = begun.elapsed();
        work.stands(guest);
        guest.run(&ways.back);
        work.came_back(guest);
        work.goes_on(guest);
        println!("{}: gone in {:.2} s, and back", work.driver, went.as_secs_f64());
    }
}
