//! Drives a source: carries its actions out, tells it what happened.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use godwit_migration::{
    host::{DirtySource, HostError, PageSource},
    page::PageSet,
    preset::Preset,
    report::Report,
    source::{Action, Event, OnTimeout, Source, SourceConfig},
    wire::{LaneHello, SourceMessage, TargetMessage},
};
use tokio::{
    io::split,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use crate::{
    address::Address,
    handle::Handle,
    host::SourceHost,
    lanes::{LaneWord, SendingLanes},
    link::{self, Control, LinkError, REASON_TIMEOUT},
    socket::Socket,
    sys::cpu_time,
};

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The target.
    pub to: Address,
    /// The scheme.
    pub preset: &'static Preset,
    /// Number of lanes, 1 to [`MAX_LANES`](godwit_migration::limits::MAX_LANES).
    pub lanes: u8,
    /// Downtime that may be.
    pub downtime: Duration,
    /// How long pre-copy may take.
    pub timeout: Option<Duration>,
    /// What happens then.
    pub on_timeout: OnTimeout,
}

/// Moves the guest of `host` to `options.to`, and tells how it went: a failure is a report too.
///
/// Calls to `host` block; run it in a runtime of its own. Cancelled through `handle`.
pub async fn migrate(options: &Options, host: &mut dyn SourceHost, handle: &Handle) -> Report {
    let dirty = host.dirty();
    let config = SourceConfig {
        session: session(),
        preset: options.preset,
        lanes: options.lanes,
        downtime: options.downtime,
        timeout: options.timeout,
        on_timeout: options.on_timeout,
        tracking: dirty.name().into(),
        shape: host.shape(),
    };
    let (words, inbox) = unbounded_channel();
    let cpu_before = cpu_time();
    let mut driver = Driver {
        origin: Instant::now(),
        session: config.session,
        source: Source::new(Duration::ZERO, config),
        pages: host.pages(),
        dirty,
        options,
        host,
        handle,
        words,
        control: None,
        lanes: None,
        paused: false,
    };
    let mut report = driver.run(inbox).await;
    report.cpu_s.source = cpu_time().saturating_sub(cpu_before).as_secs_f64();
    report
}

/// A name that no other migration has: from the kernel's randomness, by way of the hasher that the library seeds.
fn session() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    let half = || u128::from(RandomState::new().hash_one(std::process::id()));
    half() << 64 | half()
}

/// What reaches the driver from its tasks and threads.
enum Word {
    Control(Result<TargetMessage, LinkError>),
    Lane(LaneWord),
}

impl From<Result<TargetMessage, LinkError>> for Word {
    fn from(message: Result<TargetMessage, LinkError>) -> Self {
        Self::Control(message)
    }
}

impl From<LaneWord> for Word {
    fn from(word: LaneWord) -> Self {
        Self::Lane(word)
    }
}

struct Driver<'a> {
    origin: Instant,
    session: u128,
    source: Source,
    pages: Arc<dyn PageSource>,
    dirty: Arc<dyn DirtySource>,
    options: &'a Options,
    host: &'a mut dyn SourceHost,
    handle: &'a Handle,
    words: UnboundedSender<Word>,
    control: Option<Control>,
    lanes: Option<SendingLanes>,
    paused: bool,
}

impl Driver<'_> {
    async fn run(&mut self, mut inbox: UnboundedReceiver<Word>) -> Report {
        loop {
            while let Some(action) = self.source.poll_action() {
                if let Action::Finish(report) = action {
                    return *report;
                }
                if let Some(event) = self.perform(action).await {
                    self.source.handle(self.now(), event);
                }
            }
            self.handle.publish(self.source.progress(self.now(), self.handle.sent_pages()));
            if let Some(event) = self.next(&mut inbox).await {
                self.source.handle(self.now(), event);
            }
        }
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Waits for the next thing that the machine wants to know.
    async fn next(&mut self, inbox: &mut UnboundedReceiver<Word>) -> Option<Event> {
        let deadline = self.source.poll_deadline().map(|at| tokio::time::Instant::from_std(self.origin + at));
        let tick = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let word = tokio::select! {
            biased;
            word = inbox.recv() => word,
            () = self.handle.cancelled() => return Some(Event::Cancel),
            () = tick => return Some(Event::Tick),
        };
        match word? {
            Word::Control(Ok(message)) => Some(Event::Message(message)),
            Word::Control(Err(LinkError::Protocol(error))) => Some(Event::ProtocolBroken(error)),
            Word::Control(Err(LinkError::Lost(error))) => {
                Some(Event::LinkLost(format!("the control link to {} was lost: {error}", self.options.to)))
            }
            Word::Lane(LaneWord::Sent(totals)) => self.lanes.as_mut()?.sent(&totals).map(Event::RoundSent),
            Word::Lane(LaneWord::Lost(reason)) => Some(reason_of(inbox, reason).await),
            Word::Lane(LaneWord::Failed(error)) => Some(Event::HostFailed(error)),
        }
    }

    /// Carries an action out; what there is to tell at once comes back.
    async fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Send(message) => self.send(&message).await.err(),
            Action::OpenLanes(count) => Some(match self.open_lanes(count).await {
                Ok(()) => Event::LanesOpen,
                Err(error) => {
                    Event::LinkLost(format!("cannot open the lanes to {}: {error}", self.options.to))
                }
            }),
            Action::StartTracking => Some(or_failed(self.start_tracking(), Event::Tracking)),
            Action::Harvest => Some(or_failed(self.harvest(), Event::Harvested)),
            Action::SendRound { round, plan, last } => {
                self.handle.round_begins();
                self.lanes.as_mut()?.send(round, &plan, last);
                None
            }
            Action::Pause => {
                self.paused = true;
                Some(or_failed(self.host.pause(), |()| Event::Paused))
            }
            Action::Save => Some(or_failed(self.host.save(), Event::Saved)),
            Action::GiveUp => {
                self.host.give_up();
                None
            }
            Action::TakeBack => {
                self.host.take_back();
                None
            }
            Action::Undo => Some(Event::Undone(self.undo())),
            Action::Finish(_) => None,
        }
    }

    /// Says something to the target; the first thing also connects.
    async fn send(&mut self, message: &SourceMessage) -> Result<(), Event> {
        let to = &self.options.to;
        let lost = |error: &dyn std::fmt::Display| {
            Event::LinkLost(format!("the control link to {to} was lost: {error}"))
        };
        if let Some(control) = &mut self.control {
            return link::write(&mut control.write, message).await.map_err(|error| lost(&error));
        }
        if !matches!(message, SourceMessage::Hello(_)) {
            return Ok(()); // Nobody to say it to: the connection never came up.
        }
        let dial = tokio::select! {
            dial = Socket::dial(to) => dial,
            () = self.handle.cancelled() => return Err(Event::Cancel),
        };
        let socket = dial.map_err(|error| Event::LinkLost(format!("cannot connect to {to}: {error}")))?;
        let (read, mut write) = split(socket);
        link::write_first(&mut write, message).await.map_err(|error| lost(&error))?;
        self.control = Some(Control::new(read, write, true, self.words.clone()));
        Ok(())
    }

    async fn open_lanes(&mut self, count: u8) -> Result<(), LinkError> {
        let mut sockets = vec![];
        for lane in 0..count {
            let mut socket = Socket::dial(&self.options.to).await?;
            let hello = SourceMessage::Lane(LaneHello { session: self.session, lane });
            link::write_first(&mut socket, &hello).await?;
            sockets.push(socket);
        }
        let coders = self.options.preset.coders();
        let lanes =
            SendingLanes::start(sockets, &coders, &self.pages, &self.dirty, self.handle, &self.words)?;
        self.lanes = Some(lanes);
        Ok(())
    }

    /// Tracking first, then what was touched before: a page touched in between is in both.
    fn start_tracking(&mut self) -> Result<PageSet, HostError> {
        self.dirty.begin()?;
        let mut touched = PageSet::empty(self.pages.pages());
        self.pages.touched(&mut touched)?;
        Ok(touched)
    }

    fn harvest(&mut self) -> Result<PageSet, HostError> {
        let mut dirty = PageSet::empty(self.pages.pages());
        self.dirty.harvest(&mut dirty)?;
        Ok(dirty)
    }

    /// Back to where it was: lanes stopped, tracking off, the guest running if it was paused for the copy.
    fn undo(&mut self) -> Result<(), HostError> {
        self.lanes = None;
        let tracking = self.dirty.end();
        if std::mem::take(&mut self.paused) {
            self.host.resume()?;
        }
        tracking
    }
}

fn or_failed<T>(result: Result<T, HostError>, event: impl FnOnce(T) -> Event) -> Event {
    result.map_or_else(Event::HostFailed, event)
}

/// A target that gives up says why on the control link and then closes its lanes; the lanes may be heard first.
async fn reason_of(inbox: &mut UnboundedReceiver<Word>, lost: String) -> Event {
    let reason = async {
        loop {
            match inbox.recv().await {
                Some(Word::Control(Ok(abort @ TargetMessage::Abort(_)))) => {
                    return Some(Event::Message(abort));
                }
                Some(Word::Control(Err(_))) | None => return None,
                Some(_) => {}
            }
        }
    };
    tokio::time::timeout(REASON_TIMEOUT, reason).await.ok().flatten().unwrap_or(Event::LinkLost(lost))
}
