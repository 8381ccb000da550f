//! Hand-made peers: the other end of a migration, message by message and frame by frame, so that a test can say what no
//! godwit would.

use std::{
    cell::Cell,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use godwit_migration::{
    limits::{CAPABILITIES, PAGE_BYTES, PROTOCOL},
    shape::MachineShape,
    wire::{
        FRAME_HEADER_BYTES, FrameHeader, Hello, HelloReply, LaneHello, MAGIC, MESSAGE_HEADER_BYTES,
        MessageHeader, Prepare, SourceMessage, TargetMessage, decode_message, encode_message,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use crate::vmm::Vmm;

/// How long godwit may take to say what is due.
const PATIENCE: Duration = Duration::from_secs(30);
/// The name of the next hand-made migration.
static SESSIONS: AtomicU64 = AtomicU64::new(0x5e55_1011);

thread_local! {
    /// The session of the last `Hello` of this thread: that of its lanes.
    static SESSION: Cell<u128> = const { Cell::new(0) };
}

/// A place where a hand-made target waits.
pub struct Post(TcpListener);

impl Default for Post {
    fn default() -> Self {
        Self::open()
    }
}

impl Post {
    /// On a free port.
    ///
    /// # Panics
    /// Where loopback has none.
    #[must_use]
    pub fn open() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"))
    }

    /// Where it is.
    ///
    /// # Panics
    /// Never: it listens.
    #[must_use]
    pub fn address(&self) -> String {
        format!("tcp:{}", self.0.local_addr().expect("a listener has an address"))
    }

    /// The next connection.
    ///
    /// # Panics
    /// Where none can be.
    #[must_use]
    pub fn accept(&self) -> Link {
        Link::over(self.0.accept().expect("a connection can be accepted").0)
    }

    /// A source's control link, whose `Hello` was answered as a target of this build does.
    ///
    /// # Panics
    /// Where it does not begin with `Hello`.
    #[must_use]
    pub fn greet(&self) -> Link {
        let mut link = self.accept();
        link.hear_magic();
        let SourceMessage::Hello(hello) = link.hear() else { panic!("no Hello") };
        assert_eq!((hello.oldest, hello.newest), PROTOCOL);
        link.say_first(&TargetMessage::Hello(HelloReply {
            version: PROTOCOL.1,
            capabilities: CAPABILITIES,
            software: "a hand-made target".into(),
        }));
        link
    }
}

/// The machine that the guest of `source` needs: asked for as a target is told it, and then refused.
///
/// # Panics
/// Where the source does not begin a migration, or is harmed by the refusal.
#[must_use]
pub fn shape_of(source: &Vmm) -> MachineShape {
    let post = Post::open();
    let mut migration = source.begin_migration(&post.address(), &[]);
    let mut link = post.greet();
    let SourceMessage::Prepare(prepare) = link.hear() else { panic!("no Prepare") };
    link.say(&TargetMessage::Refused(vec!["only asking".into()]));
    assert_eq!(migration.end(PATIENCE).status, 5, "incompatible");
    prepare.shape
}

/// One connection, as either side.
pub struct Link(TcpStream);

impl Link {
    /// Connects to a target (`tcp:HOST:PORT`).
    ///
    /// # Panics
    /// Where it does not listen.
    #[must_use]
    pub fn dial(address: &str) -> Self {
        let host = address.strip_prefix("tcp:").expect("a hand-made source speaks TCP");
        Self::over(TcpStream::connect(host).unwrap_or_else(|e| panic!("{address}: {e}")))
    }

    /// A source's control link, as far as `LanesOpen`, with `lanes` lanes.
    ///
    /// # Panics
    /// Where the target does not play along.
    #[must_use]
    pub fn prepared(address: &str, shape: &MachineShape, lanes: u8) -> (Self, Vec<Self>) {
        let mut link = Self::introduced(address);
        link.say(&SourceMessage::Prepare(Box::new(Prepare { shape: shape.clone(), lanes })));
        assert_eq!(link.hear::<TargetMessage>(), TargetMessage::Prepared);
        let open = |lane| {
            let mut link = Self::dial(address);
            link.say_first(&SourceMessage::Lane(LaneHello { session: SESSION.get(), lane }));
            link
        };
        let opened = (0..lanes).map(open).collect();
        assert_eq!(link.hear::<TargetMessage>(), TargetMessage::LanesOpen);
        (link, opened)
    }

    /// A source's control link whose `Hello` was taken.
    ///
    /// # Panics
    /// Where the target does not play along.
    #[must_use]
    pub fn introduced(address: &str) -> Self {
        let mut link = Self::dial(address);
        link.say_first(&hello(PROTOCOL.0, PROTOCOL.1));
        link.hear_magic();
        let TargetMessage::Hello(reply) = link.hear() else { panic!("no Hello in return") };
        assert_eq!(reply.version, PROTOCOL.1);
        link
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time-out");
        stream.set_nodelay(true).expect("a socket takes an option");
        Self(stream)
    }

    /// Writes bytes, whatever they are. The peer may have hung up on those before: that is its answer.
    ///
    /// # Panics
    /// Where it fails otherwise.
    pub fn write(&mut self, bytes: &[u8]) {
        match self.0.write_all(bytes) {
            Err(e) if ![ErrorKind::BrokenPipe, ErrorKind::ConnectionReset].contains(&e.kind()) => {
                panic!("{e}")
            }
            _ => {}
        }
    }

    /// Says a message.
    pub fn say(&mut self, message: &impl Serialize) {
        self.write(&encode_message(message));
    }

    /// Says the first message of a connection.
    pub fn say_first(&mut self, message: &impl Serialize) {
        self.write(&[MAGIC.as_slice(), &encode_message(message)].concat());
    }

    /// Hears the bytes that every connection begins with.
    ///
    /// # Panics
    /// Where they are others, or none come.
    pub fn hear_magic(&mut self) {
        let mut magic = [0; MAGIC.len()];
        self.0.read_exact(&mut magic).expect("a connection begins");
        assert_eq!(magic, MAGIC);
    }

    /// Hears a message.
    ///
    /// # Panics
    /// Where none comes, or one that cannot be.
    #[must_use]
    pub fn hear<M: DeserializeOwned>(&mut self) -> M {
        let mut header = [0; MESSAGE_HEADER_BYTES];
        self.0.read_exact(&mut header).expect("a message is due");
        let header = MessageHeader::decode(header).expect("godwit writes good headers");
        let mut body = vec![0; header.bytes];
        self.0.read_exact(&mut body).expect("a message has a body");
        decode_message(header, &body).expect("godwit writes good messages")
    }

    /// Hears why the target gives the migration up.
    ///
    /// # Panics
    /// Where it does not.
    #[must_use]
    pub fn hear_abort(&mut self) -> String {
        match self.hear() {
            TargetMessage::Abort(reason) => reason,
            other => panic!("no Abort: {other:?}"),
        }
    }

    /// Reads and throws away until the peer hangs up.
    ///
    /// # Panics
    /// Where it does not.
    pub fn wait_closed(&mut self) {
        let mut piece = vec![0; 64 << 10];
        loop {
            match self.0.read(&mut piece) {
                Ok(0) => return,
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return,
                Err(e) => panic!("the peer does not hang up: {e}"),
            }
        }
    }
}

/// A source's first message, with these versions of the protocol.
#[must_use]
pub fn hello(oldest: u16, newest: u16) -> SourceMessage {
    SESSION.set(SESSIONS.fetch_add(1, Ordering::Relaxed).into());
    SourceMessage::Hello(Hello {
        oldest,
        newest,
        capabilities: CAPABILITIES,
        session: SESSION.get(),
        replaces: 0,
        software: "a hand-made source".into(),
    })
}

/// A frame with that header and that many bytes of content, sealed with the right checksum.
#[must_use]
pub fn frame(header: &FrameHeader, content_bytes: usize) -> Vec<u8> {
    let mut frame = vec![0; FRAME_HEADER_BYTES + content_bytes];
    header.seal(&mut frame);
    frame
}

/// The header of a frame that brings one raw page, as the first frame of the first round.
#[must_use]
pub fn one_page(page: u32) -> FrameHeader {
    FrameHeader {
        kind: godwit_migration::wire::FrameKind::Pages,
        codec: godwit_migration::codec::RAW,
        round: 1,
        sequence: 0,
        first: page,
        count: 1,
        bytes: PAGE_BYTES as u32,
        chain: 0,
    }
}
