//! Drives a target: takes connections in, tells them apart, carries the machine's actions out.

use std::time::{Duration, Instant};

use godwit_migration::{
    error::{Class, MigrationError},
    host::HostError,
    target::{Action, Arrival, Event, Target},
    wire::{LaneHello, SourceMessage, TargetMessage},
};
use tokio::{
    io::split,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
};

use crate::{
    handle::Handle,
    host::TargetHost,
    lanes::ReceivingLanes,
    link::{self, Control, LinkError, REASON_TIMEOUT},
    socket::{Listener, Socket},
    sys::cpu_time,
};

/// How long a connection may take to say what it is.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that may be about to say what they are at one time.
const MAX_GREETINGS: usize = 64;

/// What arrived, and from where.
#[derive(Clone, Debug)]
pub struct Received {
    /// Address of the source's control link.
    pub from: String,
    /// Rounds, the stop-and-copy included.
    pub rounds: u32,
    /// Pages, copies included.
    pub pages: u64,
}

/// Waits for a source and takes its guest in; the guest then runs.
///
/// A connection that does not speak the protocol is logged and does not end the wait.
///
/// # Errors
/// The migration failed; the guest never ran here, and the host has discarded it.
pub async fn receive(
    listener: &Listener,
    host: &mut dyn TargetHost,
    handle: &Handle,
) -> Result<Received, MigrationError> {
    let mut reception = Reception { listener, greetings: JoinSet::new() };
    let (socket, from, hello) = tokio::select! {
        caller = reception.control() => caller?,
        () = handle.cancelled() => return Err(before(Class::Cancelled, "cancelled while waiting for a source")),
    };
    tracing::info!(%from, "a source has connected");
    let (words, inbox) = unbounded_channel();
    let (read, mut write) = split(socket);
    let lost = |error: LinkError| before(Class::Link, &format!("the connection to {from} was lost: {error}"));
    link::start(&mut write).await.map_err(lost)?;
    let control = Control::new(read, write, false, words.clone());
    let mut driver = Driver {
        origin: Instant::now(),
        cpu_before: cpu_time(),
        target: Target::new(Duration::ZERO),
        host,
        handle,
        words,
        control,
        reception,
        awaited: None,
        lanes: ReceivingLanes::default(),
    };
    driver.target.handle(Duration::ZERO, Event::Message(hello));
    let arrival = driver.run(inbox).await?;
    Ok(Received { from, rounds: arrival.rounds, pages: arrival.pages })
}

fn before(class: Class, reason: &str) -> MigrationError {
    MigrationError { class, phase: "hello".into(), round: 0, reason: reason.into() }
}

/// Who connects, until it has said what it is.
struct Reception<'a> {
    listener: &'a Listener,
    greetings: JoinSet<Option<Caller>>,
}

/// A connection that has said what it is.
struct Caller {
    socket: Socket,
    from: String,
    message: SourceMessage,
}

impl Reception<'_> {
    /// The next connection that speaks the protocol.
    async fn caller(&mut self) -> Result<Caller, MigrationError> {
        loop {
            tokio::select! {
                Some(greeting) = self.greetings.join_next() => {
                    if let Ok(Some(caller)) = greeting {
                        return Ok(caller);
                    }
                }
                accepted = self.listener.accept(), if self.greetings.len() < MAX_GREETINGS => match accepted {
                    Ok((socket, from)) => {
                        self.greetings.spawn(greet(socket, from));
                    }
                    Err(error) => {
                        let text = format!("cannot accept connections at {}: {error}", self.listener.address());
                        return Err(before(Class::Local, &text));
                    }
                },
            }
        }
    }

    /// The next source.
    async fn control(&mut self) -> Result<(Socket, String, SourceMessage), MigrationError> {
        loop {
            match self.caller().await? {
                Caller { socket, from, message: message @ SourceMessage::Hello(_) } => {
                    return Ok((socket, from, message));
                }
                Caller { from, message, .. } => {
                    tracing::warn!(%from, "a connection began with {} while no migration runs", message.name());
                }
            }
        }
    }
}

/// Reads the first message of a connection.
async fn greet(mut socket: Socket, from: String) -> Option<Caller> {
    let first = async {
        link::read_magic(&mut socket).await?;
        link::read(&mut socket).await
    };
    match tokio::time::timeout(GREETING_TIMEOUT, first).await {
        Ok(Ok(message)) => Some(Caller { socket, from, message }),
        Ok(Err(error)) => {
            tracing::warn!(%from, "a connection was turned away: {error}");
            None
        }
        Err(_) => {
            tracing::warn!(%from, "a connection was turned away: it said nothing for {} s", GREETING_TIMEOUT.as_secs());
            None
        }
    }
}

/// What reaches the driver from its tasks and threads.
enum Word {
    Control(Result<SourceMessage, LinkError>),
    Lane(Event),
}

impl From<Result<SourceMessage, LinkError>> for Word {
    fn from(message: Result<SourceMessage, LinkError>) -> Self {
        Self::Control(message)
    }
}

impl From<Event> for Word {
    fn from(event: Event) -> Self {
        Self::Lane(event)
    }
}

/// The lanes that a source has announced.
struct Awaited {
    session: u128,
    lanes: u8,
    here: Vec<bool>,
}

struct Driver<'a> {
    origin: Instant,
    cpu_before: Duration,
    target: Target,
    host: &'a mut dyn TargetHost,
    handle: &'a Handle,
    words: UnboundedSender<Word>,
    control: Control,
    reception: Reception<'a>,
    awaited: Option<Awaited>,
    lanes: ReceivingLanes,
}

impl Driver<'_> {
    async fn run(&mut self, mut inbox: UnboundedReceiver<Word>) -> Result<Arrival, MigrationError> {
        loop {
            while let Some(action) = self.target.poll_action() {
                if let Action::Finish(outcome) = action {
                    return outcome;
                }
                if let Some(event) = self.perform(action).await {
                    self.target.handle(self.origin.elapsed(), event);
                }
            }
            if let Some(event) = self.next(&mut inbox).await {
                self.target.handle(self.origin.elapsed(), event);
            }
        }
    }

    /// Waits for the next thing that the machine wants to know.
    async fn next(&mut self, inbox: &mut UnboundedReceiver<Word>) -> Option<Event> {
        let deadline = self.target.poll_deadline().map(|at| tokio::time::Instant::from_std(self.origin + at));
        let tick = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            word = inbox.recv() => match word? {
                Word::Control(Ok(message)) => Some(Event::Message(message)),
                Word::Control(Err(LinkError::Protocol(error))) => Some(Event::ProtocolBroken(error)),
                Word::Control(Err(LinkError::Lost(error))) => {
                    Some(Event::LinkLost(format!("the control link was lost: {error}")))
                }
                Word::Lane(lost @ Event::LinkLost(_)) => Some(reason_of(inbox, lost).await),
                Word::Lane(event) => Some(event),
            },
            caller = self.reception.caller() => match caller {
                Ok(caller) => self.called(caller).await,
                Err(error) => Some(Event::HostFailed(HostError(error.reason))),
            },
            () = self.handle.cancelled() => Some(Event::Cancel),
            () = tick => Some(Event::Tick),
        }
    }

    /// Somebody else has connected: a lane that is awaited, or a stranger.
    async fn called(&mut self, caller: Caller) -> Option<Event> {
        let Caller { mut socket, from, message } = caller;
        match message {
            SourceMessage::Lane(hello) => self.lane(socket, &from, &hello),
            SourceMessage::Hello(_) => {
                tracing::warn!(%from, "a second source was turned away: a migration is under way");
                let busy =
                    TargetMessage::Refused(vec!["another migration to this target is under way".into()]);
                // It was turned away; whether it hears why is its own affair.
                let _ = link::write_first(&mut socket, &busy).await;
                None
            }
            other => {
                tracing::warn!(%from, "a connection began with {}", other.name());
                None
            }
        }
    }

    fn lane(&mut self, socket: Socket, from: &str, hello: &LaneHello) -> Option<Event> {
        let awaited = self.awaited.as_mut().filter(|awaited| awaited.session == hello.session);
        let Some((awaited, false)) =
            awaited.and_then(|a| a.here.get(usize::from(hello.lane)).copied().map(|here| (a, here)))
        else {
            tracing::warn!(%from, lane = hello.lane, "a lane that nobody awaits was turned away");
            return None;
        };
        awaited.here[usize::from(hello.lane)] = true;
        let all_here = awaited.here.iter().all(|&here| here);
        let lanes = awaited.lanes;
        let added = self.host.pages().and_then(|sink| {
            let words = self.words.clone();
            self.lanes.add(socket, hello.lane, lanes, sink, words).map_err(HostError::of)
        });
        match added {
            Err(error) => Some(Event::HostFailed(error)),
            Ok(()) => all_here.then_some(Event::LanesOpen),
        }
    }

    /// Carries an action out; what there is to tell at once comes back.
    async fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Send(message) => match link::write(&mut self.control.write, &message).await {
                Ok(()) => None,
                Err(error) => Some(Event::LinkLost(format!("the control link was lost: {error}"))),
            },
            Action::Prepare(shape) => Some(Event::Prepared(self.host.prepare(&shape))),
            Action::AcceptLanes { session, lanes } => {
                self.awaited = Some(Awaited { session, lanes, here: vec![false; usize::from(lanes)] });
                None
            }
            Action::Build(state) => Some(Event::Built(self.host.build(&state))),
            Action::Run => {
                let started = self.host.run();
                Some(Event::Started(started.map(|()| cpu_time().saturating_sub(self.cpu_before))))
            }
            Action::Discard => {
                self.lanes = ReceivingLanes::default();
                self.host.discard();
                None
            }
            Action::Finish(_) => None,
        }
    }
}

/// A source that gives up says why on the control link and then closes its lanes; the lanes may be heard first.
async fn reason_of(inbox: &mut UnboundedReceiver<Word>, lost: Event) -> Event {
    let reason = async {
        loop {
            match inbox.recv().await {
                Some(Word::Control(Ok(abort @ SourceMessage::Abort(_)))) => {
                    return Some(Event::Message(abort));
                }
                Some(Word::Control(Err(_))) | None => return None,
                Some(_) => {}
            }
        }
    };
    tokio::time::timeout(REASON_TIMEOUT, reason).await.ok().flatten().unwrap_or(lost)
}
