//! Writes the load guest to a file, for VMMs that boot it with their own `-kernel`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: load-elf FILE");
        return ExitCode::from(2);
    };
    match std::fs::write(&path, guest_images::LOAD_ELF) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}
