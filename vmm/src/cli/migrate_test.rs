//! From flags to the request that the source gets.

use std::time::Duration;

use clap::{CommandFactory, Parser};

use super::migrate::{How, OnTimeout};
use crate::{
    api::{SendMigration, TimeoutStrategy},
    control::{DEFAULT_DOWNTIME, DEFAULT_LANES, DEFAULT_TIMEOUT},
};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    how: How,
}

#[test]
fn all_flags_arrive() {
    let line = "x --preset clark2005 --downtime 30ms --timeout 1min --on-timeout force --lanes 4";
    let request = Flags::try_parse_from(line.split(' ')).unwrap().how.request("tcp:h:1".into());
    assert_eq!(
        request,
        SendMigration {
            destination_url: "tcp:h:1".into(),
            preset: Some("clark2005".into()),
            downtime: Some(Duration::from_millis(30)),
            timeout: Some(Duration::from_secs(60)),
            timeout_strategy: Some(TimeoutStrategy::Ignore),
            connections: Some(4),
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
        ("lanes", format!("[default: {DEFAULT_LANES}]")),
    ] {
        let help = command.get_arguments().find(|a| a.get_id() == flag).and_then(|a| a.get_help()).unwrap();
        assert!(help.to_string().contains(&value), "--{flag} says {help}, it is {value}");
    }
}
