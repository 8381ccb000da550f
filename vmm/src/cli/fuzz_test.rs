//! Command lines, mutated: each is taken or refused with a usage, and nothing panics; so are the words that flags take.

use clap::Parser;
use godwit_migration::{
    convergence::ladder::Escalation,
    preset::{Overrides, Scheme},
};
use godwit_transport::{address::Address, marks::Dscp, send_buffer::SendBuffer, tls::Peer};

use super::{Cli, units};
use crate::{SerialConfig, boot::Kernel, fuzz_test::each};

const LINES: [&str; 10] = [
    "godwit run --kernel builtin:load --memory 128M --cpus 2 --cmdline rate=2000 --serial file=/tmp/log --api /tmp/a.sock",
    "godwit run --kernel vmlinuz --initrd i.cpio --sandbox log --uid 1000 --gid 1000 --api /a --api-dir /tmp --dirty ring",
    "godwit serve --api /tmp/a.sock --allow /srv/vm --allow-read /boot/vmlinuz --state-dir /tmp/s",
    "godwit receive --listen tcp:0.0.0.0:4000 --tls /tmp/tls --peer host-a.example --serial socket=/tmp/s",
    "godwit migrate --api /tmp/a.sock --to tcp:10.0.0.2:4000 --tls /tmp/tls --peer spiffe://prod.example/host/*",
    "godwit migrate --api a --to unix:/b --preset multistage,history=2 --downtime 30ms --lanes 2 --bandwidth 1Gbit/s --json",
    "godwit migrate --api a --to tcp:h:1 --stop xen,rounds=9 --encode zero,rle --dscp cs1 --send-buffer 8M,low=5,high=70",
    "godwit limit --api a --bandwidth none",
    "godwit lab sweep --workload hot,rate=5000 --bandwidth 125MB/s",
    "godwit certs /tmp/tls --name a --uri spiffe://a/b --days 9",
];

#[test]
fn a_command_line_is_taken_or_refused() {
    let seeds = LINES.map(|line| line.as_bytes().to_vec());
    let (mut taken, mut refused) = (0, 0);
    each(14, 3_000, &seeds, |_, line| {
        let line = String::from_utf8_lossy(&line).into_owned();
        match Cli::try_parse_from(line.split(' ')) {
            Ok(_) => taken += 1,
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
            }
        }
    });
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
}

#[test]
fn a_flags_words_are_taken_or_refused_in_a_few_words() {
    let words = LINES.iter().flat_map(|line| line.split(' ').map(|word| word.as_bytes().to_vec()));
    let more = [
        "8M,low=5,high=70",
        "budget,ceiling=1s,throttle,cancel",
        "125MB/s",
        "10min",
        "ef",
        "stall,rounds=4,time=1s",
    ];
    let seeds: Vec<_> = words.chain(more.map(|word| word.as_bytes().to_vec())).collect();
    each(15, 20_000, &seeds, |_, word| {
        let word = String::from_utf8_lossy(&word).into_owned();
        let refusals = [
            units::parse_size(&word).err(),
            units::parse_rate(&word).err(),
            units::parse_cap(&word).err(),
            units::parse_time(&word).err(),
            word.parse::<Kernel>().err(),
            word.parse::<SerialConfig>().err().map(|error| error.to_string()),
            word.parse::<Address>().err(),
            word.parse::<Peer>().err(),
            word.parse::<Dscp>().err(),
            word.parse::<SendBuffer>().err(),
            Scheme::parse(&word, &Overrides::default()).err(),
            Escalation::parse(&word).err(),
        ];
        for said in refusals.into_iter().flatten() {
            assert!(!said.is_empty() && said.len() < 4096 + 4 * word.len(), "{}: {said}", said.len());
        }
    });
}
