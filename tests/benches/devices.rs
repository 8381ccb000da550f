//! Devices and boot beside QEMU's, with a stock Linux guest: both programs by turns in one nested host.
//!
//! `cargo bench -p godwit-tests --bench devices [-- [count] WORD …]`, with the words of `tests/src/bin/beside-qemu`, which does
//! the work there. With `count` that host's clocks count instructions (docs/nested.md). Needs what `cargo ci nested` needs; makes
//! a release build of godwit. It judges nothing.

use std::{
    fs::File,
    io::{Write, stdout},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use godwit_ci::nested::{
    Bring, Request,
    kernel::{Guest, Series},
    run,
};
use godwit_tests::program::godwit;

const SERIES: Series = Series::V6_1;
const FOLDER: &str = "/guest";
const QEMU: &str = "/usr/bin/qemu-system-x86_64";
/// What QEMU looks for: microvm's firmware, by its two names, and its option ROM for a kernel.
const FIRMWARE: &[&str] = &["qboot.rom", "bios-microvm.bin", "linuxboot_dma.bin"];
const FIRMWARE_FOLDER: &str = "/usr/share/qemu";
const DISK_BYTES: u64 = 256 << 20;
/// The word for clocks that count instructions.
const COUNT: &str = "count";
/// Longest comparison.
const LIMIT: Duration = Duration::from_secs(2 * 3600);

fn main() -> Result<()> {
    // `cargo bench` passes flags of its own harness.
    let asked = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let (clock, words): (Vec<String>, Vec<String>) = asked.partition(|word| word == COUNT);
    let guest = Guest::cached(SERIES)?;
    let disk = tempfile::NamedTempFile::new().context("a file for the nested host's disk")?;
    File::set_len(disk.as_file(), DISK_BYTES).context("a disk of the nested host")?;
    let program = Path::new(env!("CARGO_BIN_EXE_beside-qemu"));
    let script = format!(
        "GODWIT_BIN=/work/godwit TMPDIR=/work exec beside-qemu {FOLDER}/{SERIES} {}",
        words.join(" ")
    );
    let mut request = Request::new(["sh", "-c", &script]).bring(godwit())?.bring(program)?;
    let firmware = FIRMWARE.iter().map(|name| Path::new(FIRMWARE_FOLDER).join(name));
    let own_place = firmware.chain([QEMU.into()]).map(|path| (path.clone(), path));
    let elf = Path::new(FOLDER).join(SERIES.to_string()).join("vmlinux");
    let files = own_place.chain([(guest.elf, elf)]);
    request.files.extend(files.map(|(source, destination)| Bring { source, destination }));
    request.guests = vec![SERIES];
    request.disks = vec![disk.path().to_owned()];
    request.memory_mib = 4096;
    request.counts_instructions = !clock.is_empty();
    request.timeout = LIMIT;
    let outcome = run(&request, &mut |output| {
        // A reader that has gone away is no reason to stop.
        let _ = stdout().lock().write_all(output);
        let _ = stdout().flush();
    })?;
    ensure!(outcome.code == 0, "the comparison ended with {}", outcome.code);
    Ok(())
}
