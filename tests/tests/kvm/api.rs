//! The API as its clients see it: plain HTTP on a Unix socket, no code of godwit's in between.

use std::thread;

use godwit_tests::{
    api::{get, put, raw, request},
    journey::Journey,
    program::{PROMPT, alone, has},
    relay::Relay,
    site::{Listen, Site, text},
    vmm::{GUEST, Vmm},
};
use serde_json::{Value, json};

fn boot(site: &Site) -> Vmm {
    site.boot("memory=4M rate=100", &["--memory", "64M", "--cpus", "2"])
}

#[test]
fn a_guest_is_watched_paused_resumed_and_ended() {
    let _turn = alone();
    let site = Site::open();
    let mut vmm = boot(&site);
    let ping = get(&vmm.api, "vmm.ping");
    assert_eq!(ping.status, 200);
    has(ping.body["build_version"].as_str().unwrap(), &["godwit "]);
    let info = get(&vmm.api, "vm.info");
    assert_eq!((info.status, &info.body["state"]), (200, &json!("Running")));
    assert_eq!(info.body["config"]["cpus"], json!({"boot_vcpus": 2, "max_vcpus": 2}));
    assert_eq!(info.body["config"]["memory"]["size"], json!(64 << 20));
    assert_eq!(info.body["config"]["payload"]["kernel"], json!("builtin:load"));
    assert_eq!(info.body["memory_actual_size"], json!(64 << 20));

    assert_eq!((put(&vmm.api, "vm.pause", "").status, put(&vmm.api, "vm.pause", "").status), (204, 405));
    assert_eq!(get(&vmm.api, "vm.info").body["state"], json!("Paused"));
    assert_eq!((put(&vmm.api, "vm.resume", "").status, put(&vmm.api, "vm.resume", "").status), (204, 405));
    vmm.wait_more_beats(2);
    // The load guest has no ACPI: it must not mind.
    assert_eq!(put(&vmm.api, "vm.power-button", "").status, 204);
    vmm.wait_more_beats(2);
    assert_eq!(put(&vmm.api, "vm.shutdown", "").status, 204);
    assert_eq!(vmm.end().status, 0);
}

#[test]
fn what_cannot_be_served_is_said_with_the_right_status() {
    let _turn = alone();
    let site = Site::open();
    let vmm = boot(&site);
    let to = |more: &str| format!("{{\"destination_url\": \"tcp:127.0.0.1:1\"{more}}}");
    let send = "vm.send-migration";
    for (method, name, body, status, words) in [
        ("GET", "vm.unknown", "", 404, vec!["vm.unknown", "PUT /api/v1/vm.pause"]),
        ("GET", "vm.pause", "", 405, vec!["vm.pause is asked for with PUT"]),
        ("PUT", "vm.pause", "{\"now\": true}", 400, vec!["vm.pause takes no body"]),
        ("PUT", send, "", 400, vec!["needs a JSON object", "destination_url"]),
        ("PUT", send, "{", 400, vec!["is not JSON"]),
        ("PUT", send, "{}", 400, vec!["destination_url"]),
        ("PUT", send, &to(", \"down_time_ms\": 5"), 400, vec!["down_time_ms", "did you mean 'downtime_ms'?"]),
        ("PUT", send, &to(", \"frobnicate\": 5"), 400, vec!["frobnicate", "its fields are", "connections"]),
        ("PUT", send, &to(", \"downtime_ms\": -5"), 400, vec!["downtime_ms", "-5"]),
        ("PUT", send, &to(", \"connections\": 0"), 400, vec!["0 lanes cannot be"]),
        ("PUT", send, &to(", \"connections\": 17"), 400, vec!["17 lanes cannot be"]),
        ("PUT", send, &to(", \"connections\": \"2\""), 400, vec!["connections"]),
        ("PUT", send, &to(", \"preset\": \"warp\""), 400, vec!["no preset 'warp'", "precopy, clark2005"]),
        ("PUT", send, &to(", \"stop\": \"xen,few=-1\""), 400, vec!["'few' of 'xen' is '-1'"]),
        ("PUT", send, &to(", \"select\": 5"), 400, vec!["'select'", "in quotes"]),
        (
            "PUT",
            send,
            &to(", \"timeout_strategy\": \"Hope\""),
            400,
            vec!["timeout_strategy", "Cancel", "Ignore"],
        ),
        ("PUT", send, "{\"destination_url\": \"ftp:there\"}", 400, vec!["ftp:there", "tcp:"]),
        (
            "PUT",
            "vm.receive-migration",
            "{\"receiver_url\": \"tcp:127.0.0.1:0\"}",
            405,
            vec!["the guest is running"],
        ),
        (
            "PUT",
            "vm.receive-migration",
            "{\"reciever_url\": \"x\"}",
            400,
            vec!["did you mean 'receiver_url'?"],
        ),
        ("PUT", "vm.cancel-migration", "", 405, vec!["no migration is under way"]),
        ("GET", "vm.migration-progress", "", 404, vec!["no migration"]),
    ] {
        let response = request(&vmm.api, method, name, body);
        assert_eq!(response.status, status, "{name} {body}: {response:?}");
        has(&response.sentences(), &words);
    }
    has(&request(&vmm.api, "GET", "vm.pause", "").header, &["PUT"]);
    let long = put(&vmm.api, send, &format!("\"{}\"", "x".repeat(200 << 10)));
    assert_eq!(long.status, 413, "{long:?}");
    assert_eq!(raw(&vmm.api, b"BREW pot HTCPCP/1.0\r\n\r\n").status, 400);
    // After all that the guest has not noticed a thing.
    vmm.wait_more_beats(2);
    assert_eq!(vmm.program.err.text(), "");
}

#[test]
fn a_guest_is_moved_by_two_requests() {
    let _turn = alone();
    let site = Site::open();
    let (mut source, mut target) = (boot(&site), site.wait_for_orders());
    let address = format!("unix:{}", text(&site.file("wire.sock")));
    target.wait_api();
    assert_eq!(get(&target.api, "vm.info").status, 404);
    let (api, order) = (target.api.clone(), json!({"receiver_url": address}).to_string());
    let receiving = thread::spawn(move || put(&api, "vm.receive-migration", &order));
    assert_eq!(target.address(), address);
    assert_eq!(get(&target.api, "vm.migration-progress").body["state"], json!("receiving"));

    let order = json!({"destination_url": address, "connections": 2, "downtime_ms": 200, "timeout_s": 30});
    let sent = put(&source.api, "vm.send-migration", &order.to_string());
    assert_eq!(sent.status, 200, "{sent:?}");
    assert_eq!((&sent.body["outcome"], &sent.body["lanes"]), (&json!("completed"), &json!(2)));
    assert_eq!(receiving.join().unwrap().status, 204);
    assert_eq!(source.end().status, 0);
    target.wait_beats(3);
    let info = get(&target.api, "vm.info");
    assert_eq!((&info.body["state"], &info.body["config"]["payload"]), (&json!("Running"), &json!({})));
    assert_eq!(put(&target.api, "vmm.shutdown", "").status, 204);
    assert_eq!(target.end().status, 0);
}

#[test]
fn a_second_migration_is_refused_while_one_runs_and_progress_tells_of_the_first() {
    let _turn = alone();
    let site = Site::open();
    let source = site.boot("memory=64M content=random rate=1000", &["--memory", "128M"]);
    let target = site.receive(Listen::Tcp, &[]);
    let relay = Relay::stopping_after(8 << 20, &target.address());
    let mut migration = source.begin_migration(&relay.address(), &[]);
    relay.wait_stopped();

    let second = put(&source.api, "vm.send-migration", "{\"destination_url\": \"tcp:127.0.0.1:1\"}");
    assert_eq!(second.status, 409, "{second:?}");
    has(&second.sentences(), &["the guest is being moved away", "cancel that first"]);
    for name in ["vm.pause", "vm.resume", "vm.receive-migration"] {
        let body =
            if name == "vm.receive-migration" { "{\"receiver_url\": \"tcp:127.0.0.1:0\"}" } else { "" };
        assert_eq!(put(&source.api, name, body).status, 409, "{name}");
    }
    has(source.migrate("tcp:127.0.0.1:1", &[]).ended.sentence(), &["the guest is being moved away"]);
    let progress = get(&source.api, "vm.migration-progress").body;
    assert_eq!(
        (&progress["state"], &progress["phase"], &progress["round"]),
        (&json!("sending"), &json!("rounds"), &json!(1))
    );
    let number = |name: &str| progress[name].as_u64().unwrap_or_else(|| panic!("{name}: {progress}"));
    assert!(
        number("round_sent_bytes") > 0 && number("round_sent_bytes") < number("round_bytes"),
        "{progress}"
    );

    assert_eq!(put(&source.api, "vm.cancel-migration", "").status, 204);
    assert_eq!(migration.end(PROMPT).status, 3);
    let ended = get(&source.api, "vm.migration-progress").body;
    assert_eq!((&ended["state"], &ended["report"]["outcome"]), (&json!("ended"), &json!("cancelled")));
    source.wait_more_beats(3);
    let mut journey = Journey::begin(source);
    journey.hop(&site, Listen::Tcp, &[]);
    journey.verdict();
}

#[test]
fn a_paused_guest_is_not_moved() {
    let _turn = alone();
    let site = Site::open();
    let source = boot(&site);
    assert_eq!(put(&source.api, "vm.pause", "").status, 204);
    let refused = put(&source.api, "vm.send-migration", "{\"destination_url\": \"tcp:127.0.0.1:1\"}");
    assert_eq!(refused.status, 405, "{refused:?}");
    has(&refused.sentences(), &["the guest is paused"]);
    assert_eq!(put(&source.api, "vm.resume", "").status, 204);
    source.wait_more_beats(2);
}

#[test]
fn a_client_that_leaves_does_not_take_the_migration_with_it() {
    let _turn = alone();
    let site = Site::open();
    let mut source = site.boot("memory=64M content=random rate=1000", &["--memory", "128M"]);
    let target = site.receive(Listen::Tcp, &[]);
    let relay = Relay::stopping_after(8 << 20, &target.address());
    let client = source.begin_migration(&relay.address(), &[]);
    relay.wait_stopped();
    // Killed.
    drop(client);
    assert_eq!(get(&source.api, "vm.migration-progress").body["state"], json!("sending"));
    relay.release();
    target.wait_beats(3);
    let left = source.program.end(GUEST);
    assert_eq!(left.status, 0, "{}", left.err);
    assert_eq!(get(&target.api, "vm.info").body["state"], Value::from("Running"));
}
