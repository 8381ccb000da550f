//! The command line: one file a subcommand. Parses, asks, prints; the work is done elsewhere.
//!
//! `run` and `receive` are VMM processes (neighbour `control`); `demo` starts two of them; the others are clients of
//! a process's API (neighbour `api`). An error is printed once, here, with its causes.

mod certs;
mod client_commands;
mod demo;
mod device_args;
pub mod exit_status;
#[cfg(test)]
mod fuzz_test;
mod lab;
mod life;
mod logging;
mod machine_args;
mod migrate;
#[cfg(test)]
mod migrate_test;
mod predict;
mod presets;
#[cfg(test)]
mod presets_test;
mod progress;
#[cfg(test)]
mod progress_test;
mod receive;
mod report_html;
#[cfg(test)]
mod report_html_test;
mod report_text;
#[cfg(test)]
mod report_text_test;
mod resize;
mod resize_disk;
mod resolve;
mod run;
mod security_args;
mod serve;
mod spare_cores;
mod trace;
mod units;
#[cfg(test)]
mod units_test;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::control::notice;

/// godwit: a VMM on KVM that moves running guests.
#[derive(Debug, Parser)]
#[command(name = "godwit", version, after_help = EXAMPLES, after_long_help = after_long_help())]
#[command(max_term_width = 110, propagate_version = false, disable_help_subcommand = true)]
struct Cli {
    /// Say more on stderr: -v what happens, -vv details; GODWIT_LOG in the environment does the same (error, warn,
    /// info, debug, trace)
    #[arg(short, long, global = true, display_order = 900, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  godwit demo
  godwit run --kernel builtin:load --cmdline rate=2000 --api /tmp/a.sock
  godwit receive --listen tcp:127.0.0.1:4000
  godwit migrate --api /tmp/a.sock --to tcp:127.0.0.1:4000";

fn after_long_help() -> String {
    format!("{EXAMPLES}\n\n{}", exit_status::HELP)
}

/// The subcommands; each is described where it is defined.
#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Serve(serve::Serve),
    Create(life::Create),
    Boot(life::Boot),
    Reboot(life::Reboot),
    Delete(life::Delete),
    Receive(receive::Receive),
    Migrate(migrate::Migrate),
    Cancel(client_commands::Cancel),
    Limit(client_commands::Limit),
    Info(client_commands::Info),
    Pause(client_commands::Pause),
    Resume(client_commands::Resume),
    Resize(resize::Resize),
    ResizeDisk(resize_disk::ResizeDisk),
    Resolve(resolve::Resolve),
    Counters(resize::Counters),
    Shutdown(client_commands::Shutdown),
    Demo(demo::Demo),
    Certs(certs::Certs),
    Presets(presets::Presets),
    Lab(lab::Lab),
    Trace(trace::Trace),
    Predict(Box<predict::Predict>),
}

/// The program: parses the command line, does it, and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = logging::start(cli.verbose).and_then(|()| match cli.command {
        Command::Run(run) => run.execute(),
        Command::Serve(serve) => serve.execute(),
        Command::Create(create) => block_on(create.execute()),
        Command::Boot(boot) => block_on(boot.execute()),
        Command::Reboot(reboot) => block_on(reboot.execute()),
        Command::Delete(delete) => block_on(delete.execute()),
        Command::Receive(receive) => receive.execute(),
        Command::Migrate(migrate) => block_on(migrate.execute()),
        Command::Cancel(cancel) => block_on(cancel.execute()),
        Command::Limit(limit) => block_on(limit.execute()),
        Command::Info(info) => block_on(info.execute()),
        Command::Pause(pause) => block_on(pause.execute()),
        Command::Resume(resume) => block_on(resume.execute()),
        Command::Resize(resize) => block_on(resize.execute()),
        Command::Counters(counters) => block_on(counters.execute()),
        Command::ResizeDisk(resize) => block_on(resize.execute()),
        Command::Resolve(resolve) => block_on(resolve.execute()),
        Command::Shutdown(shutdown) => block_on(shutdown.execute()),
        Command::Demo(demo) => block_on(demo.execute()),
        Command::Certs(certs) => certs.execute(),
        Command::Presets(presets) => presets.execute(),
        Command::Lab(lab) => lab.execute(),
        Command::Trace(trace) => block_on(trace.execute()),
        Command::Predict(predict) => block_on(predict.execute()),
    });
    ExitCode::from(done.unwrap_or_else(|error| {
        notice(chain(&error));
        exit_status::FAILED
    }))
}

/// Runs a client's future; everything it needs is on one thread.
fn block_on(done: impl Future<Output = anyhow::Result<u8>>) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the I/O loop")?.block_on(done)
}

/// An error and its causes as one line; a cause that the line already tells is left out.
fn chain(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line += &format!(": {cause}");
        }
    }
    line
}

#[cfg(test)]
mod cli_test {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_is_documented() {
        let cli = Cli::command();
        let commands = cli.get_subcommands().flat_map(|c| std::iter::once(c).chain(c.get_subcommands()));
        for command in commands {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for flag in command.get_arguments().filter(|a| a.get_id() != "help") {
                assert!(flag.get_help().is_some(), "{} {}", command.get_name(), flag.get_id());
            }
        }
    }

    #[test]
    fn every_example_of_the_help_parses() {
        let mut commands = Cli::command();
        commands.build();
        let all = commands.get_subcommands().flat_map(|c| std::iter::once(c).chain(c.get_subcommands()));
        let helps = all.filter_map(|c| c.get_after_help().map(ToString::to_string));
        let texts: Vec<_> = helps.chain([EXAMPLES.to_owned()]).collect();
        let lines: Vec<_> =
            texts.iter().flat_map(|t| t.lines()).filter(|l| l.starts_with("  godwit ")).collect();
        assert!(lines.len() >= 8, "{lines:?}");
        for line in lines {
            let words = words(line);
            assert!(Cli::try_parse_from(&words).is_ok(), "{line}: {:?}", Cli::try_parse_from(&words).err());
        }
    }

    /// The words of a shell line, where only single quotes matter.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (i, piece) in line.trim().split('\'').enumerate() {
            if i % 2 == 1 {
                words.push(piece.to_owned());
            } else {
                words.extend(piece.split_whitespace().map(str::to_owned));
            }
        }
        words
    }

    #[test]
    fn a_cause_is_told_once() {
        let error =
            anyhow::anyhow!("the file is empty").context("kernel /k: the file is empty").context("no boot");
        assert_eq!(chain(&error), "no boot: kernel /k: the file is empty");
    }
}
