//! Every kind of device that this build has, with the versions of saved state that it reads.
//!
//! A new device is one line here. The conformance tests walk this list, so a registered device is a tested one: it
//! saves and restores, reads the payloads kept of each version, and survives whatever a guest or a file throws at it.

use godwit_state::Schema;

use crate::{
    DebugExitState, GenerationState, I8042State, PowerState, PvpanicState, RtcState,
    serial::SerialState,
    virtio::{BalloonState, BlockState, ConsoleState, NetState, RngState, VirtioState, VsockState},
};

/// A kind of device and the versions of its saved state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// [`Schema::KIND`].
    pub name: &'static str,
    /// Version that this build writes.
    pub version: u16,
    /// Oldest version that it reads.
    pub oldest: u16,
}

impl Kind {
    const fn of<S: Schema>() -> Self {
        Self { name: S::KIND, version: S::VERSION, oldest: S::OLDEST }
    }

    /// The kind called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// Whether a section of this kind in `version` can be restored.
    #[must_use]
    pub fn reads(&self, version: u16) -> bool {
        (self.oldest..=self.version).contains(&version)
    }
}

/// All kinds.
pub const KINDS: &[Kind] = &[
    Kind::of::<SerialState>(),
    Kind::of::<I8042State>(),
    Kind::of::<RtcState>(),
    Kind::of::<DebugExitState>(),
    Kind::of::<PowerState>(),
    Kind::of::<GenerationState>(),
    Kind::of::<PvpanicState>(),
    Kind::of::<VirtioState<RngState>>(),
    Kind::of::<VirtioState<BlockState>>(),
    Kind::of::<VirtioState<NetState>>(),
    Kind::of::<VirtioState<BalloonState>>(),
    Kind::of::<VirtioState<VsockState>>(),
    Kind::of::<VirtioState<ConsoleState>>(),
];
