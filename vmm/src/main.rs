//! The `godwit` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    godwit::cli::main()
}
