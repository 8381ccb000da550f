//! Each rung is stepped on once it is its turn, and not before the guest has had its chance.

use super::*;
use crate::{convergence::convergence_test::STANDING, slow::SLOWS};

/// A ladder on which a stall is two rounds, of a second each.
fn ladder(rungs: &str) -> Ladder {
    Ladder::new(&Escalation::parse(&format!("stall,rounds=2,time=0s,percent=10,{rungs}")).unwrap())
}

/// The steps taken when `owed` pages are owed after one round after the other, by round; the budget is raised as asked.
fn steps(ladder: &mut Ladder, owed: &[u64]) -> Vec<(u32, Step)> {
    let mut budget = Duration::from_millis(100);
    let mut taken = vec![];
    for (rounds, &owed_pages) in (1..).zip(owed) {
        let elapsed = Duration::from_secs(rounds.into());
        let standing = Standing { rounds, elapsed, owed_pages, budget, ..STANDING };
        if let Some((step, why)) = ladder.climb(&standing) {
            assert!(why.contains("owed"), "{why}");
            if let Step::Budget(raised) = step {
                budget = raised;
            }
            taken.push((rounds, step));
        }
    }
    taken
}

#[test]
fn the_budget_is_doubled_up_to_its_ceiling_and_then_comes_the_next_rung() {
    let mut ladder = ladder("budget,ceiling=300ms,throttle,by=halving,cancel");
    let ms = Duration::from_millis;
    assert_eq!(
        steps(&mut ladder, &[1000; 15]),
        [
            (3, Step::Budget(ms(200))),
            (6, Step::Budget(ms(300))),
            (9, Step::Throttle("halving")),
            (12, Step::Cancel),
            (15, Step::Cancel)
        ]
    );
}

#[test]
fn progress_puts_it_off_and_oscillation_does_not() {
    assert_eq!(steps(&mut ladder("force"), &[1000, 899, 800, 700, 600]), []);
    assert_eq!(steps(&mut ladder("force"), &[1000, 2000, 950]), [(3, Step::Force)], "5% less is no progress");
    assert_eq!(steps(&mut ladder("force"), &[1000, 9000, 899, 9000, 900]), [(5, Step::Force)]);
}

#[test]
fn a_throttle_that_tightens_is_given_time() {
    let mut ladder = ladder("throttle,cancel");
    let mut at = |rounds: u32, throttle| {
        let elapsed = Duration::from_secs(rounds.into());
        ladder.climb(&Standing { rounds, elapsed, throttle, ..STANDING }).map(|(step, _)| step)
    };
    let share = Throttle::Share;
    assert_eq!([1, 2, 3].map(|round| at(round, Throttle::None)), [None, None, Some(Step::Throttle("steps"))]);
    let slowed = [(4, 0.2), (5, 0.2), (6, 0.3), (7, 0.3), (8, 0.3)];
    assert_eq!(
        slowed.map(|(round, taken)| at(round, share(taken))),
        [None, None, None, None, Some(Step::Cancel)]
    );
}

#[test]
fn at_the_top_of_a_ladder_without_a_last_word_nothing_happens() {
    assert_eq!(steps(&mut ladder("throttle"), &[1000; 9]), [(3, Step::Throttle("steps"))]);
    assert_eq!(steps(&mut Ladder::new(&Escalation::default()), &[1000; 50]), []);
}

#[test]
fn what_is_no_ladder_is_refused_by_name() {
    let wrong = |text: &str| Escalation::parse(text).unwrap_err();
    assert_eq!(wrong("cancel,force"), "'cancel' of 'escalate' is the end; it may only be the last");
    assert_eq!(
        wrong("budget,stall"),
        "'stall' of 'escalate' says when steps are taken; it may only be the first"
    );
    assert!(wrong("").contains("is empty") && wrong("stall,rounds=2").contains("names no step"));
    assert_eq!(
        wrong("throttle,by=magic"),
        "'by' of 'throttle' is 'magic'; it must be one of steps, halving, share, dirty-limit, last-resort"
    );
    assert!(wrong("jump").starts_with("'escalate' has no part 'jump'; there are: stall, budget,"));
    let text = "stall,rounds=9,budget,ceiling=300ms,throttle,by=share,force";
    assert_eq!(Escalation::parse(text).unwrap().to_string(), text);
    assert_eq!(Escalation::parse(text).unwrap().slows_by().collect::<Vec<_>>(), ["share"]);
}

#[test]
fn every_way_to_slow_a_guest_can_be_a_step() {
    for row in SLOWS.iter().filter(|row| row.name != "none") {
        assert_eq!(
            steps(&mut ladder(&format!("throttle,by={}", row.name)), &[9; 3]).len(),
            1,
            "{}",
            row.name
        );
    }
}
