//! What a migration's sockets are to the network: DSCP in the IP header of their packets, a priority for this host's queues
//! (802.1p and queueing disciplines map it), and the congestion control that decides when a packet may go.

use std::{fmt, io, net::SocketAddr, str::FromStr};

use socket2::SockRef;

/// Names of code points (RFC 2474, 2597, 3246, 5865, 8622), and their numbers.
const NAMES: [(&str, u8); 24] = [
    ("default", 0),
    ("cs0", 0),
    ("le", 1),
    ("cs1", 8),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("cs2", 16),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("cs3", 24),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("cs4", 32),
    ("af41", 34),
    ("af42", 36),
    ("af43", 38),
    ("cs5", 40),
    ("va", 44),
    ("ef", 46),
    ("cs6", 48),
    ("cs7", 56),
];

/// A differentiated services code point, 0 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dscp(u8);

impl Dscp {
    /// The code point of that number.
    ///
    /// # Errors
    /// A sentence with the range.
    pub fn new(number: u64) -> Result<Self, String> {
        match u8::try_from(number) {
            Ok(point @ 0..64) => Ok(Self(point)),
            _ => Err(format!("DSCP {number} cannot be; it is 0 to 63")),
        }
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

/// A number, or a name such as `cs1`, `af21` or `ef`.
impl FromStr for Dscp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, point)) = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Ok(Self(*point));
        }
        let number = text.parse().map_err(|_| {
            let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
            format!("'{text}' is no DSCP; it is 0 to 63 or one of {}", names.join(", "))
        })?;
        Self::new(number)
    }
}

impl fmt::Display for Dscp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A priority of this host's queues (`SO_PRIORITY`), 0 to 7; 7 needs `CAP_NET_ADMIN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority(u8);

impl Priority {
    /// The priority of that number.
    ///
    /// # Errors
    /// A sentence with the range.
    pub fn new(number: u64) -> Result<Self, String> {
        match u8::try_from(number) {
            Ok(priority @ 0..=7) => Ok(Self(priority)),
            _ => Err(format!("priority {number} cannot be; it is 0 to 7, and 7 needs CAP_NET_ADMIN")),
        }
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

impl FromStr for Priority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text
            .parse()
            .map_err(|_| format!("'{text}' is no priority; it is 0 to 7, and 7 needs CAP_NET_ADMIN"))?;
        Self::new(number)
    }
}

/// Longest name of a congestion control, in bytes (`TCP_CA_NAME_MAX`, with the zero behind it).
const MAX_NAME_BYTES: usize = 15;

/// A congestion control of TCP, by the name that the kernel has for it (tcp(7)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Congestion(String);

impl Congestion {
    /// What a connection within one host has: there is no network to be fair to, and this one never waits. A control that
    /// paces, as BBR does, sets a timer for every few packets. Every kernel has it, and lets everybody choose it.
    fn within_host() -> Self {
        Self("reno".into())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl FromStr for Congestion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = (1..=MAX_NAME_BYTES).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
            return Ok(Self(text.into()));
        }
        Err(format!(
            "'{text}' is no congestion control; it is a name of 1 to {MAX_NAME_BYTES} letters and digits, such as cubic"
        ))
    }
}

impl fmt::Display for Congestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the sockets of a migration are marked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// DSCP of their packets.
    pub dscp: Option<Dscp>,
    /// Their priority in this host's queues.
    pub priority: Option<Priority>,
    /// Their congestion control. Without one, this host's own; within this host one that does not pace.
    pub congestion: Option<Congestion>,
}

impl Marks {
    /// Whether nothing was asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Marks a socket before it connects to `peer`, so that the first packet is marked too. The priority comes last,
    /// because the kernel derives one from the DSCP.
    pub(crate) fn apply(&self, socket: &SockRef<'_>, peer: &SocketAddr) -> io::Result<()> {
        if let Some(dscp) = self.dscp {
            // The lower two bits are congestion's (RFC 3168), and the kernel's.
            let field = u32::from(dscp.0) << 2;
            match peer {
                SocketAddr::V4(_) => socket.set_tos_v4(field),
                SocketAddr::V6(_) => socket.set_tclass_v6(field),
            }
            .map_err(|error| named(&error, format_args!("DSCP {dscp} cannot be set")))?;
        }
        if let Some(Priority(priority)) = self.priority {
            socket.set_priority(priority.into()).map_err(|error| match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    named(&error, format_args!("priority {priority} needs CAP_NET_ADMIN"))
                }
                _ => named(&error, format_args!("priority {priority} cannot be set")),
            })?;
        }
        let within_host = peer.ip().to_canonical().is_loopback().then(Congestion::within_host);
        if let Some(congestion) = self.congestion.as_ref().or(within_host.as_ref()) {
            socket.set_tcp_congestion(congestion.0.as_bytes()).map_err(|error| {
                let way_out =
                    "net.ipv4.tcp_allowed_congestion_control lists what this host lets everybody choose";
                named(&error, format_args!("congestion control {congestion} cannot be set ({way_out})"))
            })?;
        }
        Ok(())
    }
}

/// A mark that this host does not set: nothing that the peer has to do with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unset(String);

/// Whether a connection failed because of its [`Marks`].
pub(crate) fn is_unset(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Unset>())
}

fn named(error: &io::Error, what: fmt::Arguments<'_>) -> io::Error {
    io::Error::new(error.kind(), Unset(format!("{what}: {error}")))
}
