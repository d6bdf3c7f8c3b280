//! Exit statuses, and the one sentence that goes with a failure.

use std::io::Write;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::ports::SinkError;
use crate::service::program::NotHere;
use crate::service::task::StrictViolation;
use crate::service::upkeep::CannotCreate;

/// How a command ended that could do its work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    Fine,
    /// The user's pattern, test or data is wrong, which has been said.
    Wrong,
    /// The tool could not finish, which has been said.
    Unfinished,
}

/// What the user gave is wrong, in a sentence; everything else that fails is exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct UserFault(pub String);

pub(super) fn status(outcome: anyhow::Result<Outcome>) -> u8 {
    match outcome {
        Ok(Outcome::Fine) => 0,
        Ok(Outcome::Wrong) => 1,
        Ok(Outcome::Unfinished) => 2,
        // Whoever reads has seen enough (`motif … | head`).
        Err(error) if is_broken_pipe(&error) => 0,
        Err(error) => {
            say(&format!("motif: {error:#}"));
            let users = error.is::<UserFault>()
                || error.is::<NotHere>()
                || error.is::<CannotCreate>()
                || matches!(error.downcast_ref(), Some(ConfigError::Wrong(_)))
                || error.chain().any(|cause| cause.is::<StrictViolation>());
            if users { 1 } else { 2 }
        }
    }
}

/// Help that was asked for is fine; a command line that cannot be read is what the user gave.
pub(super) fn command_line(answer: &clap::Error) -> ExitCode {
    // Where nobody reads there is nobody to tell.
    drop(answer.print());
    ExitCode::from(u8::from(answer.use_stderr()))
}

/// A line on standard error. Where even that is closed there is nobody to tell.
pub(super) fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let written = match cause.downcast_ref::<SinkError>() {
            Some(SinkError::Io { error, .. }) => Some(error),
            _ => cause.downcast_ref::<std::io::Error>(),
        };
        written.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
