//! Batches of frames, compressed together: a layer under the codecs of pages.
//!
//! What a lane collects for one write, whole frames, becomes the payload of one packed frame. The stream of a lane is
//! compressed with a window that carries over from batch to batch (as QEMU's multifd does), so small batches compress
//! as well as large ones. Another level begins another zstd frame, and the window is forgotten. Contexts are made when
//! they are first needed: who never compresses pays nothing.

use std::io;

use zstd::stream::raw::{CParameter, DParameter, Decoder, Encoder, InBuffer, Operation, OutBuffer};

use crate::{
    error::ProtocolError,
    limits::{MAX_PACKED_BYTES, MAX_UNPACKED_BYTES, PACK_WINDOW_LOG},
};

/// The largest tables of the higher levels, as a power of two of entries: a lane's context stays below 3 MiB.
const TABLE_LOG: u32 = 17;

/// Table of the fastest level: 16 KiB. Against zstd's own choice, 64 KiB, text takes an eighth less time to compress and
/// a tenth less to decompress, and becomes 7% larger.
const FAST_TABLE_LOG: u32 = 12;
/// Bytes that go into one zstd frame before the next begins. As much as zstd's buffer holds without wrapping round:
/// behind the wrap its matcher works with two pieces of history, and that takes twice as long.
const FRAME_BYTES: usize = 1 << PACK_WINDOW_LOG;

/// The compressing end.
#[derive(Default)]
pub(super) struct Packer {
    encoder: Option<Context>,
    /// The packed batch, behind `room` bytes for a header.
    packed: Vec<u8>,
}

impl Packer {
    /// Packs `batch`; the result has `room` bytes before it. `None` where zstd fails, which is want of memory: the
    /// context is given up, and the batch goes as it is.
    pub(super) fn pack(&mut self, batch: &[u8], level: i32, room: usize) -> Option<&mut [u8]> {
        if self.packed.is_empty() {
            self.packed = vec![0; room + MAX_PACKED_BYTES];
        }
        match self.run(batch, level, room) {
            Ok(bytes) => Some(&mut self.packed[..room + bytes]),
            Err(_) => {
                self.encoder = None;
                None
            }
        }
    }

    /// What the last call made.
    pub(super) fn packed(&self, bytes: usize) -> &[u8] {
        &self.packed[..bytes]
    }

    fn run(&mut self, batch: &[u8], level: i32, room: usize) -> io::Result<usize> {
        let mut out = OutBuffer::around(&mut self.packed[room..]);
        let context = match &mut self.encoder {
            Some(context) => {
                if context.level != level || context.bytes + batch.len() > FRAME_BYTES {
                    context.next_frame(level, &mut out)?;
                }
                context
            }
            none => none.insert(Context::new(level)?),
        };
        context.bytes += batch.len();
        let encoder = &mut context.encoder;
        let mut input = InBuffer::around(batch);
        while input.pos() < batch.len() {
            let before = (input.pos(), out.pos());
            encoder.run(&mut input, &mut out)?;
            if (input.pos(), out.pos()) == before {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        if encoder.flush(&mut out)? > 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(out.pos())
    }
}

/// A zstd frame in the making.
struct Context {
    encoder: Encoder<'static>,
    level: i32,
    /// Bytes that have gone into the frame.
    bytes: usize,
}

impl Context {
    fn new(level: i32) -> io::Result<Self> {
        let mut encoder = Encoder::new(level)?;
        encoder.set_parameter(CParameter::WindowLog(PACK_WINDOW_LOG))?;
        limit_tables(&mut encoder, level)?;
        Ok(Self { encoder, level, bytes: 0 })
    }

    /// Ends the frame in `out` and begins the next, which remembers nothing.
    fn next_frame(&mut self, level: i32, out: &mut OutBuffer<'_, [u8]>) -> io::Result<()> {
        if self.encoder.finish(out, false)? > 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.encoder.reinit()?;
        if level != self.level {
            self.encoder.set_parameter(CParameter::CompressionLevel(level))?;
            limit_tables(&mut self.encoder, level)?;
        }
        (self.level, self.bytes) = (level, 0);
        Ok(())
    }
}

/// The tables of a level: level 1 has one that fits the first cache, levels to 3 their own.
fn limit_tables(encoder: &mut Encoder<'_>, level: i32) -> io::Result<()> {
    let (hash, chain) = match level {
        ..=1 => (FAST_TABLE_LOG, 0),
        2..=3 => (0, 0),
        _ => (TABLE_LOG, TABLE_LOG),
    };
    encoder.set_parameter(CParameter::HashLog(hash))?;
    encoder.set_parameter(CParameter::ChainLog(chain))
}

/// The decompressing end.
#[derive(Default)]
pub(super) struct Unpacker(Option<Decoder<'static>>);

impl Unpacker {
    /// Unpacks `packed` into `into`, all of it, to exactly `bytes` bytes, of which there are at most
    /// [`MAX_UNPACKED_BYTES`]. Never writes more than one byte more.
    pub(super) fn unpack(
        &mut self,
        packed: &[u8],
        into: &mut Vec<u8>,
        bytes: usize,
    ) -> Result<(), ProtocolError> {
        let failed = |e: io::Error| ProtocolError(format!("a packed frame that zstd refuses: {e}"));
        let decoder = match &mut self.0 {
            Some(decoder) => decoder,
            none => {
                let mut decoder = Decoder::new().map_err(failed)?;
                decoder.set_parameter(DParameter::WindowLogMax(PACK_WINDOW_LOG)).map_err(failed)?;
                none.insert(decoder)
            }
        };
        into.resize(bytes.min(MAX_UNPACKED_BYTES) + 1, 0);
        let mut input = InBuffer::around(packed);
        let mut out = OutBuffer::around(&mut into[..]);
        loop {
            let before = (input.pos(), out.pos());
            decoder.run(&mut input, &mut out).map_err(failed)?;
            if out.pos() > bytes {
                return Err(ProtocolError(format!("a packed frame that holds more than its {bytes} bytes")));
            }
            if (input.pos(), out.pos()) == before {
                break;
            }
        }
        let (read, written) = (input.pos(), out.pos());
        if read != packed.len() || written != bytes {
            return Err(ProtocolError(format!("a packed frame that holds {written} bytes of {bytes}")));
        }
        into.truncate(bytes);
        Ok(())
    }
}
