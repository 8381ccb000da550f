//! Drives a source: carries its actions out, tells it what happened.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use godwit_migration::{
    arming::Arming,
    convergence::ladder::Escalation,
    host::{DirtySource, FreePages, HostError, PageSource},
    limits::FREE_PAGES_WAIT,
    page::{PageSet, Plan},
    preset::Scheme,
    report::{Outcome, Report},
    slow::Throttle,
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
    lanes::{Guest, LaneWord, SendingLanes},
    link::{self, Control, LinkError, REASON_TIMEOUT},
    marks::{self, Marks},
    protection::Protection,
    question,
    send_buffer::SendBuffer,
    socket::{Bond, Socket},
    sys::cpu_time,
    tls::SourceTls,
};

/// How often it is looked whether a guest has said what it has free.
const FREE_PAGES_LOOK: Duration = Duration::from_millis(1);

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of this migration: a [`new_session`].
    pub session: u128,
    /// That of the last attempt to move this guest from here; 0 for none.
    pub replaces: u128,
    /// The target.
    pub to: Address,
    /// How the way there is protected.
    pub protection: Protection<SourceTls>,
    /// The scheme.
    pub scheme: Scheme,
    /// Number of lanes, 1 to [`MAX_LANES`](godwit_migration::limits::MAX_LANES).
    pub lanes: u8,
    /// Downtime that may be.
    pub downtime: Duration,
    /// How long pre-copy may take.
    pub timeout: Option<Duration>,
    /// What happens then.
    pub on_timeout: OnTimeout,
    /// How packets to the target are marked.
    pub marks: Marks,
    /// A buffer between each lane and its socket; `None` for plain writes.
    pub send_buffer: Option<SendBuffer>,
    /// What is tried when pre-copy makes no progress.
    pub escalate: Escalation,
}

/// Moves the guest of `host` to `options.to`, and tells how it went: a failure is a report too.
///
/// The bandwidth cap is the handle's, because it may change on the way. Calls to `host` block; run it in a runtime of its own. Cancelled through `handle`.
pub async fn migrate(options: &Options, host: &mut dyn SourceHost, handle: &Handle) -> Report {
    let dirty = host.dirty();
    let config = SourceConfig {
        session: options.session,
        replaces: options.replaces,
        scheme: options.scheme.clone(),
        lanes: options.lanes,
        downtime: options.downtime,
        timeout: options.timeout,
        on_timeout: options.on_timeout,
        bandwidth_cap: handle.bandwidth(),
        escalate: options.escalate.clone(),
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
        free: host.free_pages(),
        unarmed: None,
        slowed_before: host.slowed(),
        options,
        host,
        handle,
        words,
        control: None,
        bond: None,
        lanes: None,
        paused: false,
        asking: false,
    };
    let mut report = driver.run(inbox).await;
    if let Some(control) = driver.control.take().filter(|_| report.outcome != Outcome::Completed) {
        control.part().await;
    }
    report.cpu_s.source = cpu_time().saturating_sub(cpu_before).as_secs_f64();
    report
}

/// A name that no other migration has: from the kernel's randomness, by way of the hasher that the library seeds.
#[must_use]
pub fn new_session() -> u128 {
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
    free: Option<Arc<dyn FreePages>>,
    /// Pages that no harvest will miss, because they are not yet armed: from the start of tracking to the first round.
    unarmed: Option<PageSet>,
    /// What had been taken from the guest's vCPUs before this migration.
    slowed_before: Duration,
    options: &'a Options,
    host: &'a mut dyn SourceHost,
    handle: &'a Handle,
    words: UnboundedSender<Word>,
    control: Option<Control>,
    /// What binds the lanes to the control link.
    bond: Option<Bond>,
    lanes: Option<SendingLanes>,
    paused: bool,
    /// Whether the first link was lost after `Go`: what the lanes say no longer matters.
    asking: bool,
}

impl Driver<'_> {
    async fn run(&mut self, mut inbox: UnboundedReceiver<Word>) -> Report {
        loop {
            while let Some(action) = self.source.poll_action() {
                if let Action::Finish(report) = action {
                    self.let_go();
                    return *report;
                }
                if let Some(event) = self.perform_in_time(action).await {
                    let event = self.with_reason(event, &mut inbox).await;
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
            until(deadline).await;
            // A process that was itself stopped first hears what was said meanwhile.
            tokio::task::yield_now().await;
        };
        // None after `Go`: what a target has not read when it lets go of the link costs the source its last word.
        let control = self.control.as_mut().filter(|_| self.source.can_cancel());
        let beat = control
            .map(|control| tokio::time::Instant::from_std(self.origin + control.pulse().poll_deadline()));
        let word = tokio::select! {
            biased;
            word = inbox.recv() => word,
            why = self.handle.cancelled() => return Some(Event::Cancel(why)),
            () = until(beat) => match self.beat().await {
                Some(lost) => return Some(self.with_reason(lost, inbox).await),
                None => return None,
            },
            cap = self.handle.bandwidth_changed() => return Some(Event::BandwidthCap(cap)),
            () = tick => return Some(Event::Tick),
        };
        let word = word?;
        if let (Word::Control(Ok(_)), Some(control)) = (&word, &mut self.control) {
            control.pulse().heard();
        }
        match word {
            Word::Control(Ok(TargetMessage::Beat)) => None,
            Word::Control(Ok(message)) => Some(Event::Message(message)),
            Word::Control(Err(LinkError::Protocol(error))) => Some(Event::ProtocolBroken(error)),
            Word::Control(Err(LinkError::Lost(error))) => {
                Some(Event::LinkLost(format!("the control link to {} was lost: {error}", self.options.to)))
            }
            Word::Lane(_) if self.asking => None,
            Word::Lane(LaneWord::Sent(totals)) => self.lanes.as_mut()?.sent(&totals).map(Event::RoundSent),
            Word::Lane(LaneWord::Lost(reason)) => {
                Some(self.with_reason(Event::LinkLost(reason), inbox).await)
            }
            Word::Lane(LaneWord::Failed(error)) => Some(Event::HostFailed(error)),
        }
    }

    /// A target that gives up says why on the control link and then closes everything: that the way to it is lost may be
    /// found first, by a lane or by what could not be said.
    async fn with_reason(&self, event: Event, inbox: &mut UnboundedReceiver<Word>) -> Event {
        match event {
            Event::LinkLost(_) if self.control.is_some() => reason_of(inbox, event).await,
            event => event,
        }
    }

    /// Says that this side lives, and looks whether the other does.
    async fn beat(&mut self) -> Option<Event> {
        let (now, bytes) = (self.now(), self.handle.lane_bytes());
        let control = self.control.as_mut()?;
        control.beat(&SourceMessage::Beat, now, bytes, "target").await.err().map(Event::LinkLost)
    }

    /// Carries an action out. What waits for the peer or the guest is given up for a cancellation or a time-out, as long
    /// as there is a way back; the target then sees the link end in the middle of a message.
    async fn perform_in_time(&mut self, action: Action) -> Option<Event> {
        let waits = matches!(action, Action::Send(_) | Action::OpenLanes(_) | Action::StartTracking(_))
            && self.source.can_cancel();
        if !waits {
            return self.perform(action).await;
        }
        let deadline = self.source.poll_deadline().map(|at| tokio::time::Instant::from_std(self.origin + at));
        let handle = self.handle;
        tokio::select! {
            biased;
            event = self.perform(action) => event,
            why = handle.cancelled() => Some(Event::Cancel(why)),
            () = until(deadline) => Some(Event::Tick),
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
            Action::StartTracking(arming) => {
                Some(or_failed(self.start_tracking(arming).await, Event::Tracking))
            }
            Action::Harvest => Some(or_failed(self.harvest(), Event::Harvested)),
            Action::SendRound { round, plan, last } => {
                self.send_round(round, &plan, last).err().map(Event::HostFailed)
            }
            Action::Throttle(throttle) => self.host.throttle(throttle).err().map(Event::HostFailed),
            Action::Pause => {
                self.paused = true;
                self.source.stops_guest(self.now());
                let paused = self.host.pause();
                self.tell_slowed();
                Some(or_failed(paused, |()| Event::Paused))
            }
            Action::Save => Some(or_failed(self.host.save(), Event::Saved)),
            Action::GiveUp => Some(or_failed(self.host.give_up(self.session), |()| Event::GivenUp)),
            Action::Ask => self.ask().await.err(),
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
            if let SourceMessage::Abort(_) = message {
                control.say_soon(message).await;
                return Ok(());
            }
            return control.say(message).await.map_err(|error| lost(&error));
        }
        if !matches!(message, SourceMessage::Hello(_)) {
            return Ok(()); // Nobody to say it to: the connection never came up.
        }
        let dial = Socket::dial(to, &self.options.marks, &self.options.protection, None);
        let socket = dial.await.map_err(|error| {
            let text = format!("cannot connect to {to}: {error}");
            if marks::is_unset(&error) { Event::HostFailed(HostError(text)) } else { Event::LinkLost(text) }
        })?;
        self.bond = socket.bond();
        let (read, mut write) = split(socket);
        link::write_first(&mut write, message).await.map_err(|error| lost(&error))?;
        self.control = Some(Control::new(read, write, true, self.origin.elapsed(), self.words.clone()));
        Ok(())
    }

    /// Connects anew, asks, and listens there from now on.
    async fn ask(&mut self) -> Result<(), Event> {
        (self.control, self.lanes, self.asking) = (None, None, true);
        let to = &self.options.to;
        let asked = tokio::select! {
            asked = question::put(to, &self.options.marks, &self.options.protection, self.session) => asked,
            why = self.handle.cancelled() => return Err(Event::Cancel(why)),
        };
        let (read, write) =
            split(asked.map_err(|error| Event::LinkLost(format!("cannot ask at {to}: {error}")))?);
        self.control = Some(Control::new(read, write, true, self.origin.elapsed(), self.words.clone()));
        Ok(())
    }

    async fn open_lanes(&mut self, count: u8) -> Result<(), LinkError> {
        let mut sockets = vec![];
        let Options { to, marks, protection, .. } = self.options;
        for lane in 0..count {
            let mut socket = Socket::dial(to, marks, protection, self.bond.as_ref()).await?;
            let hello = SourceMessage::Lane(LaneHello { session: self.session, lane });
            link::write_first(&mut socket, &hello).await?;
            sockets.push(socket);
        }
        let encoding = &self.options.scheme.encode;
        let buffer = self.options.send_buffer;
        let lanes = SendingLanes::start(
            sockets,
            buffer,
            encoding,
            &Guest { pages: self.pages.clone(), dirty: self.dirty.clone(), free: self.free.clone() },
            self.handle,
            &self.words,
        )?;
        self.lanes = Some(lanes);
        Ok(())
    }

    /// Tracking first, then what was touched before: a page touched in between is in both. What is free is waited for a
    /// little, since the first round is the one that saves most by it.
    ///
    /// A guest that tells what is free has all its pages armed at once: one that it takes again and writes to before it is
    /// armed would be left out as free, and be in no harvest.
    async fn start_tracking(&mut self, arming: Arming) -> Result<PageSet, HostError> {
        let unarmed = arming == Arming::AsSent && self.free.is_none() && self.dirty.begin_unarmed()?;
        if unarmed {
            let touched = self.touched()?;
            let mut untouched = PageSet::full(self.pages.pages());
            untouched.subtract(&touched);
            self.dirty.arm(&untouched, 0..self.pages.pages())?;
            // And what was touched before it was armed.
            self.unarmed = Some(touched);
            return self.touched();
        }
        self.dirty.begin()?;
        if let Some(free) = self.free.clone() {
            free.begin()?;
            let waited = Instant::now();
            while free.is_awaited() && waited.elapsed() < FREE_PAGES_WAIT {
                tokio::time::sleep(FREE_PAGES_LOOK).await;
            }
            let mut pages = PageSet::empty(self.pages.pages());
            free.peek(0..self.pages.pages(), &mut pages)?;
            self.source.handle(self.now(), Event::Free(pages));
        }
        self.touched()
    }

    /// The pages that were ever touched.
    fn touched(&self) -> Result<PageSet, HostError> {
        let mut touched = PageSet::empty(self.pages.pages());
        self.pages.touched(&mut touched)?;
        Ok(touched)
    }

    /// Gives a round to the lanes. The first of them arms as it goes what is not armed; what is not in it is armed now.
    fn send_round(&mut self, round: u32, plan: &Arc<Plan>, last: bool) -> Result<(), HostError> {
        let unarmed = self.unarmed.take();
        let arms = unarmed.is_some();
        if let Some(mut others) = unarmed {
            others.subtract(&plan.pages);
            self.dirty.arm(&others, 0..self.pages.pages())?;
        }
        if let Some(lanes) = &mut self.lanes {
            lanes.send(round, plan, last, arms);
        }
        Ok(())
    }

    /// What is free is taken before the harvest, and asked for again after it: [`FreePages`] says why.
    fn harvest(&mut self) -> Result<PageSet, HostError> {
        self.tell_slowed();
        let empty = PageSet::empty(self.pages.pages());
        if let Some(free) = &self.free {
            let mut pages = empty.clone();
            free.take(&mut pages)?;
            self.source.handle(self.now(), Event::Free(pages));
        }
        self.unarmed = None;
        let mut dirty = empty;
        self.dirty.harvest(&mut dirty)?;
        if let Some(free) = self.free.as_ref().filter(|_| !self.paused) {
            free.begin()?;
        }
        Ok(dirty)
    }

    fn tell_slowed(&mut self) {
        let slowed = self.host.slowed().saturating_sub(self.slowed_before);
        self.source.handle(self.now(), Event::Slowed(slowed));
    }

    /// A guest that stays here, also one of which nobody knows where it runs, is never slow after a migration.
    fn let_go(&mut self) {
        if let Err(error) = self.host.throttle(Throttle::None) {
            tracing::warn!("the guest may still be slowed: {error}");
        }
    }

    /// Back to where it was: lanes stopped, tracking off, the guest running if it was paused for the copy, and at full
    /// speed.
    fn undo(&mut self) -> Result<(), HostError> {
        self.lanes = None;
        let (tracking, freed) = (self.dirty.end(), self.host.throttle(Throttle::None));
        self.tell_slowed();
        if std::mem::take(&mut self.paused) {
            self.host.resume()?;
        }
        let given_back = self.free.as_ref().map_or(Ok(()), |free| free.end());
        tracking.and(freed).and(given_back)
    }
}

/// Waits for that moment; without one, for ever.
async fn until(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn or_failed<T>(result: Result<T, HostError>, event: impl FnOnce(T) -> Event) -> Event {
    result.map_or_else(Event::HostFailed, event)
}

/// Why the target gave up, where it says so soon; else that it is `lost`.
async fn reason_of(inbox: &mut UnboundedReceiver<Word>, lost: Event) -> Event {
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
    tokio::time::timeout(REASON_TIMEOUT, reason).await.ok().flatten().unwrap_or(lost)
}
