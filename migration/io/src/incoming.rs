//! Drives a target: takes connections in, tells them apart, carries the machine's actions out.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use godwit_migration::{
    error::{Class, MigrationError},
    host::HostError,
    limits::{GREETING_TIMEOUT, MAX_GREETINGS},
    target::{Action, Arrival, Event, Target},
    wire::{Answer, Hello, LaneHello, SourceMessage, TargetMessage},
};
use tokio::{
    io::{AsyncWrite, split},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
};

use crate::{
    handle::Handle,
    host::TargetHost,
    lanes::ReceivingLanes,
    link::{self, Control, LinkError, REASON_TIMEOUT},
    protection::Protection,
    socket::{Bond, Listener, Raw, Socket, Unadmitted},
    sys::cpu_time,
    tls::TargetTls,
};

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
    let mut next = None;
    loop {
        let caller = match next.take() {
            Some(caller) => caller,
            None => tokio::select! {
                caller = reception.source(&*host) => caller?,
                why = handle.cancelled() => {
                    return Err(before(why.class(), &format!("{why}, while waiting for a source")));
                }
            },
        };
        handle.receives(true);
        let received = take(caller, &mut reception, host, handle, &mut next).await;
        handle.receives(false);
        handle.stands(None);
        match received {
            Ok(Some(received)) => return Ok(received),
            Ok(None) => {}
            Err(error) if next.is_some() => tracing::warn!("{error}"),
            Err(error) => return Err(error),
        }
    }
}

/// Answers questions about sessions that are over, and lets nobody else in, for as long as it is polled.
///
/// # Errors
/// Connections can no longer be taken in.
pub async fn answer(
    listener: &Listener,
    answers: &dyn Fn(u128) -> Answer,
) -> Result<Infallible, MigrationError> {
    let mut reception = Reception { listener, greetings: JoinSet::new() };
    loop {
        let Caller { socket, from, message } = reception.caller().await?;
        match message {
            SourceMessage::Ask(session) => reply(socket, &from, answers(session)).await,
            _ => {
                tracing::warn!(%from, "a source was turned away: a guest is here already");
                turn_down(socket, "a guest is at this target already").await;
            }
        }
    }
}

/// Answers a question; whether the answer is heard is the asker's affair.
async fn reply(mut socket: Socket, from: &str, answer: Answer) {
    tracing::info!(%from, ?answer, "a source asked what became of its guest");
    let _ = link::write_first(&mut socket, &TargetMessage::Answer(answer)).await;
    tokio::spawn(socket.part());
}

/// Takes in the guest of a source that has connected; nothing where it only asked whether it may come. Another attempt of it, where this one is to end for it, becomes
/// `next`.
async fn take(
    caller: Caller,
    reception: &mut Reception<'_>,
    host: &mut dyn TargetHost,
    handle: &Handle,
    next: &mut Option<Caller>,
) -> Result<Option<Received>, MigrationError> {
    let Caller { socket, from, message: hello } = caller;
    let SourceMessage::Hello(Hello { session, .. }) = hello else {
        return Err(before(Class::Protocol, "a source began without Hello"));
    };
    tracing::info!(%from, "a source has connected");
    let bond = socket.bond();
    let (words, inbox) = unbounded_channel();
    let (read, mut write) = split(socket);
    let lost = |error: LinkError| before(Class::Link, &format!("the connection to {from} was lost: {error}"));
    link::start(&mut write).await.map_err(lost)?;
    let control = Control::new(read, write, false, Duration::ZERO, words.clone());
    let mut driver = Driver {
        origin: Instant::now(),
        cpu_before: cpu_time(),
        target: Target::new(Duration::ZERO),
        host,
        handle,
        words,
        control,
        bond,
        session,
        next,
        reception,
        awaited: None,
        lanes: ReceivingLanes::default(),
    };
    driver.target.handle(Duration::ZERO, Event::Message(hello));
    let arrival = match driver.run(inbox).await {
        Ok(arrival) => arrival,
        Err(error) => {
            driver.control.part().await;
            return Err(error);
        }
    };
    if arrival.is_none() {
        tracing::info!(%from, "a source asked whether its guest would be taken, and was answered");
    }
    Ok(arrival.map(|arrival| Received { from, rounds: arrival.rounds, pages: arrival.pages }))
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
                        let protection = self.listener.protection().clone();
                        self.greetings.spawn(greet(socket, from, protection));
                    }
                    Err(error) => {
                        let text = format!("cannot accept connections at {}: {error}", self.listener.address());
                        return Err(before(Class::Local, &text));
                    }
                },
            }
        }
    }

    /// The next source. Who asks about a session that is over is answered meanwhile.
    async fn source(&mut self, host: &dyn TargetHost) -> Result<Caller, MigrationError> {
        loop {
            let caller = self.caller().await?;
            let from = &caller.from;
            match &caller.message {
                SourceMessage::Hello(hello) => match host.answer(hello.session) {
                    Answer::Unknown => return Ok(caller),
                    known => {
                        tracing::warn!(%from, ?known, "a source of an earlier migration was turned away");
                        let why = format!("this migration has been here before: {}", known.words());
                        turn_down(caller.socket, &why).await;
                    }
                },
                &SourceMessage::Ask(session) => reply(caller.socket, from, host.answer(session)).await,
                other => {
                    tracing::warn!(%from, "a connection began with {} while no migration runs", other.name());
                }
            }
        }
    }
}

/// Lets a connection in, as far as its first message.
async fn greet(raw: Raw, from: String, protection: Protection<TargetTls>) -> Option<Caller> {
    let admit = async {
        let mut socket = match Socket::admit(raw, &protection).await {
            Ok(socket) => socket,
            Err(unadmitted) => return Err(turn_away(unadmitted).await),
        };
        let message = link::read_first(&mut socket).await.map_err(|error: LinkError| error.to_string())?;
        Ok((socket, message))
    };
    match tokio::time::timeout(GREETING_TIMEOUT, admit).await {
        Ok(Ok((socket, message))) => Some(Caller { socket, from, message }),
        Ok(Err(error)) => {
            tracing::warn!(%from, "a connection was turned away: {error}");
            None
        }
        Err(_) => {
            let seconds = GREETING_TIMEOUT.as_secs();
            tracing::warn!(%from, "a connection was turned away: it had not said who it is in {seconds} s");
            None
        }
    }
}

/// Tells a connection why it is not let in, as far as it can understand, and gives the reason.
async fn turn_away(unadmitted: Unadmitted) -> String {
    let (raw, reason) = match unadmitted {
        Unadmitted::Lost(error) => return error.to_string(),
        Unadmitted::Refused(raw, error) => (raw, error.to_string()),
        Unadmitted::ByTls(mut raw) => {
            // To one who speaks TLS this says at least that it is godwit.
            say_refused(&mut raw, "this target waits without TLS; leave --tls out, or start it with --tls")
                .await;
            (raw, "it speaks TLS, and this target was started without --tls".into())
        }
        Unadmitted::InClear(mut raw) => {
            say_refused(&mut raw, "this target lets nobody in without TLS; give the source --tls DIR").await;
            (raw, "it does not speak TLS, and this target was started with --tls".into())
        }
    };
    raw.part().await;
    reason
}

/// Says no to who has been let in, in a way that it can read.
async fn turn_down(mut socket: Socket, why: &str) {
    say_refused(&mut socket, why).await;
    tokio::spawn(socket.part());
}

/// Says no to somebody; whether it hears why is its own affair.
async fn say_refused<W: AsyncWrite + Unpin>(to: &mut W, why: &str) {
    let _ = link::write_first(to, &TargetMessage::Refused(vec![why.into()])).await;
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

struct Driver<'a, 'l> {
    origin: Instant,
    cpu_before: Duration,
    target: Target,
    host: &'a mut dyn TargetHost,
    handle: &'a Handle,
    words: UnboundedSender<Word>,
    control: Control,
    /// What binds the lanes to the control link.
    bond: Option<Bond>,
    session: u128,
    next: &'a mut Option<Caller>,
    reception: &'a mut Reception<'l>,
    awaited: Option<Awaited>,
    lanes: ReceivingLanes,
}

impl Driver<'_, '_> {
    /// Runs the machine to its end; nothing arrived where the source only checked.
    async fn run(&mut self, mut inbox: UnboundedReceiver<Word>) -> Result<Option<Arrival>, MigrationError> {
        loop {
            while let Some(action) = self.target.poll_action() {
                match action {
                    Action::Finish(outcome) => return outcome.map(Some),
                    Action::Answered => return Ok(None),
                    _ => {}
                }
                if let Some(event) = self.perform(action).await {
                    let event = with_reason(event, &mut inbox).await;
                    self.target.handle(self.origin.elapsed(), event);
                }
            }
            self.handle.stands(self.target.is_ready().then(|| self.target.is_alone()));
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
            // A process that was itself stopped first hears what was said meanwhile.
            tokio::task::yield_now().await;
        };
        let beat = tokio::time::Instant::from_std(self.origin + self.control.pulse().poll_deadline());
        tokio::select! {
            biased;
            word = inbox.recv() => match word? {
                Word::Control(Ok(SourceMessage::Beat)) => {
                    self.control.pulse().heard();
                    None
                }
                Word::Control(Ok(message)) => {
                    self.control.pulse().heard();
                    Some(Event::Message(message))
                }
                Word::Control(Err(LinkError::Protocol(error))) => Some(Event::ProtocolBroken(error)),
                Word::Control(Err(LinkError::Lost(error))) => {
                    Some(Event::LinkLost(format!("the control link was lost: {error}")))
                }
                Word::Lane(event) => Some(with_reason(event, inbox).await),
            },
            caller = self.reception.caller() => match caller {
                Ok(caller) => self.called(caller).await,
                Err(error) => Some(Event::HostFailed(HostError(error.reason))),
            },
            why = self.handle.cancelled() => Some(Event::Cancel(why)),
            () = tokio::time::sleep_until(beat) => {
                let (now, bytes) = (self.origin.elapsed(), self.lanes.bytes());
                let beat = self.control.beat(&TargetMessage::Beat, now, bytes, "source").await;
                match beat {
                    Ok(()) => None,
                    Err(lost) => Some(with_reason(Event::LinkLost(lost), inbox).await),
                }
            }
            runs = self.handle.decision() => runs.map(Event::Decided),
            () = tick => Some(Event::Tick),
        }
    }

    /// Somebody else has connected: a lane that is awaited, or a stranger.
    async fn called(&mut self, caller: Caller) -> Option<Event> {
        let Caller { socket, from, message } = caller;
        match message {
            SourceMessage::Lane(hello) => match self.stranger(&socket, &hello) {
                None => self.lane(socket, &hello),
                Some(why) => {
                    tracing::warn!(%from, lane = hello.lane, "a lane was turned away: {why}");
                    turn_down(socket, &format!("the lane was turned away: {why}")).await;
                    None
                }
            },
            SourceMessage::Ask(session) if session == self.session => Some(self.asked(socket, &from).await),
            SourceMessage::Ask(session) => {
                reply(socket, &from, self.host.answer(session)).await;
                None
            }
            SourceMessage::Hello(Hello { replaces, .. })
                if replaces == self.session && self.target.is_alone() =>
            {
                *self.next = Some(Caller { socket, from, message });
                Some(Event::Replaced)
            }
            SourceMessage::Hello(_) => {
                tracing::warn!(%from, "a second source was turned away: a migration is under way");
                turn_down(socket, "another migration to this target is under way").await;
                None
            }
            other => {
                tracing::warn!(%from, "a connection began with {}", other.name());
                None
            }
        }
    }

    /// The source is back on another link.
    async fn asked(&mut self, socket: Socket, from: &str) -> Event {
        tracing::info!(%from, "the source is back, and asks what became of its guest");
        let (read, mut write) = split(socket);
        if let Err(error) = link::start(&mut write).await {
            return Event::LinkLost(format!("the control link was lost: {error}"));
        }
        self.control = Control::new(read, write, false, self.origin.elapsed(), self.words.clone());
        Event::Asked
    }

    /// Why a lane is not one of this migration; nothing where it is, and is awaited.
    fn stranger(&self, socket: &Socket, hello: &LaneHello) -> Option<&'static str> {
        if let Err(why) = socket.belongs_to(self.bond.as_ref()) {
            return Some(why);
        }
        let awaited = self.awaited.as_ref().filter(|awaited| awaited.session == hello.session);
        match awaited.map(|awaited| awaited.here.get(usize::from(hello.lane))) {
            None => Some("nobody awaits a lane of that migration"),
            Some(None) => Some("the migration has fewer lanes"),
            Some(Some(true)) => Some("that lane is here already"),
            Some(Some(false)) => None,
        }
    }

    fn lane(&mut self, socket: Socket, hello: &LaneHello) -> Option<Event> {
        let awaited = self.awaited.as_mut()?;
        *awaited.here.get_mut(usize::from(hello.lane))? = true;
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
            Action::Send(message @ TargetMessage::Abort(_)) => {
                self.control.say_soon(&message).await;
                None
            }
            Action::Send(message) => match self.control.say(&message).await {
                Ok(()) => None,
                Err(error) => Some(Event::LinkLost(format!("the control link was lost: {error}"))),
            },
            Action::Check(shape) => Some(Event::Checked(self.host.check(&shape))),
            Action::Prepare { session, shape } => Some(Event::Prepared(self.host.prepare(session, &shape))),
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
            Action::Answered | Action::Finish(_) => None,
        }
    }
}

/// A source that gives up says why on the control link and then closes everything: that the way to it is lost may be
/// found first, by a lane or by what could not be said. What it said last counts, `Go` too.
async fn with_reason(event: Event, inbox: &mut UnboundedReceiver<Word>) -> Event {
    let Event::LinkLost(_) = event else { return event };
    let last = async {
        loop {
            match inbox.recv().await {
                Some(Word::Control(Ok(last @ (SourceMessage::Abort(_) | SourceMessage::Go)))) => {
                    return Some(Event::Message(last));
                }
                Some(Word::Control(Err(_))) | None => return None,
                Some(_) => {}
            }
        }
    };
    tokio::time::timeout(REASON_TIMEOUT, last).await.ok().flatten().unwrap_or(event)
}
