//! The control queue's commands (virtio 1.2 §5.1.6.5): their bytes, and where the answer goes.

use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress};

use super::{features::*, mac::Mac};
use crate::{GuestMemory, virtio::ServeError};

const CLASS_MAC: u8 = 1;
const MAC_ADDR_SET: u8 = 1;
const CLASS_ANNOUNCE: u8 = 3;
const ANNOUNCE_ACK: u8 = 0;
const CLASS_MQ: u8 = 4;
const MQ_PAIRS_SET: u8 = 0;

/// Answer: done.
pub const DONE: u8 = 0;
/// Answer: not done.
pub const REFUSED: u8 = 1;

/// Longest command that there is: class, command, an address; one byte more, to see that a command is too long.
const COMMAND_BYTES: usize = 2 + 6 + 1;

/// What the driver wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// It has announced itself.
    Announced,
    /// It has another address.
    Address(Mac),
    /// It uses so many pairs of queues.
    Pairs(u16),
    /// Something that a card of these features does not do.
    Unknown,
}

/// Reads the command in `buffers`, for a driver that uses `features`, and says where its answer goes: one byte.
///
/// # Errors
/// [`ServeError::Chain`] when there is no place for an answer, or one to read behind one to write.
pub fn read(
    buffers: &[Descriptor],
    memory: &GuestMemory,
    features: u64,
) -> Result<(Command, GuestAddress), ServeError> {
    let command = buffers.iter().take_while(|buffer| !buffer.is_write_only());
    let mut answers = buffers.iter().skip_while(|buffer| !buffer.is_write_only());
    let answer = answers.next().ok_or(ServeError::Chain("has no room for the answer to a command"))?;
    if answers.any(|buffer| !buffer.is_write_only()) {
        return Err(ServeError::Chain("has a buffer to read behind one to write"));
    }
    let (mut bytes, mut len) = ([0; COMMAND_BYTES], 0);
    for buffer in command {
        let part = (buffer.len() as usize).min(COMMAND_BYTES - len);
        memory
            .read_slice(&mut bytes[len..len + part], buffer.addr())
            .map_err(virtio_queue::Error::GuestMemory)?;
        len += part;
    }
    Ok((parse(&bytes[..len], features), answer.addr()))
}

fn parse(bytes: &[u8], features: u64) -> Command {
    match *bytes {
        [CLASS_ANNOUNCE, ANNOUNCE_ACK] if features & F_GUEST_ANNOUNCE != 0 => Command::Announced,
        [CLASS_MQ, MQ_PAIRS_SET, low, high] if features & F_MQ != 0 => {
            Command::Pairs(u16::from_le_bytes([low, high]))
        }
        [CLASS_MAC, MAC_ADDR_SET, ref mac @ ..] if features & F_CTRL_MAC_ADDR != 0 => {
            let mac = mac.try_into().ok().map(Mac).filter(Mac::is_of_one_station);
            mac.map_or(Command::Unknown, Command::Address)
        }
        _ => Command::Unknown,
    }
}
