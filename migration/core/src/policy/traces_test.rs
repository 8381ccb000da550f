//! Short traces, worked by hand, on which each policy decides differently from its neighbours.

use super::policy_test::Rounds;

/// What each round sends. A guest of `pages` pages is watched for the harvests in `before`; then round 1, and a round
/// after each harvest in `after`.
fn sends(policy: &str, pages: u32, before: &[&[u32]], after: &[&[u32]]) -> Vec<Vec<u32>> {
    let mut rounds = Rounds::new(policy, pages);
    before.iter().for_each(|dirty| rounds.harvest(dirty));
    let mut sent = vec![rounds.sends()];
    for dirty in after {
        rounds.harvest(dirty);
        sent.push(rounds.sends());
    }
    sent
}

/// The rounds after the first, which sends all.
fn after_all(policy: &str, after: &[&[u32]]) -> Vec<Vec<u32>> {
    let mut sent = sends(policy, 4, &[], after);
    assert_eq!(sent.remove(0), [0, 1, 2, 3], "{policy}");
    sent
}

const NONE: [u32; 0] = [];

#[test]
fn delay_once_waits_until_a_round_leaves_the_page_alone() {
    // Page 1 is written while round 1 ran: it is delayed. It is sent out of delay, is written meanwhile, and is delayed
    // again. Page 2 is written twice in a row.
    let trace: &[&[u32]] = &[&[1, 2], &[2], &[1]];
    assert_eq!(after_all("delay-once", trace), [vec![], vec![1], vec![2]]);
    assert_eq!(after_all("skip-redirtied", trace), [vec![1, 2], vec![2], vec![1]]);
    // A page that the last round did not name was not written *again*.
    assert_eq!(sends("delay-once", 4, &[&[3], &[3]], &[]), [[0, 1, 2, 3]]);
    assert!(Rounds::new("delay-once", 4).plan().skip_redirtied);
}

#[test]
fn multistage_sends_what_is_below_the_mean_and_not_lately_dirty() {
    // Counters 3, 2 and 1 of pages 0, 1 and 2; then page 3 is dirtied once. Mean 7/8 over all pages, 7/4 over touched.
    let before: &[&[u32]] = &[&[0, 1], &[0, 1], &[0, 2]];
    let after: &[&[u32]] = &[&[3], &[], &[]];
    for (history, later) in
        [(2, [vec![], vec![2], vec![3]]), (3, [vec![], vec![], vec![2]]), (4, [vec![], vec![], vec![]])]
    {
        let sent = sends(&format!("threshold+history,threshold=touched,history={history}"), 8, before, after);
        assert_eq!(sent[0], [3, 4, 5, 6, 7], "what the window found dirty waits");
        assert_eq!(sent[1..], later, "history {history}");
        let sent = sends(&format!("threshold+history,history={history}"), 8, before, after);
        assert_eq!(sent[1..], [NONE, NONE, NONE], "no dirtied page is below a mean under 1");
    }
}

#[test]
fn the_first_stage() {
    let all_dirtied: &[&[u32]] = &[&[0, 1, 2, 3], &[0], &[0]];
    for policy in ["threshold+history,threshold=touched,history=2", "midrange"] {
        assert_eq!(sends(policy, 4, &[&[], &[]], &[]), [[0, 1, 2, 3]], "none dirtied: all");
        assert_eq!(sends(policy, 4, &[&[2], &[]], &[]), [[0, 1, 3]], "some dirtied: the others");
        assert_eq!(
            sends(policy, 4, all_dirtied, &[]),
            [[1, 2, 3]],
            "all dirtied: what passes the later test"
        );
        assert_eq!(sends(policy, 4, &[], &[]), [[0, 1, 2, 3]], "not watched: all");
    }
}

#[test]
fn midrange_is_not_the_mean() {
    // Counters 5, 2, 1, and 0 for the other five pages; clean in the last harvests.
    let before: &[&[u32]] = &[&[0, 1, 2], &[0, 1], &[0], &[0], &[0]];
    let second = |policy: &str| sends(policy, 8, before, &[&[]]).remove(1);
    assert_eq!(second("midrange"), [2], "below (5 + 0) / 2 = 2");
    assert_eq!(second("midrange,threshold=touched"), [1, 2], "below (5 + 1) / 2 = 3");
    assert_eq!(second("threshold+history"), NONE, "below 8 / 8 = 1");
    assert_eq!(second("threshold+history,threshold=touched"), [1, 2], "below 8 / 3");
}

#[test]
fn second_chance_waits_for_two_clean_rounds_and_not_for_ever() {
    let trace: &[&[u32]] = &[&[0, 1], &[1], &[], &[]];
    assert_eq!(after_all("second-chance,few=0", trace), [vec![], vec![], vec![0], vec![1]]);
    assert_eq!(after_all("second-chance,few=0,clean=1", trace), [vec![], vec![0], vec![1], vec![]]);
    assert_eq!(after_all("second-chance", trace)[0], [0, 1], "fewer than 55 pages are left");
    assert_eq!(
        after_all("second-chance,few=0,rounds=2", trace)[..2],
        [vec![], vec![0, 1]],
        "two rounds are done"
    );
    let again: &[&[u32]] = &[&[0], &[], &[], &[1]];
    assert_eq!(after_all("second-chance,few=0,duplicates=0.2", again), [vec![], vec![], vec![0], vec![1]]);
    assert_eq!(
        after_all("second-chance,few=0,duplicates=0.3", again)[3],
        NONE,
        "one duplicate of four pages"
    );
}

#[test]
fn time_series_counts_in_its_window() {
    let before: &[&[u32]] = &[&[0], &[0, 1]];
    let sent = sends("time-series,n=4,m=2", 4, before, &[&[], &[], &[]]);
    assert_eq!(sent, [vec![1, 2, 3], vec![], vec![], vec![0]], "the second harvest leaves the window");
    assert_eq!(sends("time-series,n=4,m=3", 4, before, &[])[0], [0, 1, 2, 3]);
}

#[test]
fn a_majority_is_more_than_half() {
    let before: &[&[u32]] = &[&[0, 1], &[0, 1], &[0]];
    assert_eq!(
        sends("majority-history,history=4", 4, before, &[])[0],
        [1, 2, 3],
        "two of four is not more than half"
    );
    assert_eq!(sends("time-series,n=4,m=2", 4, before, &[])[0], [2, 3]);
    assert_eq!(after_all("majority-history", &[&[0]])[0], [0], "what is not recorded is clean");
    assert!(Rounds::new("majority-history", 4).plan().skip_redirtied, "its first phase");
}

#[test]
fn block_history_weighs_clean_against_dirty_since_it_was_sent() {
    let trace: &[&[u32]] = &[&[0, 1], &[1], &[], &[], &[1], &[]];
    let sent = after_all("block-history", trace);
    assert_eq!(
        sent,
        [vec![], vec![0], vec![], vec![1], vec![], vec![1]],
        "the count began anew when it was sent"
    );
    assert_eq!(
        after_all("second-chance,few=0,clean=1", trace)[2],
        [1],
        "which asks for one clean round alone"
    );
}

#[test]
fn reuse_distance_counts_what_was_dirtied_in_between() {
    let many: Vec<u32> = (10..50).collect();
    let before: &[&[u32]] = &[&[1], &many, &[0, 1], &[0]];
    let held = |policy: &str| {
        let sent = sends(policy, 100, before, &[]).remove(0);
        (0..100).filter(|page| !sent.contains(page)).collect::<Vec<u32>>()
    };
    assert_eq!(
        held("reuse-distance"),
        [0],
        "1 page between the dirtyings of page 0, 41 between those of page 1"
    );
    assert_eq!(held("reuse-distance,near=0.42"), [0, 1]);
    assert_eq!(held("reuse-distance,near=0.41"), [0]);
    assert_eq!(held("time-series,m=2"), [0, 1]);
}

#[test]
fn what_is_in_the_bitmap_stays_there() {
    let trace: &[&[u32]] = &[&[0, 1], &[0], &[], &[], &[1]];
    assert_eq!(after_all("page-bitmap", trace), [vec![0, 1], vec![], vec![], vec![], vec![1]]);
    assert_eq!(after_all("time-series,n=2,m=2", trace)[2], [0], "which forgets");
    assert_eq!(after_all("page-bitmap,consecutive=3", trace)[1], [0]);
}

#[test]
fn the_working_set_is_what_was_used_last_before_the_first_round() {
    let sent = sends("working-set,share=0.25", 8, &[&[0], &[1], &[2]], &[&[0], &[0, 1], &[]]);
    assert_eq!(
        sent,
        [vec![0, 3, 4, 5, 6, 7], vec![0], vec![0], vec![]],
        "two pages; 1 comes no more, 0 again and again"
    );
    assert_eq!(sends("working-set,share=0", 8, &[&[0]], &[])[0].len(), 8);
    assert_eq!(
        sends("working-set,share=0.125", 8, &[&[4, 6]], &[])[0],
        [0, 1, 2, 3, 5, 6, 7],
        "the lower of two"
    );
}

#[test]
fn the_clock_lets_a_first_write_pass() {
    let trace: &[&[u32]] = &[&[0], &[0], &[], &[]];
    assert_eq!(after_all("nru-clock", trace), [vec![0], vec![], vec![], vec![0]]);
    assert_eq!(after_all("nru-clock,window=2", trace)[3], NONE, "the hand has not yet come around");
    assert_eq!(after_all("delay-once", trace)[0], NONE);
    assert_eq!(after_all("second-chance,few=0,clean=1", trace)[0], NONE);
}

#[test]
fn probability_weighs_what_is_recent_more() {
    let trace: &[&[u32]] = &[&[0], &[0], &[], &[0]];
    let sent = after_all("probability", trace);
    assert_eq!(sent, [vec![0], vec![], vec![0], vec![]], "0.5, 0.75, 0.375, 0.6875");
    assert_eq!(after_all("nru-clock", trace)[2], NONE);
    assert_eq!(after_all("time-series,n=8,m=2", trace)[2], NONE, "two of eight, however long ago");
    assert_eq!(after_all("probability,probability=0.4", trace)[0], NONE);
    assert_eq!(after_all("probability,weight=0.2", trace)[..2], [[0], [0]], "0.2 and 0.36");
}
