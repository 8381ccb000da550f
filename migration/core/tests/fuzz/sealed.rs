//! Mutations behind a checksum: frames and messages that are sealed again, as an enemy would who knows how.

use godwit_migration::{
    limits::MAX_PACKED_BYTES,
    wire::{FRAME_HEADER_BYTES, MESSAGE_HEADER_BYTES},
};

use crate::mutator::{Mutator, TELLING};

impl Mutator {
    /// A frame, changed in its header or its payload, with the checksum that belongs to it.
    pub fn frame(&mut self, frames: &[Vec<u8>]) -> Vec<u8> {
        let mut frame = frames[self.below(frames.len())].clone();
        let mut payload = frame.split_off(FRAME_HEADER_BYTES);
        // The first frame of a lane is due, whatever it was before.
        frame[4..12].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
        for _ in 0..self.below(4) {
            self.tamper(&mut payload);
        }
        payload.truncate(MAX_PACKED_BYTES);
        if self.below(4) == 0 {
            let at = self.below(24);
            frame[at] = if self.below(2) == 0 { TELLING[self.below(8)] } else { self.next() as u8 };
        }
        if self.below(16) > 0 {
            frame[20..24].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        }
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&frame[..28]);
        checksum.update(&payload);
        frame[28..32].copy_from_slice(&checksum.finalize().to_le_bytes());
        frame.extend(payload);
        frame
    }

    /// A control message, changed in its body, with the length and the checksum that belong to it.
    pub fn message(&mut self, messages: &[Vec<u8>]) -> Vec<u8> {
        let bodies: Vec<_> = messages.iter().map(|m| m[MESSAGE_HEADER_BYTES..].to_vec()).collect();
        let body = self.mutate(&bodies);
        let mut message = (body.len() as u32).to_le_bytes().to_vec();
        message.extend(crc32fast::hash(&body).to_le_bytes());
        message.extend(body);
        message
    }
}

/// The frames of a stream.
pub fn frames(mut wire: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = vec![];
    while wire.len() >= FRAME_HEADER_BYTES {
        let bytes = u32::from_le_bytes(wire[20..24].try_into().expect("4 bytes")) as usize;
        let (frame, rest) = wire.split_at(FRAME_HEADER_BYTES + bytes);
        frames.push(frame.to_vec());
        wire = rest;
    }
    frames
}
