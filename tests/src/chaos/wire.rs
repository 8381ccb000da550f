//! The network between a source and a target, which does one thing wrong at one step of the protocol.
//!
//! Each direction of each connection has a thread that passes on whole messages and frames. The one that meets the step
//! does what the fault says; what happens to processes is done by whoever made the wire, in `act`.

use std::{
    io::Write,
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use super::{
    case::Injection,
    fault::Fault,
    point::{Place, Side},
    units::{Unit, Units, What},
};

/// The wire, from [`Self::address`] to a target. What it carries ends with it.
pub struct Wire {
    address: String,
    shared: Arc<Shared>,
}

type Act = Box<dyn Fn() + Send + Sync>;

struct Shared {
    target: String,
    injection: Injection,
    act: Act,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    fired: bool,
    /// Nothing passes.
    stalled: bool,
    /// Nobody gets a connection.
    refusing: bool,
    over: bool,
    /// `Go` has been passed on, whole and as it was said.
    go_passed: bool,
    /// Bytes that have passed on lanes.
    lane_bytes: usize,
    links: Vec<Link>,
    /// The messages that have passed, for people.
    history: Vec<String>,
}

/// A connection.
struct Link {
    source: TcpStream,
    target: TcpStream,
    /// The lane that it said to be.
    lane: Option<u8>,
}

impl Link {
    fn cut(&self) {
        // One that has ended already is cut.
        let _ = (self.source.shutdown(Shutdown::Both), self.target.shutdown(Shutdown::Both));
    }
}

impl Wire {
    /// A wire to `target` (`tcp:HOST:PORT`) with a fault in it. Faults of processes are what `act` does.
    ///
    /// # Panics
    /// Where loopback has no port left, or `target` is no TCP address.
    #[must_use]
    pub fn to(target: &str, injection: Injection, act: impl Fn() + Send + Sync + 'static) -> Self {
        let target = target.strip_prefix("tcp:").expect("a wire leads to a TCP address").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address").to_string();
        let shared = Arc::new(Shared {
            target,
            injection,
            act: Box::new(act),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let carrying = Arc::clone(&shared);
        thread::spawn(move || accept_all(&listener, &carrying));
        Self { address, shared }
    }

    /// Where a source connects.
    #[must_use]
    pub fn address(&self) -> String {
        format!("tcp:{}", self.address)
    }

    /// Whether the step has come, and the fault with it.
    #[must_use]
    pub fn fired(&self) -> bool {
        self.shared.state().fired
    }

    /// Whether the target has been sent `Go`.
    #[must_use]
    pub fn go_passed(&self) -> bool {
        self.shared.state().go_passed
    }

    /// The messages that have passed, for people.
    #[must_use]
    pub fn history(&self) -> String {
        self.shared.state().history.join(" ")
    }

    /// The network is mended: what was held back passes, and connections can be made.
    pub fn mend(&self) {
        let mut state = self.shared.state();
        (state.stalled, state.refusing) = (false, false);
        self.shared.changed.notify_all();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.over = true;
            state.links.iter().for_each(Link::cut);
        }
        self.shared.changed.notify_all();
        // Wakes the thread that accepts; where that is gone, there is nobody to wake.
        drop(TcpStream::connect(&self.address));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while nothing passes; false when the wire is gone.
    fn wait_passable(&self) -> bool {
        let mut state = self.state();
        while state.stalled && !state.over {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.over
    }

    /// Takes note of a unit before it passes; true where it is the one at which the fault comes.
    fn meet(&self, link: usize, side: Side, unit: &Unit) -> bool {
        let mut state = self.state();
        match &unit.what {
            What::LaneHello(lane) => state.links[link].lane = Some(*lane),
            What::Message(name) => {
                state.history.push(format!("{}{name}", if side == Side::Source { '>' } else { '<' }));
            }
            _ => {}
        }
        let place = Place { side, link, lane_bytes: state.lane_bytes };
        match &unit.what {
            What::Frame(kind, round) => {
                state.lane_bytes += unit.bytes.len();
                if let Some(kind) = kind {
                    state.history.push(format!("={kind:?}{round}"));
                }
            }
            What::Record(_) if link > 0 => state.lane_bytes += unit.bytes.len(),
            _ => {}
        }
        let fires = !state.fired && self.injection.point.is(&unit.what, place, &self.injection);
        state.fired |= fires;
        fires
    }

    /// Cuts the links that `chosen` tells by their numbers and what they are; the first is the control link.
    fn cut(&self, chosen: impl Fn(usize, &Link) -> bool) {
        let state = self.state();
        let chosen = state.links.iter().enumerate().filter(|(number, link)| chosen(*number, link));
        chosen.for_each(|(_, link)| link.cut());
    }
}

fn accept_all(listener: &TcpListener, shared: &Arc<Shared>) {
    for source in listener.incoming() {
        let Ok(source) = source else { return };
        {
            let state = shared.state();
            if state.over {
                return;
            }
            if state.refusing {
                continue;
            }
        }
        // A target that is gone: the source sees its connection end.
        let Ok(target) = TcpStream::connect(&shared.target) else { continue };
        // Whoever has gone already needs no telling.
        let _ = (source.set_nodelay(true), target.set_nodelay(true));
        let handle = |stream: &TcpStream| stream.try_clone().expect("a socket has handles");
        let link = Link { source: handle(&source), target: handle(&target), lane: None };
        let number = {
            let mut state = shared.state();
            state.links.push(link);
            state.links.len() - 1
        };
        for (side, from, to) in [
            (Side::Source, handle(&source), handle(&target)),
            (Side::Target, handle(&target), handle(&source)),
        ] {
            let shared = Arc::clone(shared);
            thread::spawn(move || Direction { shared, link: number, side, to }.carry(from));
        }
    }
}

/// One direction of one connection.
struct Direction {
    shared: Arc<Shared>,
    link: usize,
    side: Side,
    to: TcpStream,
}

impl Direction {
    /// Carries units until either end is gone, and then ends both.
    fn carry(mut self, from: TcpStream) {
        for unit in Units::of(from, self.side) {
            if !self.shared.wait_passable() {
                break;
            }
            let passed = if self.shared.meet(self.link, self.side, &unit) {
                self.inject(unit)
            } else {
                self.pass(&unit)
            };
            if !passed {
                break;
            }
        }
        // An end is no news while nothing passes.
        if self.shared.wait_passable() {
            self.shared.state().links[self.link].cut();
        }
    }

    fn pass(&mut self, unit: &Unit) -> bool {
        let passed = self.to.write_all(&unit.bytes).is_ok();
        if passed && self.side == Side::Source && unit.what == What::Message("Go") {
            self.shared.state().go_passed = true;
        }
        passed
    }

    /// The fault; false where this direction is over.
    fn inject(&mut self, mut unit: Unit) -> bool {
        let shared = Arc::clone(&self.shared);
        let at = &shared.injection;
        match at.fault {
            Fault::Delay => {
                thread::sleep(at.delay);
                shared.wait_passable() && self.pass(&unit)
            }
            Fault::Flip => {
                let bit = (at.seed % (unit.bytes.len() as u64 * 8)) as usize;
                unit.bytes[bit / 8] ^= 1 << (bit % 8);
                unit.what = What::Other;
                self.pass(&unit)
            }
            Fault::Truncate => {
                let left = 1 + (at.seed % (unit.bytes.len() as u64 - 1)) as usize;
                unit.bytes.truncate(left);
                unit.what = What::Other;
                self.pass(&unit);
                false
            }
            Fault::Duplicate => self.pass(&unit) && self.pass(&unit),
            _ if at.after => self.pass(&unit) && self.strike(at.fault),
            // What was on its way arrives, unless its own connection was cut.
            _ => self.strike(at.fault) && self.pass(&unit),
        }
    }

    /// A fault that is not in the bytes; false where the wire is gone.
    fn strike(&self, fault: Fault) -> bool {
        let shared = &self.shared;
        match fault {
            Fault::CutLane => {
                let lane = shared.injection.lane;
                let sealed = shared.injection.point.is_sealed();
                let lanes = shared.state().links.len().saturating_sub(1);
                shared.cut(|number, link| {
                    link.lane == Some(lane)
                        || (sealed && number > 0 && number == lanes.min(1 + usize::from(lane)))
                });
            }
            Fault::CutControl => shared.cut(|number, _| number == 0),
            Fault::CutAll => shared.cut(|_, _| true),
            Fault::Outage => {
                shared.state().refusing = true;
                shared.cut(|_, _| true);
            }
            Fault::Stall => shared.state().stalled = true,
            _ => (shared.act)(),
        }
        shared.wait_passable()
    }
}

/// How late something can be: any of it is less than what either side waits for.
pub const MAX_DELAY: Duration = Duration::from_millis(1500);
