//! The wire format: what travels on the control link and what travels on the lanes. No sockets here: bytes in, values
//! out, and back.
//!
//! ```text
//! source                                    control link                                     target
//!   MAGIC Hello{versions, capabilities}  ──────────────────────────▶
//!                                        ◀──────────────────────────  MAGIC Hello{version} | Refused{reasons}
//!   Prepare{shape, lanes}                ──────────────────────────▶
//!                                        ◀──────────────────────────  Prepared | Refused{every reason}
//!   LaneHello{session, lane} on each further connection ═══════════▶
//!                                        ◀──────────────────────────  LanesOpen
//!   frames … RoundEnd{round} on each lane ═════════════════════════▶
//!                                        ◀──────────────────────────  RoundDone{round}          once a round
//!   (paused) frames … RoundEnd{last}     ══════════════════════════▶
//!   State{sections}                      ──────────────────────────▶
//!                                        ◀──────────────────────────  Ready      everything is loaded and checked
//!   Go       the source has given up its right to run ─────────────▶
//!                                        ◀──────────────────────────  Running
//! ```
//! Either side may send `Abort{reason}` at any time before `Go`.
//!
//! When the link is lost after `Go`, the source connects anew:
//! ```text
//!   MAGIC Ask{session}                   ──────────────────────────▶
//!                                        ◀──────────────────────────  MAGIC Answer | Running | Abort
//!   Go                                   ──────────────────────────▶                       where the target waits for it
//!                                        ◀──────────────────────────  Running
//! ```

#[cfg(test)]
mod chain_test;
mod control;
#[cfg(test)]
mod control_test;
mod frame;
mod lane_in;
mod lane_out;
#[cfg(test)]
mod lane_test;
mod pace;
mod pack;
mod placing;
#[cfg(test)]
mod placing_test;

pub use crate::error::LaneError;
pub use control::{
    Answer, Hello, HelloReply, LaneHello, MAGIC, MESSAGE_HEADER_BYTES, MessageHeader, Prepare, SourceMessage,
    TargetMessage, clean_text, decode_message, encode_message,
};
pub use frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind};
pub use lane_in::{LaneEvent, LaneIn};
pub use lane_out::{LaneOut, LaneTotals};
pub use pace::{Allowance, Backlog, HEADROOM, LEVELS, SLOW_CAP, STEP_GAIN, WORTH};
