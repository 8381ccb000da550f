//! A wire between a source and a target that stops in the middle of a round, for as long as a test wants.
//!
//! The first connection that it carries is the control link, the others are lanes; only lanes are ever stopped. Neither
//! side can tell it from a network that has become very slow.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use godwit_migration::wire::{SourceMessage, encode_message};

/// How long a round may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// The wire, from [`Self::address`] to a target.
pub struct Relay {
    address: String,
    gate: Arc<Gate>,
}

struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

/// What a target says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// Its first words.
    First,
    /// All that it says.
    All,
}

#[derive(Default)]
struct State {
    /// Bytes that lanes may still carry; `None` for no end.
    left: Option<usize>,
    /// What the target says on the control link that is held back, and for how long.
    slow: Option<(Words, Duration)>,
    /// Everything is cut when the source says `Go`, which still arrives or does not.
    cut_at_go: Option<bool>,
    /// It has been.
    cut: bool,
    /// Whether nobody gets through from then on.
    closed_then: bool,
    /// Nobody gets through.
    closed: bool,
    /// A lane wants to carry more.
    stopped: bool,
    over: bool,
}

impl Relay {
    /// A wire to `target` (`tcp:HOST:PORT`) whose lanes stop after `lane_bytes` of them all together.
    ///
    /// # Panics
    /// Where loopback has no port left, or `target` is no TCP address.
    #[must_use]
    pub fn stopping_after(lane_bytes: usize, target: &str) -> Self {
        Self::carrying(State { left: Some(lane_bytes), ..State::default() }, target)
    }

    /// Where a source connects.
    #[must_use]
    pub fn address(&self) -> String {
        format!("tcp:{}", self.address)
    }

    /// A wire to `target` that carries everything at once, but for what the target says on the control link: its first
    /// words take `delay`, or all that it says does.
    ///
    /// # Panics
    /// As [`Self::stopping_after`].
    #[must_use]
    pub fn slow_to_answer(words: Words, delay: Duration, target: &str) -> Self {
        Self::carrying(State { slow: Some((words, delay)), ..State::default() }, target)
    }

    /// A wire to `target` that carries everything at once until the source says `Go` on its first connection; then that
    /// connection is cut, and `Go` has arrived or has not. Later connections get through when the wire is not
    /// `closed`.
    ///
    /// # Panics
    /// As [`Self::stopping_after`].
    #[must_use]
    pub fn cut_at_go(arrives: bool, closed: bool, target: &str) -> Self {
        Self::carrying(State { cut_at_go: Some(arrives), closed_then: closed, ..State::default() }, target)
    }

    /// Waits until the wire has been cut.
    ///
    /// # Panics
    /// Where that does not happen.
    pub fn wait_cut(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.gate.state();
        while !state.cut {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the source never said Go");
            state = self.gate.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lets connections through again.
    pub fn open(&self) {
        self.gate.state().closed = false;
    }

    /// Waits until lanes stand still in the middle of a round.
    ///
    /// # Panics
    /// Where they never get there.
    pub fn wait_stopped(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.gate.state();
        while !state.stopped {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no round got as far as it was to get");
            state = self.gate.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lets the lanes go on, for good.
    pub fn release(&self) {
        self.gate.state().left = None;
        self.gate.changed.notify_all();
    }
}

impl Relay {
    fn carrying(state: State, target: &str) -> Self {
        let target = target.strip_prefix("tcp:").expect("a relay leads to a TCP address").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address").to_string();
        let gate = Arc::new(Gate { state: Mutex::new(state), changed: Condvar::new() });
        let carrying = Arc::clone(&gate);
        thread::spawn(move || carry_all(&listener, &target, &carrying));
        Self { address, gate }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.gate.state().over = true;
        self.gate.changed.notify_all();
        // Wakes the thread that accepts; where that is gone, there is nobody to wake.
        drop(TcpStream::connect(&self.address));
    }
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `bytes` may pass; false when the wire is gone.
    fn pass(&self, bytes: usize) -> bool {
        let mut state = self.state();
        loop {
            match state.left {
                _ if state.over => return false,
                None => return true,
                Some(left) if left >= bytes => {
                    state.left = Some(left - bytes);
                    return true;
                }
                Some(_) => {
                    state.stopped = true;
                    self.changed.notify_all();
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

fn carry_all(listener: &TcpListener, target: &str, gate: &Arc<Gate>) {
    for (number, source) in listener.incoming().enumerate() {
        let Ok(source) = source else { return };
        if gate.state().over {
            return;
        }
        if gate.state().closed {
            continue;
        }
        // A target that is gone: the source sees its connection end.
        let Ok(onward) = TcpStream::connect(target) else { continue };
        let back = (
            onward.try_clone().expect("a socket has handles"),
            source.try_clone().expect("a socket has handles"),
        );
        let lane = (number > 0).then(|| Arc::clone(gate));
        let slow = if number == 0 { gate.state().slow } else { None };
        let watched = (number == 0).then(|| Arc::clone(gate));
        thread::spawn(move || carry(source, onward, lane.as_deref(), None, watched.as_deref()));
        thread::spawn(move || carry(back.0, back.1, None, slow, None));
    }
}

/// Carries bytes one way until either end is gone, and then ends this way; the other may still have something on it. What
/// is `slow` is held back on the way.
fn carry(
    mut from: TcpStream,
    mut to: TcpStream,
    gate: Option<&Gate>,
    mut slow: Option<(Words, Duration)>,
    watched: Option<&Gate>,
) {
    // Whoever has gone already needs no telling.
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut piece).unwrap_or(0);
        if let Some((words, delay)) = slow {
            thread::sleep(delay);
            slow = slow.filter(|_| words == Words::All);
        }
        // Asked before the branch: what is asked in its condition would be held until its end.
        let cut_at_go = watched.and_then(|gate| gate.state().cut_at_go);
        if let Some(gate) = watched
            && let Some(arrives) = cut_at_go
            && piece[..read].ends_with(&encode_message(&SourceMessage::Go))
        {
            // Nothing that the target says from here on gets back, and a source that sees it comes too late to ask.
            let mut state = gate.state();
            state.closed = state.closed_then;
            drop(state);
            let _ = from.shutdown(Shutdown::Both);
            if arrives {
                let _ = to.write_all(&piece[..read]);
            }
            gate.state().cut = true;
            gate.changed.notify_all();
            // What is on its way must have been read before the target sees the end.
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
        if gate.is_some_and(|gate| !gate.pass(read)) {
            let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            return;
        }
        if read == 0 || to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Read), to.shutdown(Shutdown::Write));
}
