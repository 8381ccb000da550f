//! A command line means what the manual says, and an error names the part and what would be legal.

use crate::content::Content;
use crate::parameters::{Damage, Exit, Parameters, Pattern};

#[test]
fn every_parameter_is_read() {
    let line = "memory=1G content=random working_set=8192 rate=50000 pattern=hotcold write=4096 heartbeat=50 \
                duration=3 cpus=16 hot_cpus=1 seed=18446744073709551615 exit=reset sweep=0 sleep=500 damage=stale";
    let expected = Parameters {
        memory_bytes: 1 << 30,
        content: Content::Random,
        working_set_bytes: Some(8192),
        rate: 50000,
        pattern: Pattern::HotCold,
        write_bytes: 4096,
        heartbeat_ms: 50,
        duration_s: 3,
        cpus: Some(16),
        hot_cpus: Some(1),
        seed: u64::MAX,
        exit: Exit::Reset,
        sweep_percent: 0,
        sleep_us: 500,
        damage: Damage::Stale,
    };
    assert_eq!(Parameters::parse(line), Ok(expected));
}

#[test]
fn nothing_said_means_the_defaults() {
    assert_eq!(Parameters::parse("  "), Ok(Parameters::default()));
}

#[test]
fn what_vmms_add_for_kernels_is_ignored() {
    let line = "console=ttyS0 reboot=k panic=1 pci=off root=/dev/vda rw virtio_mmio.device=4K@0xd0000000:5 memory=4K";
    assert_eq!(Parameters::parse(line).map(|parameters| parameters.memory_bytes), Ok(4096));
}

#[test]
fn an_error_names_the_part_and_what_is_legal() {
    let wrong = [
        "memroy=1M",
        "memory",
        "memory=",
        "memory=1T",
        "memory=K",
        "memory=1023",
        "memory=99999999999999999999G",
        "memory=18446744073709551615G",
        "memory=1µ",
        "content=Text",
        "rate=-1",
        "rate=100000001",
        "write=7",
        "write=12",
        "write=4097",
        "heartbeat=0",
        "cpus=0",
        "cpus=17",
        "sweep=51",
        "sleep=0",
        "exit=",
    ];
    for given in wrong {
        let line = format!("seed=3 {given} rate=1");
        let error = Parameters::parse(&line).unwrap_err();
        let name = given.split('=').next().unwrap();
        assert_eq!(error.given, given);
        assert!(error.legal.contains(if name == "memroy" { "memory, " } else { name }), "{error}");
        assert!(error.to_string().contains(given));
    }
}

#[test]
fn the_list_of_names_and_the_manual_are_complete() {
    let manual = include_str!("../../../docs/load-guest.md");
    let unknown = Parameters::parse("unknown=1").unwrap_err().legal;
    let names: Vec<&str> = unknown.split(',').map(str::trim).take_while(|name| !name.contains(' ')).collect();
    assert_eq!(names.len(), 15);
    for name in names {
        let known = Parameters::parse(&format!("{name}=?")).map_err(|error| error.legal.starts_with(name));
        assert_eq!(known, Err(true), "{name}");
        assert!(manual.contains(&format!("| `{name}=")), "docs/load-guest.md does not explain {name}");
    }
}
