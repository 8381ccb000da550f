//! What a card counts: the frames that have passed one way.

/// Frames and their bytes. One that the host or the guest left to be cut into segments is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Number of frames.
    pub frames: u64,
    /// Their bytes, without the header of the queue.
    pub bytes: u64,
}

impl Passed {
    /// One more.
    pub fn add(&mut self, bytes: usize) {
        self.frames += 1;
        self.bytes += bytes as u64;
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self { frames: self.frames + other.frames, bytes: self.bytes + other.bytes }
    }
}
