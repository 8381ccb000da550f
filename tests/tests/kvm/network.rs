//! What a migration asks of the network, and the page that tells of it.

use std::{fs, thread, time::Duration};

use godwit_migration::report::Outcome;
use godwit_tests::{
    program::{alone, has},
    site::{Listen, Site, text},
    verdict::Verdict,
    vmm::Migration,
};

#[test]
fn a_cap_holds_is_raised_on_the_way_and_the_report_is_a_page() {
    let _turn = alone();
    let site = Site::open();
    let source = site.boot("memory=32M working_set=1M rate=100", &["--memory", "128M"]);
    let target = site.receive(Listen::Tcp, &[]);
    let page = text(&site.file("move.html"));
    let network = ["--bandwidth", "1MB/s", "--dscp", "cs1", "--priority", "2", "--congestion", "reno"];
    let arguments = [&network[..], &["--send-buffer", "1M", "--report", &page]].concat();
    let mut migration = source.begin_migration(&target.address(), &arguments);
    while source.ask(&["limit", "--bandwidth", "2MB/s"]).status != 0 {
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(Duration::from_millis(500));
    assert_eq!(source.ask(&["limit", "--bandwidth", "200MB/s"]).status, 0);
    let report = Migration::end(&mut migration).completed();
    assert_eq!(report.bandwidth_cap, Some(200_000_000));
    assert!(report.rounds.iter().all(|round| round.bandwidth <= 206e6), "{report:#?}");
    assert_eq!(report.lanes, 1, "one for every 256 MiB of the guest");
    let said = fs::read_to_string(page).unwrap();
    has(&said, &["<!doctype html>", "completed", "Where the downtime went", &report.bytes.wire.to_string()]);
    target.wait_beats(3);
    Verdict::of(&(source.program.out.text() + &target.program.out.text())).unwrap();
}

#[test]
fn a_failure_has_a_page_and_a_page_that_cannot_be_begins_nothing() {
    let _turn = alone();
    let site = Site::open();
    let source = site.boot("memory=4M rate=500", &["--memory", "64M"]);
    let page = text(&site.file("failure.html"));
    let failed = source.migrate("unix:no/such/socket", &["--report", &page]);
    has(failed.failed(Outcome::Failed), &["cannot connect"]);
    has(&fs::read_to_string(page).unwrap(), &["failed", "cannot connect to unix:no/such/socket"]);
    let said = source.migrate("unix:no/such/socket", &["--report", "no/such/folder/page.html"]);
    assert!(said.report.is_none());
    has(said.ended.sentence(), &["cannot write the report no/such/folder/page.html"]);
    let said = source.migrate("unix:no/such/socket", &["--dscp", "ef"]);
    has(said.ended.sentence(), &["a Unix socket has no packets"]);
    let target = site.receive(Listen::Tcp, &[]);
    let said = source.migrate(&target.address(), &["--congestion", "carrier-pigeon"]);
    has(said.failed(Outcome::Failed), &["congestion control carrier-pigeon cannot be set"]);
    assert_eq!(said.ended.status, 1, "that is this host's, and not the target's");
    assert!(!said.ended.err.contains("waiting there"), "{}", said.ended.err);
    has(source.ask(&["limit", "--bandwidth", "none"]).sentence(), &["no migration is under way"]);
    source.wait_more_beats(2);
}
