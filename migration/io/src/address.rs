//! Where a peer is: `tcp:HOST:PORT` or `unix:PATH`.

use std::{fmt, path::PathBuf, str::FromStr};

/// An address of the two kinds that are spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Host (name or number) and port.
    Tcp(String),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// The host, as a name or a number; a Unix socket has none.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let Self::Tcp(host) = self else { return None };
        let host = host.rsplit_once(':').map_or(host.as_str(), |(host, _)| host);
        Some(host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not an address; write tcp:HOST:PORT or unix:PATH");
        match text.split_once(':') {
            Some(("tcp", rest)) => {
                let rest = rest.strip_prefix("//").unwrap_or(rest);
                let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
                if host.is_empty() || port.parse::<u16>().is_err() {
                    return Err(wrong());
                }
                Ok(Self::Tcp(rest.into()))
            }
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host) => write!(f, "tcp:{host}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod address_test {
    use super::*;

    #[test]
    fn addresses_read_as_they_are_written() {
        for text in ["tcp:127.0.0.1:4444", "tcp:[::1]:4444", "tcp:host.example:1", "unix:/run/g.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("tcp://h:1".parse::<Address>().unwrap().to_string(), "tcp:h:1");
    }

    #[test]
    fn the_host_is_what_stands_before_the_port() {
        for (text, host) in [
            ("tcp:127.0.0.1:4444", Some("127.0.0.1")),
            ("tcp:[::1]:4444", Some("::1")),
            ("tcp:host.example:1", Some("host.example")),
            ("unix:/run/g.sock", None),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().host(), host);
        }
    }

    #[test]
    fn anything_else_is_answered_with_the_forms_there_are() {
        for text in ["", "tcp:", "tcp:host", "tcp:host:port", "tcp::1", "unix:", "udp:h:1", "/run/g.sock"] {
            assert!(
                text.parse::<Address>().unwrap_err().contains("write tcp:HOST:PORT or unix:PATH"),
                "{text}"
            );
        }
    }
}
