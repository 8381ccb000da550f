//! `cargo ci`: the command line of the project's checks, its tests and the nested host.

#![forbid(unsafe_code)]

mod nested_command;
mod steps_command;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The project's checks, its tests, and the nested host
#[derive(Debug, Parser)]
#[command(name = "cargo ci", bin_name = "cargo ci")]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Check(steps_command::CheckArguments),
    Test(steps_command::TestArguments),
    Nested(nested_command::Arguments),
}

fn main() -> ExitCode {
    match act(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(action: Action) -> Result<ExitCode> {
    match action {
        Action::Check(arguments) => steps_command::check(&arguments),
        Action::Test(arguments) => steps_command::test(&arguments),
        Action::Nested(arguments) => nested_command::run(&arguments),
    }
}
