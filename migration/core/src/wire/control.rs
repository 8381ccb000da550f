//! Control messages: a length, a checksum, and a value in postcard's encoding.
//!
//! `Hello` and `Refused` keep their place and shape for ever, so that two versions can always tell each other why they
//! do not go together.

use godwit_state::Section;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    error::ProtocolError,
    limits::{MAX_MESSAGE_BYTES, MAX_TEXT_BYTES, PROTOCOL},
    shape::MachineShape,
};

/// First bytes of every connection, in both directions. A peer that starts with anything else is not godwit.
pub const MAGIC: [u8; 8] = *b"godwit\r\n";
/// Bytes of a message header: length and checksum, little endian.
pub const MESSAGE_HEADER_BYTES: usize = 8;

/// The source's first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Oldest protocol version the source speaks.
    pub oldest: u16,
    /// Newest protocol version the source speaks.
    pub newest: u16,
    /// Capability bits the source would like to use.
    pub capabilities: u64,
    /// Random name of this migration; lanes and questions repeat it.
    pub session: u128,
    /// The session of the last attempt to move the same guest from the same process, which this one replaces; 0 for none.
    pub replaces: u128,
    /// Name and version of the software, for messages to people.
    pub software: String,
}

/// The target's answer: what both will speak.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloReply {
    /// The newest version that both speak.
    pub version: u16,
    /// Capabilities that both have.
    pub capabilities: u64,
    /// Name and version of the software, for messages to people.
    pub software: String,
}

impl HelloReply {
    /// Whether the version is one that this build has offered.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&self) -> Result<(), ProtocolError> {
        if (PROTOCOL.0..=PROTOCOL.1).contains(&self.version) {
            return Ok(());
        }
        let version = self.version;
        Err(ProtocolError(format!("the target chose protocol version {version}, which was not offered")))
    }
}

/// What the target must be able to offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepare {
    /// The machine that will come.
    pub shape: MachineShape,
    /// Number of lanes that will be opened.
    pub lanes: u8,
}

/// First message on a lane, after [`MAGIC`]. Everything else there is frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneHello {
    /// The migration it belongs to.
    pub session: u128,
    /// Which lane it is, from 0.
    pub lane: u8,
}

/// What became of a guest, by the word of the target that it was handed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It runs at the target, or has run there and ended.
    Runs,
    /// The target never ran it and never will, for this reason.
    Never(String),
    /// It is ready and may run, but the target has heard no `Go`.
    WaitsForGo,
    /// The target had the right to run it, and its process has ended since: nothing runs there now, and the guest may
    /// have run for a while.
    Ended,
    /// The target knows nothing of this migration.
    Unknown,
}

impl Answer {
    /// The answer for people.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Runs => "the guest runs at the target".into(),
            Self::Never(why) => {
                format!("the target never ran the guest and never will: {}", clean_text(why))
            }
            Self::WaitsForGo => "the target holds the guest, ready, and has not been told to run it".into(),
            Self::Ended => {
                "the target was given the right to run the guest, and its process has ended since: the guest does not \
                 run there now, and may have run there for a while"
                    .into()
            }
            Self::Unknown => "the target knows nothing of this migration".into(),
        }
    }

    /// Whether the guest goes on at the source, where a person there wants to `keep` it or does not: what the target knows
    /// counts, and where it does not know, the person.
    #[must_use]
    pub fn guest_stays(&self, keep: bool) -> bool {
        match self {
            Self::Runs => false,
            Self::Never(_) => true,
            Self::WaitsForGo | Self::Ended | Self::Unknown => keep,
        }
    }
}

/// What a source says. The first message of a connection is `Hello` on the control link, `Lane` on a lane, and `Ask` on
/// the link of a source that has lost its own after `Go`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceMessage {
    /// Opens the control link.
    Hello(Hello),
    /// Opens a lane.
    Lane(LaneHello),
    /// The machine that will come.
    Prepare(Box<Prepare>),
    /// State of everything but memory; sent once, after the pause.
    State(Vec<Section>),
    /// The source has given up its right to run: the target has it.
    Go,
    /// The source gives up the migration.
    Abort(String),
    /// The source lives. Said from the target's `Hello` to `Go`, whatever the phase.
    Beat,
    /// Would this machine be taken? Said in place of `Prepare`; nothing follows.
    Check(Box<Prepare>),
    /// What became of the guest of this session? What the source says next on this link is of that session.
    Ask(u128),
}

/// What a target says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetMessage {
    /// The versions go together.
    Hello(HelloReply),
    /// The target cannot take this machine: every reason at once.
    Refused(Vec<String>),
    /// Memory is there, lanes are awaited.
    Prepared,
    /// Every lane is here.
    LanesOpen,
    /// Every lane has ended `round`, `pages` pages arrived in it.
    RoundDone {
        /// The round.
        round: u32,
        /// Pages that arrived in it, over all lanes.
        pages: u64,
    },
    /// Everything is loaded and checked; the guest could run.
    Ready,
    /// The guest runs.
    Running {
        /// CPU time that the target has spent on the migration, in microseconds.
        cpu_us: u64,
    },
    /// The target gives up the migration; it will never run this guest.
    Abort(String),
    /// The target lives. Said after its `Hello`, whatever the phase.
    Beat,
    /// The machine of `Check` would be taken. Nothing has been made, and the target waits for the next source.
    Accepted,
    /// What became of the guest that was asked for.
    Answer(Answer),
}

impl SourceMessage {
    /// Name for error messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "Hello",
            Self::Lane(_) => "Lane",
            Self::Prepare(_) => "Prepare",
            Self::State(_) => "State",
            Self::Go => "Go",
            Self::Abort(_) => "Abort",
            Self::Beat => "Beat",
            Self::Check(_) => "Check",
            Self::Ask(_) => "Ask",
        }
    }
}

impl TargetMessage {
    /// Name for error messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "Hello",
            Self::Refused(_) => "Refused",
            Self::Prepared => "Prepared",
            Self::LanesOpen => "LanesOpen",
            Self::RoundDone { .. } => "RoundDone",
            Self::Ready => "Ready",
            Self::Running { .. } => "Running",
            Self::Abort(_) => "Abort",
            Self::Beat => "Beat",
            Self::Accepted => "Accepted",
            Self::Answer(_) => "Answer",
        }
    }
}

/// A message header, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageHeader {
    /// Bytes of the body.
    pub bytes: usize,
    checksum: u32,
}

impl MessageHeader {
    /// Reads a header.
    ///
    /// # Errors
    /// A body longer than [`MAX_MESSAGE_BYTES`].
    pub fn decode(raw: [u8; MESSAGE_HEADER_BYTES]) -> Result<Self, ProtocolError> {
        let [a, b, c, d, e, f, g, h] = raw;
        let bytes = u32::from_le_bytes([a, b, c, d]) as usize;
        if bytes > MAX_MESSAGE_BYTES {
            return Err(ProtocolError(format!(
                "a control message of {bytes} bytes, over the limit of {MAX_MESSAGE_BYTES}"
            )));
        }
        Ok(Self { bytes, checksum: u32::from_le_bytes([e, f, g, h]) })
    }
}

/// A message with its header, ready to be written in one go.
#[must_use]
pub fn encode_message<M: Serialize>(message: &M) -> Vec<u8> {
    let body = postcard::to_extend(message, vec![0; MESSAGE_HEADER_BYTES]);
    // Our messages hold nothing that postcard refuses (no maps, no sequences of unknown length).
    let mut bytes = body.expect("messages are encodable");
    let length = (bytes.len() - MESSAGE_HEADER_BYTES) as u32;
    let checksum = crc32fast::hash(&bytes[MESSAGE_HEADER_BYTES..]);
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Reads the body that `header` announced.
///
/// # Errors
/// A wrong checksum, a body that does not decode, bytes left over.
pub fn decode_message<M: DeserializeOwned>(header: MessageHeader, body: &[u8]) -> Result<M, ProtocolError> {
    if crc32fast::hash(body) != header.checksum {
        return Err(ProtocolError::new("a control message with a wrong checksum"));
    }
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        Ok(_) => Err(ProtocolError::new("a control message with bytes left over")),
        Err(error) => Err(ProtocolError(format!("a control message that does not decode: {error}"))),
    }
}

/// A peer's text, fit to be shown: bounded in bytes, control characters made spaces.
#[must_use]
pub fn clean_text(text: &str) -> String {
    let cut = text.floor_char_boundary(MAX_TEXT_BYTES);
    let mut clean: String = text[..cut].chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if cut < text.len() {
        clean.push('…');
    }
    clean
}
