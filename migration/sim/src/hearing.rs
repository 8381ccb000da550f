//! Control messages out of a stream of bytes, however it is cut: what the real driver's reader does.

use godwit_migration::{
    error::ProtocolError,
    wire::{MAGIC, MESSAGE_HEADER_BYTES, MessageHeader},
};

/// One end's ear.
#[derive(Default)]
pub(crate) struct Hearing {
    bytes: Vec<u8>,
    greeted: bool,
    /// The stream made no sense: nothing after that is heard.
    deaf: bool,
}

impl Hearing {
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message, by `decode`.
    pub(crate) fn next<M>(
        &mut self,
        decode: impl Fn(MessageHeader, &[u8]) -> Result<M, ProtocolError>,
    ) -> Option<Result<M, ProtocolError>> {
        if self.deaf {
            return None;
        }
        let message = self.whole(decode).transpose();
        self.deaf = matches!(message, Some(Err(_)));
        message
    }

    fn whole<M>(
        &mut self,
        decode: impl Fn(MessageHeader, &[u8]) -> Result<M, ProtocolError>,
    ) -> Result<Option<M>, ProtocolError> {
        if !self.greeted {
            let Some(start) = self.bytes.first_chunk::<{ MAGIC.len() }>() else { return Ok(None) };
            if *start != MAGIC {
                return Err(ProtocolError::new("it does not speak godwit's migration protocol"));
            }
            self.bytes.drain(..MAGIC.len());
            self.greeted = true;
        }
        let Some(header) = self.bytes.first_chunk::<MESSAGE_HEADER_BYTES>() else { return Ok(None) };
        let header = MessageHeader::decode(*header)?;
        let end = MESSAGE_HEADER_BYTES + header.bytes;
        let Some(body) = self.bytes.get(MESSAGE_HEADER_BYTES..end) else { return Ok(None) };
        let message = decode(header, body);
        self.bytes.drain(..end);
        message.map(Some)
    }
}
