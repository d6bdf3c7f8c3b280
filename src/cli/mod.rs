//! The command line: what each command takes, and what it says and answers.
//!
//! Results go to standard output and nothing else does; everything said about them goes to standard error. Exit status: 0 fine, 1 what the
//! user gave is wrong, 2 the tool could not do it.

mod args;
mod check;
mod deployment;
mod dlq;
mod exit;
mod explain;
mod files;
mod fmt;
mod inputs;
mod progress;
mod run;
mod sample;
mod subscribe;
mod test;
mod text;
mod topics;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};

use crate::service::exit_at_once;

pub use args::Arguments as CommandLine;

/// Does what the command line says.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => return exit::command_line(&answer),
    };
    crate::telemetry::start_logging(&arguments.log);
    let outcome = match arguments.command {
        // It may have given up threads that still hold something.
        Command::Run(arguments) => exit_at_once(exit::status(run::run(arguments))),
        Command::Check(arguments) => check::check(&arguments),
        Command::Test(arguments) => test::test(&arguments),
        Command::Fmt(arguments) => fmt::fmt(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Subscribe(arguments) => subscribe::subscribe(arguments),
        Command::Sample(arguments) => sample::sample(&arguments),
        Command::Topics(arguments) => topics::topics(&arguments),
        Command::Verify(arguments) => verify::verify_command(&arguments),
        Command::Dlq(arguments) => dlq::dlq(&arguments),
    };
    ExitCode::from(exit::status(outcome))
}
