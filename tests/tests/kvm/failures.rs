//! Migrations that do not complete: the guest goes on at the source as if nothing had been, and can be moved at once.

use godwit_migration::report::Outcome;
use godwit_tests::{
    journey::Journey,
    program::{PROMPT, Program, Signal, alone, has},
    relay::Relay,
    site::{Listen, Site},
    vmm::{Migration, Vmm},
};

/// Bytes that pass before the wire stops: well inside the first round of [`boot`]'s guest.
const PART_OF_A_ROUND: usize = 8 << 20;

/// A guest with 64 MiB that no encoding shortens.
fn boot(site: &Site) -> Vmm {
    site.boot("memory=64M content=random working_set=8M rate=2000", &["--memory", "128M", "--cpus", "2"])
}

/// Begins a migration, over a wire that has stopped in the middle of its first round when this returns.
fn stuck(source: &Vmm, target: &Vmm, lanes: &str) -> (Program, Relay) {
    let relay = Relay::stopping_after(PART_OF_A_ROUND, &target.address());
    let migration = source.begin_migration(&relay.address(), &["--lanes", lanes]);
    relay.wait_stopped();
    (migration, relay)
}

/// The guest goes on at the source, and moves from there at once.
fn goes_on_and_moves(site: &Site, source: Vmm, why: &str) {
    source.wait_more_beats(3);
    let said = source.program.err.text();
    assert!(
        said.lines().count() == 1 && said.contains("the guest goes on here") && said.contains(why),
        "{said}"
    );
    let mut journey = Journey::begin(source);
    journey.hop(site, Listen::Tcp, &[]);
    journey.verdict();
}

#[test]
fn a_migration_that_goes_on_after_the_wire_stood_still_completes() {
    let _turn = alone();
    let site = Site::open();
    let (source, target) = (boot(&site), site.receive(Listen::Tcp, &[]));
    let (mut migration, relay) = stuck(&source, &target, "2");
    source.wait_more_beats(2);
    relay.release();
    let report = Migration::end(&mut migration).completed();
    // Pages written again while the wire stood still may have waited for a later round.
    assert!(report.pages.sent - report.pages.duplicate > 16_384, "{report:#?}");
    target.wait_beats(3);
}

#[test]
fn cancelled_in_the_middle_of_a_round() {
    let _turn = alone();
    let site = Site::open();
    for lanes in ["1", "2"] {
        let (source, target) = (boot(&site), site.receive(Listen::Tcp, &[]));
        let (mut migration, _relay) = stuck(&source, &target, lanes);
        assert_eq!(source.ask(&["cancel"]).status, 0);
        let migration = Migration::end(&mut migration);
        has(
            migration.failed(Outcome::Cancelled),
            &["the migration was cancelled and the guest goes on here", "on request"],
        );
        target.program.err.wait_for("no guest arrived: the source gave up: cancelled on request", PROMPT);
        has(source.ask(&["cancel"]).sentence(), &["no migration is under way"]);
        goes_on_and_moves(&site, source, "cancelled");
    }
}

#[test]
fn interrupted_by_the_user_in_the_middle_of_a_round() {
    let _turn = alone();
    let site = Site::open();
    let (source, target) = (boot(&site), site.receive(Listen::Tcp, &[]));
    let (mut migration, _relay) = stuck(&source, &target, "1");
    migration.signal(Signal::INT);
    let migration = Migration::end(&mut migration);
    has(migration.failed(Outcome::Cancelled), &["cancelled"]);
    goes_on_and_moves(&site, source, "cancelled");
}

#[test]
fn target_killed_in_the_middle_of_a_round() {
    let _turn = alone();
    let site = Site::open();
    for lanes in ["1", "2"] {
        let (source, mut target) = (boot(&site), site.receive(Listen::Tcp, &[]));
        let (mut migration, _relay) = stuck(&source, &target, lanes);
        target.program.signal(Signal::KILL);
        assert_eq!(target.end().status, 128 + 9);
        let migration = Migration::end(&mut migration);
        has(
            migration.failed(Outcome::Failed),
            &["the migration failed and the guest goes on here", "[link]"],
        );
        goes_on_and_moves(&site, source, "[link]");
    }
}

#[test]
fn target_ended_by_its_user_in_the_middle_of_a_round() {
    let _turn = alone();
    let site = Site::open();
    let (source, mut target) = (boot(&site), site.receive(Listen::Tcp, &[]));
    let (mut migration, _relay) = stuck(&source, &target, "1");
    assert_eq!(target.ask(&["shutdown"]).status, 0);
    has(
        Migration::end(&mut migration).failed(Outcome::Failed),
        &["the target gave up: given up because the process ends: it was asked to shut down"],
    );
    assert_eq!(target.end().status, 0);
    goes_on_and_moves(&site, source, "given up because the process ends");
}

#[test]
fn source_killed_in_the_middle_of_a_round_leaves_a_target_that_takes_the_next_guest() {
    let _turn = alone();
    let site = Site::open();
    let (mut source, target) = (boot(&site), site.receive(Listen::Tcp, &[]));
    let (mut migration, relay) = stuck(&source, &target, "2");
    source.program.signal(Signal::KILL);
    assert_eq!(source.end().status, 128 + 9);
    has(migration.end(PROMPT).sentence(), &["did not answer vm.send-migration", "it closed the connection"]);
    drop(relay);
    target.program.err.wait_for("no guest arrived", PROMPT);
    has(target.ask(&["info"]).sentence(), &["there is no guest here yet"]);
    let mut journey = Journey::begin(boot(&site));
    journey.hop_to(target, &[]);
    journey.verdict();
}

#[test]
fn not_there_in_time() {
    let _turn = alone();
    let site = Site::open();
    let (source, target) = (boot(&site), site.receive(Listen::Tcp, &[]));
    let relay = Relay::stopping_after(PART_OF_A_ROUND, &target.address());
    let migration = source.migrate(&relay.address(), &["--timeout", "1s"]);
    has(migration.failed(Outcome::Failed), &["did not get there in the 1.0 s it was given", "[timeout]"]);
    goes_on_and_moves(&site, source, "[timeout]");
}

#[test]
fn a_guest_that_ends_in_the_middle_of_its_move_ends_everything_in_order() {
    let _turn = alone();
    let site = Site::open();
    let parameters = "memory=64M content=random duration=2 exit=reset";
    let mut source = site.run(&["--kernel", "builtin:load", "--memory", "128M", "--cmdline", parameters]);
    source.wait_beats(1);
    let target = site.receive(Listen::Tcp, &[]);
    let (_migration, _relay) = stuck(&source, &target, "1");
    let ended = source.end();
    assert_eq!(ended.status, 64, "{}", ended.err);
    has(&ended.err, &["the guest asked for a reboot"]);
    target.program.err.wait_for("no guest arrived", PROMPT);
}
