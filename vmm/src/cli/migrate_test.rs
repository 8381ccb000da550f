//! From flags to the request that the source gets.

use std::time::Duration;

use clap::{CommandFactory, Parser};
use godwit_migration::preset::Overrides;
use godwit_transport::{
    marks::{Dscp, Priority},
    send_buffer::SendBuffer,
};

use super::migrate::{How, OnTimeout};
use crate::{
    api::{Security, SendMigration, TimeoutStrategy},
    control::{DEFAULT_DOWNTIME, DEFAULT_TIMEOUT, MOST_DEFAULT_LANES, default_lanes},
};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    how: How,
}

#[test]
fn all_flags_arrive() {
    let line = "x --preset clark2005 --select time-series,m=2 --order address --stop xen,growth --slow none \
                --encode zero,rle --downtime 30ms --timeout 1min --on-timeout force --lanes 4 \
                --bandwidth 125MB/s --dscp af21 --priority 6 --congestion cubic --send-buffer 8M --escalate budget,cancel";
    let request = Flags::try_parse_from(line.split_whitespace()).unwrap().how.request("tcp:h:1".into());
    assert_eq!(
        request,
        SendMigration {
            destination_url: "tcp:h:1".into(),
            preset: Some("clark2005".into()),
            parts: Overrides {
                select: Some("time-series,m=2".into()),
                order: Some("address".into()),
                stop: Some("xen,growth".into()),
                slow: Some("none".into()),
                encode: Some("zero,rle".into()),
            },
            downtime: Some(Duration::from_millis(30)),
            timeout: Some(Duration::from_secs(60)),
            timeout_strategy: Some(TimeoutStrategy::Ignore),
            connections: Some(4),
            bandwidth: Some(125_000_000),
            dscp: Dscp::new(18).ok(),
            priority: Priority::new(6).ok(),
            congestion: "cubic".parse().ok(),
            send_buffer: SendBuffer::new(8 << 20, 5, 70).ok(),
            escalate: Some("budget,cancel".into()),
            dry_run: false,
            security: Security::default(),
        }
    );
    assert_eq!(TimeoutStrategy::from(OnTimeout::Cancel), TimeoutStrategy::Cancel);
}

#[test]
fn what_is_not_said_is_left_to_the_source() {
    let request = Flags::try_parse_from(["x"]).unwrap().how.request("unix:/t".into());
    assert_eq!(request, SendMigration { destination_url: "unix:/t".into(), ..SendMigration::default() });
}

#[test]
fn the_help_tells_the_source_s_own_values() {
    let command = Flags::command();
    for (flag, value) in [
        ("downtime", format!("[default: {}ms]", DEFAULT_DOWNTIME.as_millis())),
        ("timeout", format!("[default: {}min]", DEFAULT_TIMEOUT.as_secs() / 60)),
        (
            "lanes",
            format!(
                "[default: one a core, at most {MOST_DEFAULT_LANES}, and one for every 256 MiB of the guest]"
            ),
        ),
    ] {
        let help = command.get_arguments().find(|a| a.get_id() == flag).and_then(|a| a.get_help()).unwrap();
        assert!(help.to_string().contains(&value), "--{flag} says {help}, it is {value}");
    }
}

#[test]
fn there_is_a_lane_a_core_up_to_four_and_one_for_a_small_guest() {
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(usize::from(default_lanes(16 << 30)), cores.min(4));
    assert_eq!(usize::from(default_lanes((256 << 20) + 1)), cores.min(2));
    assert_eq!((default_lanes(256 << 20), default_lanes(0)), (1, 1));
}

#[test]
fn values_that_cannot_be_are_refused_by_name_with_the_range() {
    for (flag, value, words) in [
        ("--bandwidth", "1KB/s", "100 to 1000000000 KB/s"),
        ("--dscp", "64", "0 to 63"),
        ("--priority", "8", "0 to 7"),
        ("--congestion", "a-name-too-long-for-it", "1 to 15"),
        ("--send-buffer", "1K", "262144 to 1073741824"),
    ] {
        let said = Flags::try_parse_from(["x", flag, value]).err().unwrap().to_string();
        assert!(said.contains(flag) && said.contains(words), "{said}");
    }
}
