//! Asks a target whether it would take a guest: versions, memory, CPU, devices. Nothing of the guest is sent, and the
//! target makes nothing and waits on.

use std::{io, time::Duration};

use godwit_migration::{
    error::{Class, MigrationError, ProtocolError},
    limits::{ANSWER_TIMEOUT, BUILD_TIMEOUT, CAPABILITIES, MAX_REASONS, PROTOCOL, SOFTWARE},
    shape::MachineShape,
    wire::{Hello, Prepare, SourceMessage, TargetMessage, clean_text},
};

use crate::{
    handle::Handle,
    link::{self, LinkError},
    marks,
    outgoing::{Options, new_session},
    socket::Socket,
};

/// What a target answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Every reason why it would not take the guest; none where it would.
    pub reasons: Vec<String>,
}

/// Asks the target of `options` whether it would take a guest of this shape, on so many lanes.
///
/// # Errors
/// No answer: the target cannot be reached, is silent, or speaks another protocol.
pub async fn check(
    options: &Options,
    shape: MachineShape,
    handle: &Handle,
) -> Result<Answer, MigrationError> {
    let failed = |phase: &str, class, reason| MigrationError { class, phase: phase.into(), round: 0, reason };
    let lost = |phase: &'static str| {
        move |error: LinkError| match error {
            LinkError::Protocol(error) => failed(phase, Class::Protocol, error.to_string()),
            LinkError::Lost(error) => {
                failed(phase, Class::Link, format!("the connection to {} was lost: {error}", options.to))
            }
        }
    };
    let conversation = async {
        let dial = Socket::dial(&options.to, &options.marks, &options.protection, None);
        let mut socket = dial.await.map_err(|error| {
            let class = if marks::is_unset(&error) { Class::Local } else { Class::Link };
            failed("hello", class, format!("cannot connect to {}: {error}", options.to))
        })?;
        let hello = SourceMessage::Hello(Hello {
            oldest: PROTOCOL.0,
            newest: PROTOCOL.1,
            capabilities: CAPABILITIES,
            session: new_session(),
            replaces: 0,
            software: SOFTWARE.into(),
        });
        link::write_first(&mut socket, &hello).await.map_err(lost("hello"))?;
        let answer = in_time(ANSWER_TIMEOUT, async {
            link::read_magic(&mut socket).await?;
            heard(&mut socket).await
        });
        match answer.await.map_err(lost("hello"))? {
            TargetMessage::Hello(reply) => {
                reply.check().map_err(|error| failed("hello", Class::Protocol, error.to_string()))?;
            }
            TargetMessage::Refused(reasons) => return Ok(refused(&reasons)),
            other => return Err(failed("hello", Class::Protocol, unexpected(&other))),
        }
        let question = SourceMessage::Check(Box::new(Prepare { shape, lanes: options.lanes }));
        link::write(&mut socket, &question).await.map_err(lost("prepare"))?;
        match in_time(BUILD_TIMEOUT, heard(&mut socket)).await.map_err(lost("prepare"))? {
            TargetMessage::Accepted => Ok(Answer { reasons: vec![] }),
            TargetMessage::Refused(reasons) => Ok(refused(&reasons)),
            TargetMessage::Abort(reason) => {
                Err(failed("prepare", Class::Peer, format!("the target gave up: {}", clean_text(&reason))))
            }
            other => Err(failed("prepare", Class::Protocol, unexpected(&other))),
        }
    };
    tokio::select! {
        answer = conversation => answer,
        why = handle.cancelled() => Err(failed("prepare", why.class(), why.to_string())),
    }
}

/// The next word that is more than a sign of life.
async fn heard(socket: &mut Socket) -> Result<TargetMessage, LinkError> {
    loop {
        match link::read(socket).await? {
            TargetMessage::Beat => {}
            message => return Ok(message),
        }
    }
}

async fn in_time(
    limit: Duration,
    answer: impl Future<Output = Result<TargetMessage, LinkError>>,
) -> Result<TargetMessage, LinkError> {
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| {
        let text = format!("it did not answer in {} s", limit.as_secs());
        Err(LinkError::Lost(io::Error::new(io::ErrorKind::TimedOut, text)))
    })
}

fn refused(reasons: &[String]) -> Answer {
    Answer { reasons: reasons.iter().take(MAX_REASONS).map(|reason| clean_text(reason)).collect() }
}

fn unexpected(message: &TargetMessage) -> String {
    ProtocolError(format!("the target said {} to a question", message.name())).to_string()
}
