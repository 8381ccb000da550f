//! Where requests are served: on threads of their own, off the event loop, so that a slow disk holds nothing else up.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsRawFd, RawFd},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::{
    image::Image,
    request::Request,
    work,
    work::{Done, Manner},
};
use crate::GuestMemory;

/// Most threads of a disk; each begins when there is work for it.
const MAX_THREADS: usize = 4;
const STACK_BYTES: usize = 128 << 10;

/// Serves requests somewhere else. One of the queue's owner's threads submits and takes; nothing is lost or done twice.
pub trait Engine: Send {
    /// Takes a request of queue `queue`, to be served by and by and in any order.
    ///
    /// # Errors
    /// Where it cannot be served at all.
    fn submit(
        &mut self,
        queue: usize,
        request: Request,
        memory: &GuestMemory,
        manner: Manner,
    ) -> io::Result<()>;

    /// A request of queue `queue` that has ended.
    fn take(&mut self, queue: usize) -> Option<Done>;

    /// Waits until every request that was submitted has ended.
    fn finish(&mut self);

    /// Becomes readable when requests of queue `queue` have ended.
    fn fd(&self, queue: usize) -> RawFd;
}

/// Threads that read and write by system calls that block.
pub struct Threads {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    image: Arc<Image>,
    now: Mutex<Now>,
    /// There is work, or it is over.
    work: Condvar,
    /// Everything has ended.
    idle: Condvar,
    /// For each queue: requests of it have ended.
    ended: Vec<EventFd>,
}

#[derive(Default)]
struct Now {
    jobs: VecDeque<Job>,
    done: Vec<VecDeque<Done>>,
    /// Jobs that a thread has taken and not ended.
    running: usize,
    over: bool,
}

struct Job {
    queue: usize,
    request: Request,
    memory: GuestMemory,
    manner: Manner,
}

impl Threads {
    /// For a disk of `queues` queues over `image`.
    ///
    /// # Errors
    /// Those of eventfd(2): out of descriptors or memory.
    pub fn new(image: Arc<Image>, queues: usize) -> io::Result<Self> {
        let event = |_| EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC);
        let shared = Shared {
            image,
            now: Mutex::new(Now { done: (0..queues).map(|_| VecDeque::new()).collect(), ..Now::default() }),
            work: Condvar::new(),
            idle: Condvar::new(),
            ended: (0..queues).map(event).collect::<io::Result<_>>()?,
        };
        Ok(Self { shared: Arc::new(shared), threads: Vec::new() })
    }
}

impl Shared {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does.
    fn run(&self) {
        let mut now = self.now();
        while !now.over {
            let Some(job) = now.jobs.pop_front() else {
                now = self.work.wait(now).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            now.running += 1;
            drop(now);
            let mut running = Running { shared: self, queue: job.queue, done: None };
            running.done = Some(work::serve(&job.request, &self.image, &job.memory, job.manner));
            drop(running);
            now = self.now();
        }
    }

    fn wake(&self, queue: usize) {
        if let Some(event) = self.ended.get(queue) {
            // A full counter means that it is readable.
            let _ = event.write(1);
        }
    }
}

/// A job that a thread has taken. Its end is told also where the thread panics: nobody must wait for it for ever.
struct Running<'a> {
    shared: &'a Shared,
    queue: usize,
    done: Option<Done>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut now = self.shared.now();
        now.running -= 1;
        if let (Some(queue), Some(done)) = (now.done.get_mut(self.queue), self.done) {
            queue.push_back(done);
        }
        self.shared.wake(self.queue);
        if now.running == 0 && now.jobs.is_empty() {
            self.shared.idle.notify_all();
        }
    }
}

impl Engine for Threads {
    fn submit(
        &mut self,
        queue: usize,
        request: Request,
        memory: &GuestMemory,
        manner: Manner,
    ) -> io::Result<()> {
        let mut now = self.shared.now();
        now.jobs.push_back(Job { queue, request, memory: memory.clone(), manner });
        let wanted = (now.running + now.jobs.len()).min(MAX_THREADS);
        drop(now);
        if self.threads.len() < wanted {
            let shared = Arc::clone(&self.shared);
            let builder = std::thread::Builder::new().name("disk".into()).stack_size(STACK_BYTES);
            match builder.spawn(move || shared.run()) {
                Ok(thread) => self.threads.push(thread),
                // Fewer will do.
                Err(_) if !self.threads.is_empty() => {}
                Err(error) => {
                    self.shared.now().jobs.pop_back();
                    return Err(error);
                }
            }
        }
        self.shared.work.notify_one();
        Ok(())
    }

    fn take(&mut self, queue: usize) -> Option<Done> {
        self.shared.now().done.get_mut(queue)?.pop_front()
    }

    fn finish(&mut self) {
        let mut now = self.shared.now();
        while now.running > 0 || !now.jobs.is_empty() {
            now = self.shared.idle.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn fd(&self, queue: usize) -> RawFd {
        self.shared.ended.get(queue).map_or(-1, AsRawFd::as_raw_fd)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.now().over = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // A panic of the thread was reported by the thread itself.
            let _ = thread.join();
        }
    }
}
