//! A guest without KVM: memory, a thread that writes to it, and dirty tracking that sees every write. The engine,
//! the lanes and the sockets around it are the real ones.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use godwit_migration::{
    host::{DirtySource, FreePages, HostError, PageBytes, PageSink, PageSource},
    limits::PAGE_BYTES,
    page::PageSet,
    shape::{CpuShape, MachineShape, MemoryShape, Region},
    slow::Throttle,
    wire::Answer,
};
use godwit_state::{Schema, Sections};
use godwit_transport::host::{SourceHost, TargetHost};
use serde::{Deserialize, Serialize};

/// Memory that can be written while it is read.
pub struct Memory {
    bytes: Vec<Mutex<Box<PageBytes>>>,
    touched: Mutex<PageSet>,
    dirty: Mutex<Option<PageSet>>,
    /// Slows every read, so that a test can catch a round in its middle.
    pub read_delay: Mutex<Duration>,
    /// Behind so many reads from now on the page before is written, which has just been read.
    pub writes_behind: AtomicU64,
}

impl Memory {
    pub fn new(pages: u32) -> Arc<Self> {
        Arc::new(Self {
            bytes: (0..pages).map(|_| Mutex::new(Box::new([0; PAGE_BYTES]))).collect(),
            touched: Mutex::new(PageSet::empty(pages)),
            dirty: Mutex::new(None),
            read_delay: Mutex::default(),
            writes_behind: AtomicU64::new(0),
        })
    }

    /// Writes as a guest does: the log has it before the memory.
    pub fn write(&self, page: u32, value: u64) {
        if let Some(dirty) = &mut *self.dirty.lock().unwrap() {
            dirty.insert(page);
        }
        self.touched.lock().unwrap().insert(page);
        let mut bytes = self.bytes[page as usize].lock().unwrap();
        bytes[..8].copy_from_slice(&value.to_le_bytes());
        bytes[PAGE_BYTES - 8..].copy_from_slice(&value.to_le_bytes());
        if let Some(dirty) = &mut *self.dirty.lock().unwrap() {
            dirty.insert(page);
        }
    }

    pub fn content(&self) -> Vec<Box<PageBytes>> {
        self.bytes.iter().map(|page| page.lock().unwrap().clone()).collect()
    }

    pub fn tracking(&self) -> bool {
        self.dirty.lock().unwrap().is_some()
    }
}

impl PageSource for Memory {
    fn pages(&self) -> u32 {
        self.bytes.len() as u32
    }
    fn read(&self, page: u32, into: &mut PageBytes) {
        let delay = *self.read_delay.lock().unwrap();
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        into.copy_from_slice(&**self.bytes[page as usize].lock().unwrap());
        let left =
            self.writes_behind.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if let (Ok(left), Some(before)) = (left, page.checked_sub(1)) {
            self.write(before, u64::MAX - left);
        }
    }
    fn touched(&self, into: &mut PageSet) -> Result<(), HostError> {
        into.union(&self.touched.lock().unwrap());
        Ok(())
    }
}

impl PageSink for Memory {
    fn pages(&self) -> u32 {
        self.bytes.len() as u32
    }
    fn put(&self, page: u32, bytes: &PageBytes) -> Result<(), HostError> {
        **self.bytes[page as usize].lock().unwrap() = *bytes;
        self.touched.lock().unwrap().insert(page);
        Ok(())
    }
    fn get(&self, page: u32, into: &mut PageBytes) -> Result<(), HostError> {
        *into = **self.bytes[page as usize].lock().unwrap();
        Ok(())
    }
    fn put_zero(&self, page: u32) -> Result<(), HostError> {
        self.put(page, &[0; PAGE_BYTES])
    }
}

impl DirtySource for Memory {
    fn name(&self) -> &'static str {
        "test"
    }
    fn begin(&self) -> Result<(), HostError> {
        *self.dirty.lock().unwrap() = Some(PageSet::empty(self.bytes.len() as u32));
        Ok(())
    }
    fn begin_unarmed(&self) -> Result<bool, HostError> {
        *self.dirty.lock().unwrap() = Some(PageSet::full(self.bytes.len() as u32));
        Ok(true)
    }
    fn arm(&self, pages: &PageSet, range: Range<u32>) -> Result<(), HostError> {
        let mut log = self.dirty.lock().unwrap();
        let log = log.as_mut().ok_or(HostError("tracking is off".into()))?;
        pages.runs_in(range).for_each(|run| log.remove_range(run));
        Ok(())
    }
    fn harvest(&self, dirty: &mut PageSet) -> Result<(), HostError> {
        let mut log = self.dirty.lock().unwrap();
        let log = log.as_mut().ok_or(HostError("tracking is off".into()))?;
        dirty.union(log);
        log.clear();
        Ok(())
    }
    fn peek(&self, dirty: &mut PageSet) -> Result<(), HostError> {
        let log = self.dirty.lock().unwrap();
        dirty.union(log.as_ref().ok_or(HostError("tracking is off".into()))?);
        Ok(())
    }
    fn end(&self) -> Result<(), HostError> {
        *self.dirty.lock().unwrap() = None;
        Ok(())
    }
}

/// All the state there is beside memory.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Counter {
    pub writes: u64,
}

impl Schema for Counter {
    const KIND: &'static str = "counter";
    const VERSION: u16 = 1;
}

/// State that is nothing but large.
#[derive(Serialize, Deserialize)]
struct Ballast {
    bytes: String,
}

impl Schema for Ballast {
    const KIND: &'static str = "ballast";
    const VERSION: u16 = 1;
}

/// A guest that writes `page = writes * 7919 mod pages` for ever, `pace` between two writes.
pub struct Guest {
    pub memory: Arc<Memory>,
    pub writes: Arc<AtomicU64>,
    pub given_up: bool,
    /// What it tells of its free pages.
    pub free: Option<Arc<dyn FreePages>>,
    /// What comes in the way of pausing it; nothing else happens while it does.
    pub before_pause: Option<Box<dyn FnMut() -> Result<(), HostError> + Send>>,
    /// So many million bytes more of state.
    pub ballast: usize,
    running: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
    pace: Duration,
}

impl Guest {
    pub fn new(pages: u32, pace: Duration) -> Self {
        Self {
            memory: Memory::new(pages),
            writes: Arc::default(),
            given_up: false,
            free: None,
            before_pause: None,
            ballast: 0,
            running: None,
            pace,
        }
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub fn start(&mut self) {
        let stop = Arc::new(AtomicBool::new(false));
        let (memory, writes, stopped, pace) =
            (self.memory.clone(), self.writes.clone(), stop.clone(), self.pace);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                let n = writes.fetch_add(1, Ordering::SeqCst) + 1;
                memory.write((n * 7919 % u64::from(PageSource::pages(&*memory))) as u32, n);
                std::thread::sleep(pace);
            }
        });
        self.running = Some((stop, thread));
    }

    fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            stop.store(true, Ordering::SeqCst);
            thread.join().unwrap();
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn shape(pages: u32) -> MachineShape {
    MachineShape {
        memory: MemoryShape { regions: vec![Region { gpa: 0, bytes: u64::from(pages) * PAGE_BYTES as u64 }] },
        cpus: CpuShape { count: 1, ..CpuShape::default() },
        devices: vec![],
    }
}

impl SourceHost for Guest {
    fn slowed(&self) -> Duration {
        Duration::ZERO
    }
    fn throttle(&mut self, _: Throttle) -> Result<(), HostError> {
        Ok(())
    }

    fn shape(&self) -> MachineShape {
        shape(PageSource::pages(&*self.memory))
    }
    fn pages(&self) -> Arc<dyn PageSource> {
        self.memory.clone()
    }
    fn dirty(&self) -> Arc<dyn DirtySource> {
        self.memory.clone()
    }
    fn free_pages(&self) -> Option<Arc<dyn FreePages>> {
        self.free.clone()
    }
    fn pause(&mut self) -> Result<(), HostError> {
        self.before_pause.as_mut().map_or(Ok(()), |before| before())?;
        self.stop();
        Ok(())
    }
    fn save(&mut self) -> Result<Sections, HostError> {
        let mut sections = Sections::default();
        let counter = Counter { writes: self.writes.load(Ordering::SeqCst) };
        sections.save("counter", &counter).map_err(HostError::of)?;
        let ballast = Ballast { bytes: "x".repeat(1_000_000) };
        for piece in 0..self.ballast {
            sections.save(&format!("ballast{piece}"), &ballast).map_err(HostError::of)?;
        }
        Ok(sections)
    }
    fn resume(&mut self) -> Result<(), HostError> {
        if self.given_up {
            return Err(HostError("the right to run was given up".into()));
        }
        if self.running.is_none() {
            self.start();
        }
        Ok(())
    }
    fn give_up(&mut self, _session: u128) -> Result<(), HostError> {
        self.given_up = true;
        Ok(())
    }
    fn take_back(&mut self) {
        self.given_up = false;
    }
}

/// A place for a guest to arrive at, with the reasons it has for not taking one.
#[derive(Default)]
pub struct Place {
    pub refusals: Vec<String>,
    pub run_error: Option<String>,
    pub memory: Option<Arc<Memory>>,
    pub state: Option<Counter>,
    pub runs: bool,
    pub discarded: bool,
    pub session: u128,
    /// What comes before a machine is made; nothing else happens while it does.
    pub before_prepare: Option<Box<dyn FnMut() + Send>>,
}

impl TargetHost for Place {
    fn check(&self, _: &MachineShape) -> Vec<String> {
        self.refusals.clone()
    }
    fn prepare(&mut self, session: u128, shape: &MachineShape) -> Result<(), Vec<String>> {
        self.session = session;
        if let Some(before) = &mut self.before_prepare {
            before();
        }
        if !self.refusals.is_empty() {
            return Err(self.refusals.clone());
        }
        self.memory = Some(Memory::new(shape.memory.pages()));
        Ok(())
    }
    fn pages(&self) -> Result<Arc<dyn PageSink>, HostError> {
        self.memory.clone().map(|m| m as Arc<dyn PageSink>).ok_or(HostError("no memory".into()))
    }
    fn build(&mut self, state: &Sections) -> Result<(), HostError> {
        self.state = Some(state.open("counter").map_err(HostError::of)?);
        Ok(())
    }
    fn run(&mut self) -> Result<(), HostError> {
        if let Some(error) = &self.run_error {
            return Err(HostError(error.clone()));
        }
        self.runs = true;
        Ok(())
    }
    fn discard(&mut self) {
        self.discarded = true;
        self.memory = None;
    }
    fn answer(&self, session: u128) -> Answer {
        match session == self.session {
            true if self.runs => Answer::Runs,
            true if self.discarded => Answer::Never("it was let go".into()),
            _ => Answer::Unknown,
        }
    }
}
