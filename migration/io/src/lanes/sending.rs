//! The source's lanes: each walks the blocks of the plan that are its own, and writes frames.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use godwit_migration::{
    codec::Encoding,
    host::{DirtySource, FreePages, HostError, PageSource},
    page::{PageSet, Plan},
    wire::{LaneOut, LaneTotals},
};
use tokio::sync::mpsc::UnboundedSender;

use super::{STACK_BYTES, log::Log, outlet::Outlet, start};
use crate::{
    handle::Handle,
    send_buffer::SendBuffer,
    socket::{RawBlocking, Socket},
};

/// How long a target may take as good as nothing.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a lane tells its driver.
#[derive(Debug)]
pub(crate) enum LaneWord {
    /// Its part of the round is written.
    Sent(LaneTotals),
    /// The connection is gone, in words.
    Lost(String),
    /// This host failed.
    Failed(HostError),
}

/// The guest as its lanes see it.
#[derive(Clone)]
pub(crate) struct Guest {
    /// Its pages.
    pub(crate) pages: Arc<dyn PageSource>,
    /// Which of them are written.
    pub(crate) dirty: Arc<dyn DirtySource>,
    /// Which of them it has free, where it tells.
    pub(crate) free: Option<Arc<dyn FreePages>>,
}

/// A round for a lane.
struct Job {
    round: u32,
    plan: Arc<Plan>,
    last: bool,
    /// Whether its pages are armed as they are sent.
    arms: bool,
}

/// A lane as its driver holds it. Without jobs to come its thread ends.
struct Lane {
    jobs: Option<Sender<Job>>,
    end: RawBlocking,
    thread: Option<JoinHandle<()>>,
}

/// All lanes of a source. Dropping them ends their connections and waits for their threads.
pub(crate) struct SendingLanes {
    lanes: Vec<Lane>,
    stop: Arc<AtomicBool>,
    handle: Handle,
    /// Lanes that have not yet told of the round, and what the others told.
    waiting: usize,
    totals: LaneTotals,
}

impl SendingLanes {
    /// Starts a thread for each connection. Their words go to `words`.
    pub(crate) fn start<W: Send + 'static + From<LaneWord>>(
        sockets: Vec<Socket>,
        buffer: Option<SendBuffer>,
        encoding: &Encoding,
        guest: &Guest,
        handle: &Handle,
        words: &UnboundedSender<W>,
    ) -> io::Result<Self> {
        let mut set = Self {
            lanes: vec![],
            stop: Arc::default(),
            handle: handle.clone(),
            waiting: 0,
            totals: LaneTotals::default(),
        };
        let count = sockets.len() as u8;
        for (lane, socket) in (0..count).zip(sockets) {
            let socket = socket.into_blocking(Some(WRITE_TIMEOUT))?;
            let end = socket.ender()?;
            let (jobs, inbox) = channel();
            let worker = Worker {
                lane,
                lanes: count,
                outlet: Outlet::new(socket, handle.pace(), count, buffer)?,
                out: LaneOut::new(encoding),
                told_pages: 0,
                guest: guest.clone(),
                handle: handle.clone(),
                stop: set.stop.clone(),
            };
            let words = words.clone();
            let thread = std::thread::Builder::new()
                .name(format!("lane{lane}"))
                .stack_size(STACK_BYTES)
                .spawn(move || {
                    start::begin();
                    worker.run(&inbox, &words);
                })?;
            set.lanes.push(Lane { jobs: Some(jobs), end, thread: Some(thread) });
        }
        Ok(set)
    }

    /// Gives a round to all lanes, which arm its pages as they go, if it `arms`.
    pub(crate) fn send(&mut self, round: u32, plan: &Arc<Plan>, last: bool, arms: bool) {
        self.waiting = self.lanes.len();
        self.totals = LaneTotals::default();
        self.handle.round_begins();
        for jobs in self.lanes.iter().filter_map(|lane| lane.jobs.as_ref()) {
            // A lane that is gone has said so, or will.
            let _ = jobs.send(Job { round, plan: plan.clone(), last, arms });
        }
    }

    /// A lane has told of the round; the sum when it was the last of them.
    pub(crate) fn sent(&mut self, totals: &LaneTotals) -> Option<LaneTotals> {
        self.totals.add(totals);
        self.waiting = self.waiting.saturating_sub(1);
        (self.waiting == 0).then_some(self.totals)
    }
}

impl Drop for SendingLanes {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.handle.pace().stop();
        for lane in &mut self.lanes {
            lane.jobs.take();
            lane.end.end();
        }
        for lane in &mut self.lanes {
            // A lane never panics; if one did, its end is all that is wanted here.
            let _ = lane.thread.take().map(JoinHandle::join);
        }
    }
}

/// One lane's thread.
struct Worker {
    lane: u8,
    lanes: u8,
    outlet: Outlet,
    out: LaneOut,
    /// Pages of the round that who watches knows of.
    told_pages: u64,
    guest: Guest,
    handle: Handle,
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn run<W: From<LaneWord>>(mut self, inbox: &Receiver<Job>, words: &UnboundedSender<W>) {
        for job in inbox {
            let word = match self.round(&job) {
                Ok(totals) => LaneWord::Sent(totals),
                Err(LaneFailure::Socket(error)) => {
                    LaneWord::Lost(format!("lane {}: {}", self.lane, spoken(&error)))
                }
                Err(LaneFailure::Host(error)) => LaneWord::Failed(error),
            };
            let over = !matches!(word, LaneWord::Sent(_));
            // Without a driver nobody wants to know.
            let _ = words.send(word.into());
            if over {
                return;
            }
        }
    }

    fn round(&mut self, job: &Job) -> Result<LaneTotals, LaneFailure> {
        self.out.begin_round(job.round, job.last);
        self.told_pages = 0;
        let mut since = Instant::now();
        let empty = || PageSet::empty(self.guest.pages.pages());
        let mut log = Log::new(&job.plan, job.arms);
        let mut free = self.guest.free.as_ref().filter(|_| !job.last).map(|_| empty());
        let blocks: Vec<_> = job
            .plan
            .blocks(self.lane, self.lanes)
            .filter(|&block| job.plan.pages.runs_in(Plan::block_range(block)).next().is_some())
            .collect();
        for (at, &block) in blocks.iter().enumerate() {
            let range = Plan::block_range(block);
            let sent = self.out.round_pages() * u64::from(self.lanes);
            log.look(&*self.guest.dirty, &job.plan, &blocks[at..], sent).map_err(LaneFailure::Host)?;
            if let (Some(free), Some(report)) = (&mut free, &self.guest.free) {
                report.peek(range.clone(), free).map_err(LaneFailure::Host)?;
            }
            for page in job.plan.pages.runs_in(range).flatten() {
                if log.has(page) {
                    continue;
                }
                if free.as_ref().is_some_and(|free| free.contains(page)) {
                    self.out.leave_out_free();
                    continue;
                }
                if self.out.page(page, &*self.guest.pages) {
                    since = self.send(since)?;
                    if self.stop.load(Ordering::Relaxed) {
                        return Err(io::Error::from(io::ErrorKind::Interrupted).into());
                    }
                }
            }
            self.tell();
        }
        let totals = self.out.end_round(job.last);
        self.send(since)?;
        self.outlet.flush()?;
        Ok(totals)
    }

    /// Empties the buffer of frames, at the pace of the cap, and tells the encoder how long it took to make, since
    /// then, and to write. Returns when.
    fn send(&mut self, since: Instant) -> io::Result<Instant> {
        let frames = self.out.take();
        let (made, bytes) = (Instant::now(), frames.len() as u64);
        let backlog = self.outlet.write_all(frames)?;
        let written = Instant::now();
        self.handle.add_page_bytes(self.out.taken_bytes());
        self.out.spent(made - since, written - made, backlog);
        self.handle.add_wire_bytes(bytes);
        self.tell();
        Ok(written)
    }

    /// Tells who watches how many pages have gone since it was told last.
    fn tell(&mut self) {
        let sent = self.out.round_pages();
        self.handle.add_sent_pages(sent - self.told_pages);
        self.told_pages = sent;
    }
}

enum LaneFailure {
    Socket(io::Error),
    Host(HostError),
}

impl From<io::Error> for LaneFailure {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

/// The error in words that mean something here.
fn spoken(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("the target has taken no byte for {} s", WRITE_TIMEOUT.as_secs())
        }
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
            "the target closed the connection".into()
        }
        io::ErrorKind::WriteZero => "the connection was cut in the middle of a frame".into(),
        _ => error.to_string(),
    }
}
