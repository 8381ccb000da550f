//! The target's lanes: each reads frames and puts pages where they belong.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use godwit_migration::{
    host::PageSink,
    target::Event,
    wire::{LaneError, LaneIn},
};
use tokio::sync::mpsc::UnboundedSender;

use super::{STACK_BYTES, start};
use crate::socket::{Blocking, RawBlocking, Socket};

/// All lanes of a target. Dropping them ends their connections and waits for their threads.
#[derive(Default)]
pub(crate) struct ReceivingLanes {
    lanes: Vec<(RawBlocking, Option<JoinHandle<()>>)>,
    bytes: Arc<AtomicU64>,
}

impl ReceivingLanes {
    /// Bytes that have come on all of them.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Takes a connection in as lane `lane` of `lanes`. What happens on it goes to `events`.
    pub(crate) fn add<W: Send + 'static + From<Event>>(
        &mut self,
        socket: Socket,
        lane: u8,
        lanes: u8,
        sink: Arc<dyn PageSink>,
        events: UnboundedSender<W>,
    ) -> io::Result<()> {
        let mut socket = socket.into_blocking(None)?;
        let end = socket.ender()?;
        let came = Arc::clone(&self.bytes);
        let thread = std::thread::Builder::new().name(format!("lane{lane}")).stack_size(STACK_BYTES).spawn(
            move || {
                start::begin();
                let mut lane_in = LaneIn::new(lane, lanes, sink.pages());
                if let Err(event) = pump(&mut socket, &mut lane_in, lane, &*sink, &events, &came) {
                    // Without a driver nobody wants to know.
                    let _ = events.send(event.into());
                }
            },
        )?;
        self.lanes.push((end, Some(thread)));
        Ok(())
    }
}

impl Drop for ReceivingLanes {
    fn drop(&mut self) {
        for (end, _) in &self.lanes {
            end.end();
        }
        for (_, thread) in &mut self.lanes {
            // A lane never panics; if one did, its end is all that is wanted here.
            let _ = thread.take().map(JoinHandle::join);
        }
    }
}

/// Reads until the last round has ended, or something fails.
fn pump<W: From<Event>>(
    socket: &mut Blocking,
    lane_in: &mut LaneIn,
    lane: u8,
    sink: &dyn PageSink,
    events: &UnboundedSender<W>,
    came: &AtomicU64,
) -> Result<(), Event> {
    loop {
        while let Some(event) = lane_in.next(sink).map_err(failure)? {
            if events.send(Event::Lane(event).into()).is_err() {
                return Ok(());
            }
        }
        if lane_in.at_end() {
            return Ok(());
        }
        match read(socket, lane_in, sink) {
            Ok(0) => {
                return Err(Event::LinkLost(format!(
                    "the source closed lane {lane} in the middle of a round"
                )));
            }
            Ok(bytes) => {
                came.fetch_add(bytes as u64, Ordering::Relaxed);
                lane_in.filled(bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Event::LinkLost(format!("lane {lane}: {error}"))),
        }
    }
}

/// Reads what comes next: pages as they are straight to where they belong, if they need not be decrypted first.
fn read(socket: &mut Blocking, lane_in: &mut LaneIn, sink: &dyn PageSink) -> io::Result<usize> {
    if socket.places()
        && let Some((place, then)) = lane_in.place(sink)
    {
        return socket.read_placed(place, then);
    }
    socket.read(lane_in.space())
}

fn failure(error: LaneError) -> Event {
    match error {
        LaneError::Protocol(error) => Event::ProtocolBroken(error),
        LaneError::Host(error) => Event::HostFailed(error),
    }
}
