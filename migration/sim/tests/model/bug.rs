//! Machines that are wrong on purpose: the check is worth something if it finds each of them.

/// What is wrong with a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The source lets the guest run on when the link is lost after `Go`.
    ResumesAfterGo,
    /// The source takes a link that is lost after `Go` for success.
    TakesSilenceForSuccess,
    /// The source hears of no page that is dirtied after the first round.
    ForgetsDirtyPages,
    /// The source, while the guest is paused, hears neither that the link is lost nor that time has passed, nor a
    /// cancellation.
    WaitsForEver,
    /// The target runs the guest when it is ready.
    RunsBeforeGo,
    /// A target that runs the guest answers that it never will.
    DeniesThatItRan,
    /// A target that is started again does not know that it ran the guest, and says that it never will.
    ForgetsItsRecord,
    /// The target says that it gives the guest back, and runs it.
    GivesBackAndRuns,
    /// The target runs the guest where a person lets it go there, and the other way round.
    TurnsADecisionRound,
    /// The source keeps the guest where a person wants that, whatever the target says of it.
    BelievesThePersonAlone,
    /// A target that waits takes another attempt of its source for the word to run.
    TakesAnAttemptForGo,
    /// A target that has let the guest go hears a `Go` that was on its way.
    HearsGoWhenItIsLate,
}
