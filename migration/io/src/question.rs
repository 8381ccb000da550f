//! Asks a target what became of the guest of a migration, for a person who wants to know, and for a source that has lost
//! its link.

use std::time::Duration;

use godwit_migration::{
    limits::ANSWER_TIMEOUT,
    wire::{Answer, SourceMessage, TargetMessage, clean_text},
};

use crate::{
    address::Address,
    link::{self, LinkError},
    marks::Marks,
    protection::Protection,
    socket::Socket,
    tls::SourceTls,
};

/// What a person wants, where the target holds the guest and waits for `Go`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The guest goes on at the source: the target is to let it go.
    Keep,
    /// It goes on at the target: the target is told `Go`.
    Discard,
}

/// Connects, and says `Ask`.
pub(crate) async fn put(
    to: &Address,
    marks: &Marks,
    protection: &Protection<SourceTls>,
    session: u128,
) -> Result<Socket, LinkError> {
    let mut socket = Socket::dial(to, marks, protection, None).await?;
    link::write_first(&mut socket, &SourceMessage::Ask(session)).await?;
    Ok(socket)
}

/// What the target says of the guest of `session`. A target that waits for `Go` is told what `wish` says, and what comes
/// of that is the answer: nothing is left open.
///
/// # Errors
/// The target cannot be asked, or does not answer, in words. After [`Wish::Discard`] it may then run the guest.
pub async fn ask(
    to: &Address,
    protection: &Protection<SourceTls>,
    session: u128,
    wish: Wish,
) -> Result<Answer, String> {
    let asking = async {
        let mut socket = put(to, &Marks::default(), protection, session).await?;
        link::read_magic(&mut socket).await?;
        loop {
            match link::read(&mut socket).await? {
                TargetMessage::Answer(Answer::WaitsForGo) => {
                    let word = match wish {
                        Wish::Keep => {
                            SourceMessage::Abort("kept at the source, as somebody there decided".into())
                        }
                        Wish::Discard => SourceMessage::Go,
                    };
                    link::write(&mut socket, &word).await?;
                }
                TargetMessage::Answer(answer) => return Ok(Ok(answer)),
                TargetMessage::Running { .. } => return Ok(Ok(Answer::Runs)),
                TargetMessage::Abort(why) => return Ok(Ok(Answer::Never(clean_text(&why)))),
                TargetMessage::Refused(reasons) => {
                    let first = reasons.first().map_or(String::new(), |reason| clean_text(reason));
                    return Ok(Err(format!("the target refused to answer: {first}")));
                }
                other => return Ok(Err(format!("the target said {} when it was asked", other.name()))),
            }
        }
    };
    /// To connect, and for two answers.
    const ASKING_TIMEOUT: Duration = ANSWER_TIMEOUT.saturating_mul(2);
    match tokio::time::timeout(ASKING_TIMEOUT, asking).await {
        Ok(Ok(answer)) => answer,
        Ok(Err::<_, LinkError>(error)) => Err(format!("cannot ask at {to}: {error}")),
        Err(_) => Err(format!("{to} did not answer in {} s", ASKING_TIMEOUT.as_secs())),
    }
}
