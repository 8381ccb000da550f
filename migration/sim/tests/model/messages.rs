//! Control messages as they stand on the wire, each known by a number: a state of the model holds only the numbers.

use std::collections::HashMap;

use godwit_migration::wire::{
    MESSAGE_HEADER_BYTES, MessageHeader, SourceMessage, TargetMessage, decode_message, encode_message,
};

/// A message by its number.
pub type Word = u16;

/// All messages that have come up so far.
#[derive(Default)]
pub struct Messages {
    from_source: Numbered,
    from_target: Numbered,
}

#[derive(Default)]
struct Numbered {
    words: Vec<(&'static str, Vec<u8>)>,
    numbers: HashMap<Vec<u8>, Word>,
}

impl Numbered {
    fn number(&mut self, name: &'static str, bytes: Vec<u8>) -> Word {
        *self.numbers.entry(bytes).or_insert_with_key(|bytes| {
            self.words.push((name, bytes.clone()));
            Word::try_from(self.words.len() - 1).expect("few different messages")
        })
    }

    /// Header and body, as they would be read from a socket.
    fn wire(&self, word: Word) -> (MessageHeader, &[u8]) {
        let (header, body) =
            self.words[usize::from(word)].1.split_first_chunk::<MESSAGE_HEADER_BYTES>().expect("a header");
        (MessageHeader::decode(*header).expect("a header that we wrote"), body)
    }
}

impl Messages {
    /// The number of what a source says.
    pub fn of_source(&mut self, message: &SourceMessage) -> Word {
        self.from_source.number(message.name(), encode_message(message))
    }

    /// The number of what a target says.
    pub fn of_target(&mut self, message: &TargetMessage) -> Word {
        self.from_target.number(message.name(), encode_message(message))
    }

    /// What a source said, read back from its bytes.
    pub fn source(&self, word: Word) -> SourceMessage {
        let (header, body) = self.from_source.wire(word);
        decode_message(header, body).expect("bytes that we wrote")
    }

    /// What a target said, read back from its bytes.
    pub fn target(&self, word: Word) -> TargetMessage {
        let (header, body) = self.from_target.wire(word);
        decode_message(header, body).expect("bytes that we wrote")
    }

    /// Everything that targets have said.
    pub fn of_targets(&self) -> impl Iterator<Item = Word> + use<> {
        0..self.from_target.words.len() as Word
    }

    /// Everything that sources have said.
    pub fn of_sources(&self) -> impl Iterator<Item = Word> + use<> {
        0..self.from_source.words.len() as Word
    }

    /// The name of what a source said.
    pub fn source_name(&self, word: Word) -> &'static str {
        self.from_source.words[usize::from(word)].0
    }

    /// The name of what a target said.
    pub fn target_name(&self, word: Word) -> &'static str {
        self.from_target.words[usize::from(word)].0
    }
}
