//! The virtual link: latency, one bandwidth that all lanes share, and the bytes that are on their way.
//!
//! Each stream is in order, as TCP's are. Lanes take turns by whole writes; control messages are short and do not wait
//! for lanes, as on a link with fair queues. A cut link delivers nothing that is sent afterwards.

use std::time::Duration;

use crate::fault::{Fault, Stream};

/// A link between two hosts.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Bytes per second, each way; above 0.
    pub bytes_per_s: f64,
    /// Time of flight, each way.
    pub latency: Duration,
}

impl Link {
    /// Time that `bytes` take to leave.
    #[must_use]
    pub fn time_of(&self, bytes: usize) -> Duration {
        Duration::try_from_secs_f64(bytes as f64 / self.bytes_per_s).unwrap_or(Duration::MAX / 4)
    }
}

/// A write, as the link takes it.
pub(crate) struct Sent {
    /// When its first byte leaves: the sender may prepare the next write from here on.
    pub(crate) leaves: Duration,
    /// When its last byte arrives.
    pub(crate) arrives: Duration,
    /// What arrives of it.
    pub(crate) bytes: Vec<u8>,
    /// The link ends with it.
    pub(crate) last: bool,
}

/// The link in use.
pub(crate) struct Wire {
    pub(crate) link: Link,
    /// When the lanes' last byte has left, and the last byte of each control direction.
    free: [Duration; 3],
    /// Bytes of each stream so far.
    counts: Vec<(Stream, u64)>,
    faults: Vec<Fault>,
    cut: bool,
}

impl Wire {
    /// An idle link with those of `faults` that concern its bytes.
    pub(crate) fn new(link: Link, faults: &[Fault]) -> Self {
        let faults =
            faults.iter().filter(|fault| matches!(fault, Fault::Flip { .. } | Fault::Truncate { .. }));
        Self {
            link,
            free: [Duration::ZERO; 3],
            counts: vec![],
            faults: faults.cloned().collect(),
            cut: false,
        }
    }

    pub(crate) fn cut(&mut self) {
        self.cut = true;
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Bytes of all lanes so far.
    pub(crate) fn lane_bytes(&self) -> u64 {
        self.counts.iter().filter(|(stream, _)| matches!(stream, Stream::Lane(_))).map(|(_, n)| n).sum()
    }

    /// Sends `bytes` at `now`. `None`: the link is cut.
    pub(crate) fn send(&mut self, now: Duration, stream: Stream, mut bytes: Vec<u8>) -> Option<Sent> {
        if self.cut {
            return None;
        }
        let free = &mut self.free[match stream {
            Stream::Lane(_) => 0,
            Stream::ToTarget => 1,
            Stream::ToSource => 2,
        }];
        let leaves = now.max(*free);
        *free = leaves.saturating_add(self.link.time_of(bytes.len()));
        let arrives = free.saturating_add(self.link.latency);
        let first = self.count(stream, bytes.len());
        let last = self.spoil(stream, first, &mut bytes);
        self.cut = last;
        Some(Sent { leaves, arrives, bytes, last })
    }

    /// Position of the next byte of `stream`; `more` bytes follow.
    fn count(&mut self, stream: Stream, more: usize) -> u64 {
        let at = self.counts.iter().position(|(s, _)| *s == stream).unwrap_or_else(|| {
            self.counts.push((stream, 0));
            self.counts.len() - 1
        });
        let first = self.counts[at].1;
        self.counts[at].1 += more as u64;
        first
    }

    /// Does to `bytes`, which begin at `first`, what the faults say. Whether the stream ends here.
    fn spoil(&self, stream: Stream, first: u64, bytes: &mut Vec<u8>) -> bool {
        for fault in &self.faults {
            match *fault {
                Fault::Flip { stream: hit, byte, bit } if hit == stream => {
                    let byte = byte.checked_sub(first).and_then(|at| bytes.get_mut(at as usize));
                    if let Some(byte) = byte {
                        *byte ^= 1 << (bit % 8);
                    }
                }
                Fault::Truncate { stream: hit, byte } if hit == stream => {
                    let keep = byte.saturating_sub(first);
                    if keep < bytes.len() as u64 {
                        bytes.truncate(keep as usize);
                        return true;
                    }
                }
                _ => {}
            }
        }
        false
    }
}
