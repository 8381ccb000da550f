//! The ladder of escalation, with a guest that dirties more than the link carries: each step is said and in the report, and
//! whatever was taken from the guest comes back.

use godwit_migration::{
    error::Class,
    report::{Outcome, Report},
};
use godwit_tests::{
    program::{PROMPT, alone, has},
    site::{Listen, Site},
    vmm::{MIGRATION, Migration, Vmm},
};
use guest_images::Heartbeat;

/// Over a link that carries this, no round sends what the guest has written meanwhile.
const LINK: [&str; 8] = ["--lanes", "1", "--preset", "precopy", "--encode", "none", "--bandwidth", "1MB/s"];
/// Two measurements on a busy machine may differ by so much; what is taken from the guest is far more.
const NOTABLE: f64 = 0.5;

fn boot(site: &Site) -> Vmm {
    site.boot("memory=2M working_set=1M content=random rate=1000000", &["--memory", "64M"])
}

/// Pages that the guest writes in a second of its time, from one heartbeat to another.
fn rate(beats: &[Heartbeat]) -> f64 {
    let [first, .., last] = beats else { return f64::INFINITY };
    (last.pages - first.pages) as f64 / (last.time - first.time).as_secs_f64()
}

fn beats(text: &str) -> Vec<Heartbeat> {
    text.lines().filter_map(Heartbeat::parse).collect()
}

/// The same, over the next `count` heartbeats.
fn rate_from_now(vmm: &Vmm, count: usize) -> f64 {
    vmm.wait_more_beats(count + 1);
    let beats = beats(&vmm.program.out.text());
    rate(&beats[beats.len() - count..])
}

/// Each step that was taken is a line on stderr too.
fn steps(migration: &Migration) -> (&Report, Vec<&str>) {
    let report = migration.report.as_ref().unwrap();
    for step in &report.steps {
        has(&migration.ended.err, &[&step.what, &step.why]);
    }
    (report, report.steps.iter().map(|step| step.what.as_str()).collect())
}

#[test]
fn what_a_ladder_took_from_the_guest_comes_back_with_a_cancellation() {
    let _turn = alone();
    let site = Site::open();
    let source = boot(&site);
    let target = site.receive(Listen::Unix, &[]);
    let before = rate_from_now(&source, 10);
    let ladder = "stall,rounds=1,time=100ms,budget,ceiling=2ms,throttle,by=steps";
    let mut migration = source.begin_migration(
        &target.address(),
        &[&LINK[..], &["--downtime", "1ms", "--escalate", ladder]].concat(),
    );
    migration.err.wait_for("the guest is slowed by steps", MIGRATION);
    // Step by step, round by round; it rewrites all of its working set in a round until nearly all of its time is taken.
    source.program.out.wait("the guest is slow", MIGRATION, |text| {
        let beats = beats(text);
        (rate(&beats[beats.len() - 2..]) < before * NOTABLE).then_some(())
    });
    assert_eq!(source.ask(&["cancel"]).status, 0);
    let migration = Migration::end(&mut migration);
    has(migration.failed(Outcome::Cancelled), &["cancelled on request"]);
    let (report, steps) = steps(&migration);
    assert_eq!(steps, ["the downtime budget is raised to 2.0 ms", "the guest is slowed by steps"]);
    assert!(report.guest_slowed.vcpu_s > 0.0, "{:?}", report.guest_slowed);
    let heard = beats(&source.program.out.text()).len();
    source.program.out.wait("the guest is as fast as it was", MIGRATION, |text| {
        let beats = beats(text);
        (beats.len() > heard + 5 && rate(&beats[beats.len() - 5..]) > before * NOTABLE).then_some(())
    });
}

#[test]
fn a_ladder_whose_end_is_to_give_up_says_each_step_and_leaves_the_guest() {
    let _turn = alone();
    let site = Site::open();
    let source = boot(&site);
    let target = site.receive(Listen::Unix, &[]);
    let ladder = "stall,rounds=1,time=100ms,budget,ceiling=2ms,cancel";
    let migration = source
        .migrate(&target.address(), &[&LINK[..], &["--downtime", "1ms", "--escalate", ladder]].concat());
    has(migration.failed(Outcome::Failed), &["what is owed has been no lower than", "--escalate"]);
    let (report, steps) = steps(&migration);
    assert_eq!(report.error.as_ref().unwrap().class, Class::Timeout);
    assert_eq!(steps, ["the downtime budget is raised to 2.0 ms", "the migration is given up"]);
    target.program.err.wait_for("the source gave up: what is owed has been no lower than", PROMPT);
    source.wait_more_beats(2);
}
