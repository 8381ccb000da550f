//! Moves by TLS as an operator sets them up: certificates from `godwit certs`, and sentences where they do not fit.

use std::process::Command;

use godwit_migration::report::Outcome;
use godwit_tests::{
    journey::Journey,
    program::{Ended, PROMPT, Program, alone, godwit, has},
    site::{Listen, Site, text},
};

/// Runs `godwit certs` for a folder of the site's.
fn certs(site: &Site, folder: &str, arguments: &[&str]) -> (String, Ended) {
    let folder = text(&site.file(folder));
    let mut command = Command::new(godwit());
    command.arg("certs").arg(&folder).args(arguments);
    (folder, Program::start("certs", &mut command).end(PROMPT))
}

#[test]
fn a_guest_goes_there_and_back_by_tls() {
    let _turn = alone();
    let site = Site::open();
    let uri = "spiffe://prod.example/host/a";
    let (folder, made) = certs(&site, "tls", &["--name", "127.0.0.1", "--name", "a.example", "--uri", uri]);
    assert_eq!((made.status, made.out.lines().count()), (0, 6), "{made:?}");
    let mut journey = Journey::begin(site.boot("memory=32M working_set=1M rate=2000", &["--memory", "128M"]));
    for (receive, migrate) in [
        (&["--peer", "spiffe://prod.example/*"][..], &["--lanes", "2"][..]),
        (&[], &["--lanes", "1", "--peer", uri]),
    ] {
        let tls = ["--tls", &folder];
        let target = site.receive(Listen::Tcp, &[&tls, receive].concat());
        journey.hop_to(target, &[&tls, migrate].concat());
    }
    journey.verdict();
}

#[test]
fn what_does_not_fit_is_said_at_both_ends_and_the_guest_goes_on() {
    let _turn = alone();
    let site = Site::open();
    let (ours, _) = certs(&site, "ours", &["--name", "127.0.0.1"]);
    let (theirs, _) = certs(&site, "theirs", &["--name", "127.0.0.1"]);
    let source = site.boot("memory=4M rate=500", &["--memory", "64M"]);
    let target = site.receive(Listen::Tcp, &["--tls", &ours, "--peer", "b.example"]);
    let to = target.address();
    for (arguments, here, there) in [
        (
            &["--tls", &theirs][..],
            "the target is turned away by TLS: its certificate is not from an authority in ca-cert.pem",
            "the source refuses TLS: this side's certificate is not from an authority that it knows",
        ),
        (
            &["--tls", &ours],
            "the target refuses TLS: no name of this side's certificate is one that it takes",
            "its certificate is for 127.0.0.1, and taken is only b.example (--peer)",
        ),
        (
            &[],
            "this target lets nobody in without TLS; give the source --tls DIR",
            "it does not speak TLS, and this target was started with --tls",
        ),
    ] {
        has(source.migrate(&to, arguments).failed(Outcome::Failed), &[here, "the guest goes on here"]);
        target.program.err.wait_for(there, PROMPT);
    }
    let nowhere = text(&site.file("nowhere"));
    has(source.migrate(&to, &["--tls", &nowhere]).ended.sentence(), &["nowhere/ca-cert.pem: is not there"]);
    let said = source.migrate("tcp:192.0.2.1:1", &[]);
    has(said.failed(Outcome::Failed), &["192.0.2.1 is not this host alone", "--insecure"]);
    source.wait_more_beats(2);
}
