//! The link or a process lost in the moment of the hand-over: the source asks, and where nobody can tell, a person decides.

use std::time::Duration;

use godwit_migration::report::Outcome;
use godwit_tests::{
    ch_remote,
    program::{PROMPT, Program, Signal, alone, has, run},
    relay::Relay,
    site::{Listen, Site, text},
    vmm::{Migration, Vmm},
};
use serde_json::json;

/// A small guest, with a directory for records.
fn boot(site: &Site, state: &str) -> Vmm {
    site.boot("memory=4M rate=1000", &["--memory", "64M", "--state-dir", state])
}

/// A source, a target, and a migration between them that was cut at `Go`.
struct Cut {
    source: Vmm,
    target: Vmm,
    migration: Program,
    relay: Relay,
}

/// Moves a guest over a wire that is cut at `Go`, which has arrived or not, and is then closed or open.
fn cut(site: &Site, arrives: bool, closed: bool) -> Cut {
    let (a, b) = (text(&site.file("state-a")), text(&site.file("state-b")));
    let source = boot(site, &a);
    let target = site.receive(Listen::Tcp, &["--state-dir", &b]);
    let relay = Relay::cut_at_go(arrives, closed, &target.address());
    let migration = source.begin_migration(&relay.address(), &[]);
    relay.wait_cut();
    Cut { source, target, migration, relay }
}

/// The migration ends as unknown, and the source says so to whoever asks.
fn unknown(cut: &mut Cut) {
    let failed = Migration::end(&mut cut.migration);
    has(failed.failed(Outcome::Unknown), &["the outcome of the migration is unknown", "godwit resolve"]);
    let info = cut.source.ask(&["info"]);
    has(&info.out, &["outcome  unknown", "asked what became of it: "]);
    has(cut.source.ask(&["resume"]).sentence(), &["godwit resolve"]);
}

/// Kills the target, has the source find nobody, and starts a target in the same place with the same records.
fn killed_and_started_again(cut: &mut Cut, site: &Site) -> Vmm {
    let address = cut.target.address();
    cut.target.program.signal(Signal::KILL);
    assert_eq!(cut.target.end().status, 128 + 9);
    unknown(cut);
    cut.relay.open();
    let again = site.receive_at(&address, &["--state-dir", &text(&site.file("state-b"))]);
    again.program.err.wait_for("waiting for a guest", PROMPT);
    again
}

#[test]
fn a_link_that_is_cut_at_go_is_made_again_and_the_guest_arrives() {
    let _turn = alone();
    for arrives in [true, false] {
        let site = Site::open();
        let mut cut = cut(&site, arrives, false);
        let _report = Migration::end(&mut cut.migration).completed();
        cut.target.wait_beats(3);
        assert_eq!(cut.source.end().status, 0, "it has let its copy go");
    }
}

#[test]
fn a_target_killed_before_go_came_says_so_when_it_is_started_again() {
    let _turn = alone();
    let site = Site::open();
    let mut cut = cut(&site, false, true);
    let _again = killed_and_started_again(&mut cut, &site);
    let resolved = cut.source.ask(&["resolve", "--discard"]);
    has(&resolved.out, &["the guest goes on here", "ended before it was told to run the guest"]);
    assert_eq!(resolved.status, 1, "not what was wished, and the only right thing");
    cut.source.wait_more_beats(3);
}

#[test]
fn a_target_killed_after_go_came_says_when_it_is_started_again_that_a_person_decides() {
    let _turn = alone();
    let site = Site::open();
    let mut cut = cut(&site, true, true);
    cut.target.wait_beats(1);
    let _again = killed_and_started_again(&mut cut, &site);
    let resolved = cut.source.ask(&["resolve", "--keep"]);
    has(&resolved.out, &["the guest goes on here", "its process has ended since"]);
    assert_eq!(resolved.status, 0);
    cut.source.wait_more_beats(3);
}

#[test]
fn a_target_that_runs_the_guest_is_believed_whatever_a_person_wants_unless_forced() {
    let _turn = alone();
    let site = Site::open();
    let mut cut = cut(&site, true, true);
    cut.target.wait_beats(1);
    unknown(&mut cut);
    cut.relay.open();
    let resolved = cut.source.ask(&["resolve", "--keep"]);
    has(&resolved.out, &["the copy of the guest here is let go", "the guest runs at the target"]);
    assert_eq!((resolved.status, cut.source.end().status), (1, 0));
    cut.target.wait_more_beats(3);
}

#[test]
fn a_source_that_outlives_its_guest_keeps_one_of_unknown_outcome_until_that_is_settled() {
    let _turn = alone();
    let site = Site::open();
    let source = site.serve(&[]);
    source.wait_api();
    let config = json!({
        "payload": {"kernel": "builtin:load", "cmdline": "memory=4M rate=1000"},
        "memory": {"size": 64 << 20},
    });
    ch_remote::done(&source.api, "create", Some(&config.to_string()));
    ch_remote::done(&source.api, "boot", None);
    let target = site.receive(Listen::Tcp, &[]);
    let relay = Relay::cut_at_go(true, true, &target.address());
    let migration = source.begin_migration(&relay.address(), &[]);
    relay.wait_cut();
    target.wait_beats(1);
    let mut cut = Cut { source, target, migration, relay };
    unknown(&mut cut);
    let Cut { source, target, relay, .. } = cut;
    for command in ["delete", "shutdown", "reboot", "boot", "resume"] {
        let refused = ch_remote::ch_remote(&source.api, command, None);
        assert_eq!(refused.status, 405, "{command}: {refused:?}");
        has(&refused.refusal(), &["godwit resolve"]);
    }
    relay.open();
    let resolved = source.ask(&["resolve", "--keep"]);
    has(&resolved.out, &["the copy of the guest here is let go: ", "the guest runs at the target"]);
    assert_eq!(ch_remote::done(&source.api, "info", None)["state"], "Shutdown");
    let again = ch_remote::ch_remote(&source.api, "boot", None);
    has(&again.refusal(), &["the guest runs elsewhere now"]);
    ch_remote::done(&source.api, "delete", None);
    target.wait_more_beats(3);
}

#[test]
fn at_a_target_that_waits_a_person_decides_for_good() {
    let _turn = alone();
    for keep in [true, false] {
        let site = Site::open();
        let mut cut = cut(&site, false, true);
        unknown(&mut cut);
        has(&cut.target.ask(&["info"]).out, &["outcome  waiting"]);
        has(cut.target.ask(&["resume"]).sentence(), &["is awaited here"]);
        let resolved = cut.target.ask(&["resolve", if keep { "--keep" } else { "--discard" }]);
        assert_eq!(resolved.status, 0, "{}", resolved.err);
        cut.relay.open();
        let at_source = cut.source.ask(&["resolve", "--keep"]);
        if keep {
            cut.target.wait_beats(3);
            has(&at_source.out, &["let go, and this process ends", "the guest runs at the target"]);
        } else {
            has(&at_source.out, &["the guest goes on here", "never will"]);
            cut.source.wait_more_beats(3);
        }
    }
}

#[test]
fn a_cancellation_at_a_target_that_waits_ends_the_reception_and_not_the_answers() {
    let _turn = alone();
    let site = Site::open();
    let mut cut = cut(&site, false, true);
    unknown(&mut cut);
    let cancelled = cut.target.ask(&["cancel"]);
    assert_eq!(cancelled.status, 0, "{}", cancelled.err);
    cut.target.program.err.wait_for("no guest arrived: cancelled on request", PROMPT);
    has(cut.target.ask(&["cancel"]).sentence(), &["no migration is under way", "godwit shutdown"]);
    cut.relay.open();
    let resolved = cut.source.ask(&["resolve", "--discard"]);
    has(&resolved.out, &["the guest goes on here", "never will"]);
    cut.source.wait_more_beats(3);
    let _report = cut.source.migrate(&cut.target.address(), &[]).completed();
    cut.target.wait_beats(3);
}

#[test]
fn a_person_who_looked_decides_at_the_source_where_nobody_can_be_asked() {
    let _turn = alone();
    for (keep, status) in [(true, None), (false, Some(0))] {
        let site = Site::open();
        let mut cut = cut(&site, false, true);
        cut.target.program.signal(Signal::KILL);
        assert_eq!(cut.target.end().status, 128 + 9);
        unknown(&mut cut);
        let resolved = cut.source.ask(&["resolve", if keep { "--keep" } else { "--discard" }]);
        assert_eq!(resolved.status, 0, "{}", resolved.err);
        has(&resolved.out, &["cannot ask", "so was decided here"]);
        match status {
            None => cut.source.wait_more_beats(3),
            Some(status) => assert_eq!(cut.source.end().status, status),
        }
    }
}

#[test]
fn a_record_that_cannot_be_written_keeps_the_guest_at_the_source() {
    let _turn = alone();
    for lost in ["state-a", "state-b"] {
        let site = Site::open();
        let (a, b) = (text(&site.file("state-a")), text(&site.file("state-b")));
        let source = boot(&site, &a);
        let target = site.receive(Listen::Tcp, &["--state-dir", &b]);
        target.program.err.wait_for("waiting for a guest", PROMPT);
        std::fs::remove_dir_all(site.file(lost)).unwrap();
        let migration = source.migrate(&target.address(), &[]);
        has(migration.failed(Outcome::Failed), &["the guest goes on here", "cannot write the record"]);
        source.wait_more_beats(3);
        target.program.err.wait_for("no guest arrived", Duration::from_secs(5));
    }
}

#[test]
fn a_source_that_is_started_again_runs_no_guest_that_may_run_elsewhere_until_that_is_settled() {
    let _turn = alone();
    for keep in [false, true] {
        let site = Site::open();
        let mut cut = cut(&site, false, true);
        cut.source.program.signal(Signal::KILL);
        assert_eq!(cut.source.end().status, 128 + 9);
        let dir = text(&site.file("state-a"));
        let mut again = site.run(&["--kernel", "builtin:load", "--memory", "64M", "--state-dir", &dir]);
        has(
            again.end().sentence(),
            &["may run elsewhere", "handed its guest over to tcp:", "godwit resolve --state-dir"],
        );
        let settle = |wish: &str| run(&["resolve", "--state-dir", &dir, wish]);
        has(settle("--keep").sentence(), &["cannot ask at tcp:", "--force"]);
        cut.relay.open();
        let settled = settle(if keep { "--keep" } else { "--discard" });
        assert_eq!(settled.status, 0, "{}", settled.err);
        if keep {
            has(&settled.out, &["the guest may be started here", "never will"]);
        } else {
            has(&settled.out, &["the guest is the target's", "the guest runs at the target"]);
            cut.target.wait_beats(3);
        }
        has(settle("--keep").sentence(), &["nothing to resolve"]);
        let _again = boot(&site, &dir);
    }
}
