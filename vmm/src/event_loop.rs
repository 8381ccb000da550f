//! The one thread for everything that waits: console input, virtio queues, the devices' wish to end the run.
//!
//! Neighbours: devices subscribe; the machine starts it before the guest runs and ends it by dropping it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use event_manager::{EventManager, EventOps, Events, MutEventSubscriber, SubscriberOps};
use godwit_devices::{Stop, StopLine};
use vmm_sys_util::{
    epoll::EventSet,
    eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd},
};

use crate::{
    error::MachineError,
    exit::{Exit, ExitSender},
    sandbox::{Role, enter_or_panic},
};

/// Anything that waits for a descriptor.
pub(crate) type Subscriber = Box<dyn MutEventSubscriber + Send>;

const NAME: &str = "events";
const STACK_BYTES: usize = 256 << 10;
/// Most events taken at a time.
const READY_EVENTS: usize = 16;

/// The running loop. Dropping it ends the thread.
pub(crate) struct EventLoop {
    end: Arc<EndSignal>,
    thread: Option<JoinHandle<()>>,
}

struct EndSignal {
    asked: AtomicBool,
    event: EventFd,
}

impl EventLoop {
    /// Starts the loop over `subscribers`; what devices ask for on `stop` is reported to `exits`.
    pub(crate) fn start(
        subscribers: Vec<Subscriber>,
        stop: StopLine,
        exits: ExitSender,
    ) -> Result<Self, MachineError> {
        let failed = |source| MachineError::Thread { name: NAME.into(), source };
        let event = EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC).map_err(failed)?;
        let end = Arc::new(EndSignal { asked: AtomicBool::new(false), event });
        let mut manager = EventManager::<Subscriber>::new_with_capacity(READY_EVENTS)
            .map_err(|e| failed(io::Error::other(format!("{e:?}"))))?;
        manager.add_subscriber(Box::new(EndWatch(Arc::clone(&end))));
        manager.add_subscriber(Box::new(StopWatch { stop, exits: exits.clone() }));
        for subscriber in subscribers {
            manager.add_subscriber(subscriber);
        }
        let builder = std::thread::Builder::new().name(NAME.into()).stack_size(STACK_BYTES);
        let asked = Arc::clone(&end);
        let thread = builder.spawn(move || run(manager, &asked, &exits)).map_err(failed)?;
        Ok(Self { end, thread: Some(thread) })
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        self.end.asked.store(true, Ordering::Release);
        // Cannot fail: this is the only write ever made to the counter.
        let _ = self.end.event.write(1);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by the thread itself.
            let _ = thread.join();
        }
    }
}

fn run(mut manager: EventManager<Subscriber>, end: &EndSignal, exits: &ExitSender) {
    let report = ReportPanic(exits);
    enter_or_panic(Role::Events);
    while !end.asked.load(Ordering::Acquire) {
        if let Err(error) = manager.run() {
            exits.send(Exit::VmmFailed(format!("the event loop cannot wait for events: {error:?}")));
            break;
        }
    }
    drop(report);
}

/// Reports a panic of a device's event handler: the console or a queue would stall silently.
struct ReportPanic<'a>(&'a ExitSender);

impl Drop for ReportPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.send(Exit::VmmFailed("the event loop panicked".into()));
        }
    }
}

/// Wakes the loop so that it sees that it shall end.
struct EndWatch(Arc<EndSignal>);

impl MutEventSubscriber for EndWatch {
    fn process(&mut self, _: Events, _: &mut EventOps<'_>) {}

    fn init(&mut self, ops: &mut EventOps<'_>) {
        watch(&self.0.event, ops);
    }
}

/// Reports what a device asked for.
struct StopWatch {
    stop: StopLine,
    exits: ExitSender,
}

impl MutEventSubscriber for StopWatch {
    fn process(&mut self, _: Events, ops: &mut EventOps<'_>) {
        let exit = match self.stop.asked() {
            // Its reset or power-off is what it does about its panic.
            Some(Stop::PowerOff | Stop::Reset) if self.stop.has_panicked() => Exit::GuestPanic,
            Some(Stop::PowerOff) => Exit::PowerOff,
            Some(Stop::Reset) => Exit::Reset,
            // A process has the low eight bits for its status.
            Some(Stop::DebugExit { code }) => Exit::DebugExit((code & 0xff) as u8),
            Some(Stop::Quit) => Exit::Quit,
            None => return,
        };
        // Only the first wish counts, so there is nothing more to wait for.
        let watched = Events::new(self.stop.event(), EventSet::IN);
        if let Err(error) = ops.remove(watched) {
            tracing::warn!("the event loop cannot stop watching for the end of the run: {error:?}");
        }
        self.exits.send(exit);
    }

    fn init(&mut self, ops: &mut EventOps<'_>) {
        watch(self.stop.event(), ops);
    }
}

fn watch(event: &EventFd, ops: &mut EventOps<'_>) {
    if let Err(error) = ops.add(Events::new(event, EventSet::IN)) {
        tracing::error!("the event loop cannot watch a descriptor: {error:?}");
    }
}
