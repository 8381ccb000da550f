//! The right to run a guest, as a value.
//!
//! Of each guest there is at most one token in the world: [`crate::Machine::boot`] makes it, `resume` consumes it,
//! `pause` gives it back, a source drops it when it sends `Go`, and the target's machine makes it anew when it
//! received `Go` ([`crate::Machine::grant_from_peer`]). It is neither `Clone` nor `Copy`, and nobody outside this
//! package can make one, so that two running copies of one guest do not compile.

/// The right to run one guest.
#[derive(Debug)]
#[must_use = "without its token a guest can never run again"]
pub struct RunToken(());

impl RunToken {
    /// For the machine only: at boot, at a pause, and on a peer's word.
    pub(crate) fn issue() -> Self {
        Self(())
    }
}
