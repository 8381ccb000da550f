//! Control messages come back as they went, or are refused.

use proptest::prelude::*;

use super::*;
use crate::limits::{MAX_MESSAGE_BYTES, MAX_TEXT_BYTES};

fn decode(bytes: &[u8]) -> Result<TargetMessage, crate::error::ProtocolError> {
    let header = MessageHeader::decode(bytes[..MESSAGE_HEADER_BYTES].try_into().unwrap())?;
    decode_message(header, &bytes[MESSAGE_HEADER_BYTES..])
}

fn sample() -> TargetMessage {
    TargetMessage::Refused(vec!["too little memory".into(), "no avx2".into()])
}

#[test]
fn a_message_comes_back() {
    assert_eq!(decode(&encode_message(&sample())).unwrap(), sample());
}

#[test]
fn a_message_over_the_limit_is_refused_before_it_is_read() {
    let mut raw = [0; MESSAGE_HEADER_BYTES];
    raw[..4].copy_from_slice(&(MAX_MESSAGE_BYTES as u32 + 1).to_le_bytes());
    assert!(MessageHeader::decode(raw).unwrap_err().to_string().contains("over the limit"));
}

#[test]
fn the_place_of_hello_and_refused_never_changes() {
    let hello = SourceMessage::Hello(Hello {
        oldest: 1,
        newest: 2,
        capabilities: 3,
        session: 4,
        replaces: 5,
        software: "x".into(),
    });
    assert_eq!(encode_message(&hello)[8..], [0, 1, 2, 3, 4, 5, 1, b'x']);
    assert_eq!(encode_message(&TargetMessage::Refused(vec!["y".into()]))[8..], [1, 1, 1, b'y']);
}

#[test]
fn a_peers_text_cannot_paint_the_terminal() {
    assert_eq!(clean_text("a\x1b[31mb\n"), "a [31mb ");
    let long = "é".repeat(MAX_TEXT_BYTES);
    assert_eq!(clean_text(&long), "é".repeat(MAX_TEXT_BYTES / 2) + "…");
}

proptest! {
    #[test]
    fn any_bit_flip_or_truncation_is_an_error(bit in 0usize..8 * 34, cut in 0usize..34) {
        let good = encode_message(&sample());
        prop_assume!(bit / 8 < good.len() && cut < good.len());
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        // A longer or shorter length makes the reader wait for, or cut, the body; then the checksum fails.
        if bit >= 32 {
            prop_assert!(decode(&bad).is_err());
        }
        if cut >= MESSAGE_HEADER_BYTES {
            prop_assert!(decode(&good[..cut]).is_err());
        }
    }

    #[test]
    fn garbage_is_an_error_or_a_message_and_never_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = vec![0; MESSAGE_HEADER_BYTES];
        bytes[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
        bytes[4..].copy_from_slice(&crc32fast::hash(&body).to_le_bytes());
        bytes.extend(body);
        let _ = decode(&bytes);
    }
}
