//! `docs/protocol.md` and the code say the same: every message, phase, limit, error class, frame field, frame kind and
//! codec is in the document's tables, with its value, and nothing else is.
//!
//! Names are read from the sources, because Rust does not list the variants of an enum; values come from the code.

use std::collections::BTreeMap;

use godwit_migration::{
    codec::CODECS,
    limits,
    wire::{FRAME_HEADER_BYTES, FrameHeader, FrameKind, MAGIC, MESSAGE_HEADER_BYTES},
};

const DOCUMENT: &str = include_str!("../../../docs/protocol.md");
const CONTROL: &str = include_str!("../src/wire/control.rs");
const FRAME: &str = include_str!("../src/wire/frame.rs");
const LIMITS: &str = include_str!("../src/limits.rs");
const ERROR: &str = include_str!("../src/error.rs");
const SOURCE_PHASES: [&str; 2] =
    [include_str!("../src/source/phase.rs"), include_str!("../src/source/handover.rs")];
const TARGET_PHASES: [&str; 2] =
    [include_str!("../src/target/phase.rs"), include_str!("../src/target/ready.rs")];

/// The rows of the table below a heading of the document, cell by cell.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let rows: Vec<_> = DOCUMENT
        .lines()
        .skip_while(|line| line.trim_start_matches('#').trim() != heading)
        .skip(1)
        .take_while(|line| !line.starts_with('#'))
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(!rows.is_empty(), "docs/protocol.md has no table below '{heading}'");
    rows
}

/// The names in backticks in a cell.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The one name in backticks in a cell.
fn name(cell: &'static str) -> &'static str {
    let [name] = quoted(cell)[..] else { panic!("'{cell}' must be one name in backticks") };
    name
}

/// The lines between `head` and the brace that closes it.
fn block(source: &'static str, head: &str) -> Vec<&'static str> {
    let indent = head.len() - head.trim_start().len();
    let close = format!("{}}}", " ".repeat(indent));
    let mut lines = source.lines().skip_while(|line| !line.starts_with(head));
    assert!(lines.next().is_some(), "the sources have no '{head}'");
    lines.take_while(|line| **line != close).collect()
}

/// What a block has one level deep whose names begin as `is` says: each name, and what follows it on its line.
fn members(source: &'static str, head: &str, is: fn(char) -> bool) -> Vec<(&'static str, &'static str)> {
    let ends = |line: &str| line.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(line.len());
    block(source, head)
        .into_iter()
        .filter_map(|line| line.strip_prefix("    "))
        .map(|line| line.strip_prefix("pub ").unwrap_or(line))
        .filter(|line| line.starts_with(is))
        .map(|line| line.split_at(ends(line)))
        .collect()
}

fn variants(source: &'static str, head: &str) -> Vec<(&'static str, &'static str)> {
    members(source, head, char::is_uppercase)
}

fn fields(source: &'static str, of: &str) -> Vec<&'static str> {
    let members = members(source, &format!("pub struct {of} {{"), char::is_lowercase);
    members.into_iter().map(|(name, _)| name).collect()
}

/// The names of the fields of a message, where they have names. `rest` is what follows it in the enum that `head` opens.
fn fields_of_message(head: &str, message: &str, rest: &str) -> Option<Vec<&'static str>> {
    if rest.trim_end().ends_with('{') {
        let inner = block(CONTROL, head).into_iter().skip_while(|line| !line.trim().starts_with(message));
        let inner = inner.skip(1).take_while(|line| *line != "    },").map(str::trim);
        return Some(
            inner.filter(|line| !line.starts_with("//")).filter_map(|line| line.split(':').next()).collect(),
        );
    }
    let payload = rest.trim_matches(|c| "(){, ".contains(c));
    let payload = payload.trim_start_matches("Box<").trim_end_matches('>');
    CONTROL.contains(&format!("pub struct {payload} {{")).then(|| fields(CONTROL, payload))
}

fn messages(heading: &str, head: &str) {
    let rows = table(heading);
    let variants = variants(CONTROL, head);
    let documented: Vec<_> = rows.iter().map(|row| (name(row[0]), row[1].to_owned())).collect();
    let real: Vec<_> = variants.iter().zip(0..).map(|((name, _), n)| (*name, n.to_string())).collect();
    assert_eq!(documented, real, "{heading}: names and numbers, document left, code right");
    for (row, (message, rest)) in rows.iter().zip(variants) {
        let Some(real) = fields_of_message(head, message, rest) else { continue };
        let names = quoted(row[2]).into_iter().filter(|word| !word.starts_with(char::is_uppercase));
        let documented: Vec<_> = names.collect();
        assert_eq!(documented, real, "{heading}: fields of {message}, document left, code right");
    }
}

#[test]
fn every_message_with_its_number_and_fields() {
    messages("Messages of a source", "pub enum SourceMessage {");
    messages("Messages of a target", "pub enum TargetMessage {");
}

/// The names that a machine's phases give themselves.
fn phases(sources: [&'static str; 2]) -> Vec<&'static str> {
    let body = |source| block(source, "    pub(super) fn name(&self) -> &'static str {");
    let mut names: Vec<_> = sources
        .into_iter()
        .flat_map(body)
        .filter_map(|line| line.split("=> \"").nth(1)?.split('"').next())
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn every_phase() {
    for (heading, source) in
        [("States of the source", SOURCE_PHASES), ("States of the target", TARGET_PHASES)]
    {
        let mut documented: Vec<_> = table(heading).iter().map(|row| name(row[0])).collect();
        documented.sort_unstable();
        assert_eq!(documented, phases(source), "{heading}: document left, code right");
    }
}

#[test]
fn every_error_class() {
    let documented: Vec<_> = table("Error classes").iter().map(|row| name(row[0]).to_owned()).collect();
    let variants = variants(ERROR, "pub enum Class {");
    let real: Vec<_> = variants.iter().map(|(name, _)| name.to_lowercase()).collect();
    assert_eq!(documented, real, "document left, code right");
}

macro_rules! values {
    ($($limit:ident)*) => { BTreeMap::from([$((stringify!($limit), format!("{:?}", limits::$limit))),*]) };
}

#[test]
fn every_limit_with_its_value() {
    let values = values!(
        PAGE_BYTES BLOCK_PAGES REGION_ALIGN_PAGES MAX_PAGES MAX_REGIONS MAX_CPUS MAX_LANES MAX_FRAME_BYTES
        MAX_UNPACKED_BYTES MAX_PACKED_BYTES PACK_WINDOW_LOG MAX_MESSAGE_BYTES
        MAX_DEVICES MAX_QUEUES MAX_CPUID_ENTRIES MAX_MSRS MAX_REASONS MAX_TEXT_BYTES
        ANSWER_TIMEOUT DRAIN_TIMEOUT BUILD_TIMEOUT BEAT_EVERY MISSED_BEATS LIVE_LANE_BYTES
        GREETING_TIMEOUT MAX_GREETINGS MAX_GREETING_BYTES ASK_FOR ASK_AGAIN HOLD_READY MAX_ROUNDS LOOK_AGAIN
    FREE_PAGES_WAIT PROTOCOL CAPABILITIES
    );
    let value = |name| values.get(name).unwrap_or_else(|| panic!("add {name} to the list above")).clone();
    let names = LIMITS.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    // The name of the software is for people, and changes with every release.
    let names = names.filter(|name| *name != "SOFTWARE");
    let real: Vec<_> = names.map(|name| (name, value(name))).collect();
    let documented: Vec<_> = table("Limits").iter().map(|row| (name(row[0]), row[1].to_owned())).collect();
    assert_eq!(documented, real, "document left, code right");
}

/// The bytes that a cell of the document names.
fn range(cell: &str) -> std::ops::Range<usize> {
    let number = |text: &str| text.parse::<usize>().unwrap_or_else(|_| panic!("'{cell}' must be bytes"));
    cell.split_once("..").map_or_else(|| number(cell)..number(cell) + 1, |(a, b)| number(a)..number(b))
}

/// Checks that the rows of a table are bytes without a gap; how many.
fn laid_out(rows: &[Vec<&str>]) -> usize {
    rows.iter().fold(0, |end, row| {
        let range = range(row[0]);
        assert_eq!(range.start, end, "{row:?} must begin where the row before it ends");
        range.end
    })
}

#[test]
fn every_field_of_a_frame_at_its_place() {
    let rows = table("Frame header");
    assert_eq!(laid_out(&rows), FRAME_HEADER_BYTES);
    let documented: Vec<_> = rows.iter().flat_map(|row| quoted(row[1])).collect();
    let real: Vec<_> = fields(FRAME, "FrameHeader").into_iter().chain(["checksum"]).collect();
    assert_eq!(documented, real, "document left, code right");

    let header = FrameHeader {
        kind: FrameKind::Pages,
        codec: 0xC0,
        round: 0xA1A2_A3A4,
        sequence: 0xB1B2_B3B4,
        first: 0xC1C2_C3C4,
        count: 0xD1D2_D3D4,
        bytes: 0xE1E2_E3E4,
        chain: 0xF1F2_F3F4,
    };
    let mut frame = [0xFF; FRAME_HEADER_BYTES];
    let checksum = header.seal(&mut frame);
    for row in &rows {
        let bytes = &frame[range(row[0])];
        let expected: Vec<u8> = match quoted(row[1]).first().copied() {
            Some("kind") => vec![1],
            Some("codec") => vec![header.codec],
            Some("round") => header.round.to_le_bytes().into(),
            Some("sequence") => header.sequence.to_le_bytes().into(),
            Some("first") => header.first.to_le_bytes().into(),
            Some("count") => header.count.to_le_bytes().into(),
            Some("bytes") => header.bytes.to_le_bytes().into(),
            Some("chain") => header.chain.to_le_bytes().into(),
            Some("checksum") => checksum.to_le_bytes().into(),
            Some(other) => panic!("field '{other}': say here what it holds"),
            None => vec![0; bytes.len()],
        };
        assert_eq!(bytes, expected, "{row:?}");
    }
}

#[test]
fn the_header_of_a_message_and_the_first_bytes() {
    assert_eq!(laid_out(&table("Message header")), MESSAGE_HEADER_BYTES);
    let magic = format!("`{}`", MAGIC.escape_ascii());
    assert!(DOCUMENT.contains(&magic), "the document does not name the first bytes of a connection, {magic}");
}

#[test]
fn every_frame_kind_with_its_number() {
    let documented: Vec<_> = table("Frame kinds").iter().map(|row| (name(row[0]), row[1])).collect();
    let arms = FRAME.lines().filter_map(|line| {
        let (kind, number) = line.trim().strip_prefix("FrameKind::")?.split_once(" => ")?;
        let number = number.trim_end_matches(',');
        number.parse::<u8>().is_ok().then_some((kind, number))
    });
    assert_eq!(documented, arms.collect::<Vec<_>>(), "document left, code right");
    let kinds = variants(FRAME, "pub enum FrameKind {");
    assert!(documented.iter().map(|(name, _)| name).eq(kinds.iter().map(|(name, _)| name)));
}

#[test]
fn every_codec_with_its_wire_id() {
    let documented: Vec<_> =
        table("Codecs").iter().map(|row| (name(row[0]).to_owned(), row[1].to_owned())).collect();
    let real: Vec<_> = CODECS.iter().map(|row| (row.name.to_owned(), row.wire_id.to_string())).collect();
    assert_eq!(documented, real, "document left, code right");
}
