//! What all phases of a source share: the configuration, the page book, the rules, the account, the waiting actions.

use std::{collections::VecDeque, time::Duration};

use super::{Action, OnTimeout, SourceConfig, Time, account::Account, phase::Phase};
use crate::{
    convergence::{Convergence, Standing, Verdict},
    limits::{MAX_ROUNDS, PAGE_BYTES},
    page::{PageBook, PageSet, Plan},
    policy::Policy,
    report::Progress,
    wire::SourceMessage,
};

/// What a stop-and-copy costs beside its pages, until it has been measured: pausing, saving, restoring.
const FIXED_COST: Duration = Duration::from_millis(4);
/// Round trips of a hand-over: final set to `Ready`, `Go` to `Running`.
const HANDOVER_ROUND_TRIPS: u32 = 2;

pub(super) struct Context {
    pub(super) config: SourceConfig,
    pub(super) actions: VecDeque<Action>,
    pub(super) account: Account,
    book: PageBook,
    /// Pages that have been in a plan: what is in another one is a duplicate.
    planned: PageSet,
    policy: Box<dyn Policy>,
    stops: Vec<Box<dyn Convergence>>,
    /// Shortest time in which the target has answered. One slow answer says little, and the first also holds what
    /// it costs to connect.
    round_trip: Duration,
    /// When the peer owes an answer.
    answer_due: Option<Time>,
    /// When pre-copy has taken too long.
    timeout_at: Option<Time>,
}

impl Context {
    pub(super) fn new(now: Time, config: SourceConfig) -> Self {
        let pages = config.shape.memory.pages();
        Self {
            actions: VecDeque::new(),
            account: Account::new(now, pages),
            book: PageBook::new(pages),
            planned: PageSet::empty(pages),
            policy: (config.preset.policy().make)(),
            stops: config.preset.stops().map(|row| (row.make)()).collect(),
            round_trip: Duration::MAX,
            answer_due: None,
            timeout_at: config.timeout.map(|timeout| now.saturating_add(timeout)),
            config,
        }
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(super) fn send(&mut self, message: SourceMessage) {
        self.act(Action::Send(message));
    }

    /// The peer owes an answer within `limit`.
    pub(super) fn expect_answer(&mut self, now: Time, limit: Duration) {
        self.answer_due = Some(now.saturating_add(limit));
    }

    /// The peer owes nothing.
    pub(super) fn answered(&mut self) {
        self.answer_due = None;
    }

    pub(super) fn answer_is_late(&self, now: Time) -> bool {
        self.answer_due.is_some_and(|due| now >= due)
    }

    pub(super) fn has_timed_out(&self, now: Time) -> bool {
        self.timeout_at.is_some_and(|at| now >= at)
    }

    pub(super) fn deadline(&self, phase: &Phase) -> Option<Time> {
        let timeout = if phase.heeds_timeout(self.config.on_timeout) { self.timeout_at } else { None };
        [self.answer_due, timeout].into_iter().flatten().min()
    }

    pub(super) fn measured_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = self.round_trip.min(round_trip);
    }

    /// Tracking has begun: what nobody ever touched is not owed.
    pub(super) fn tracking(&mut self, touched: &PageSet) {
        let mut untouched = PageSet::full(self.book.owed().pages());
        untouched.subtract(touched);
        self.book.nothing_in(&untouched);
        self.account.untouched = u64::from(untouched.count());
    }

    pub(super) fn harvested(&mut self, dirty: &PageSet) {
        self.book.observe(dirty);
        self.account.harvested(u64::from(dirty.count()), u64::from(self.book.owed().count()));
    }

    pub(super) fn owed_pages(&self) -> u64 {
        u64::from(self.book.owed().count())
    }

    /// What the next round sends; from here on it is not owed.
    pub(super) fn plan(&mut self, last: bool) -> Plan {
        let round = self.account.rounds_begun() + 1;
        let mut plan =
            if last { Plan::all(self.book.owed().clone()) } else { self.policy.plan(round, &self.book) };
        plan.pages.intersect(self.book.owed());
        self.book.sent(&plan.pages);
        self.planned.union(&plan.pages);
        self.account.distinct = u64::from(self.planned.count());
        plan
    }

    /// Whether another round is worth it.
    pub(super) fn decide(&mut self, now: Time) -> Verdict {
        if self.has_timed_out(now) && self.config.on_timeout == OnTimeout::Force {
            return Verdict::Final("the time given is over, and the final copy was to be forced".into());
        }
        if self.account.rounds_begun() >= MAX_ROUNDS {
            return Verdict::Final(format!("{MAX_ROUNDS} rounds are done"));
        }
        let standing = self.standing();
        let verdicts = self.stops.iter_mut().map(|rule| rule.decide(&standing));
        let verdict =
            verdicts.fold(Verdict::Again, |first, next| if first == Verdict::Again { next } else { first });
        if verdict != Verdict::Again {
            self.account.predicted_downtime = standing.predicted_downtime();
        }
        verdict
    }

    fn standing(&self) -> Standing {
        Standing {
            rounds: self.account.rounds_begun(),
            guest_pages: u64::from(self.book.owed().pages()),
            sent_pages: self.account.totals.pages,
            dirty_pages: self.account.last_dirty,
            owed_pages: self.owed_pages(),
            bytes_per_s: self.account.bytes_per_s,
            fixed_cost: FIXED_COST.saturating_add(self.round_trip.saturating_mul(HANDOVER_ROUND_TRIPS)),
            budget: self.config.downtime,
        }
    }

    pub(super) fn progress(&self, now: Time, phase: &str, sent_pages: u64) -> Progress {
        let page = PAGE_BYTES as u64;
        Progress {
            phase: phase.into(),
            elapsed_s: now.saturating_sub(self.account.began).as_secs_f64(),
            round: self.account.rounds_begun(),
            round_bytes: self.account.round_planned * page,
            round_sent_bytes: sent_pages * page,
            owed_bytes: self.account.owed_before_round * page,
            wire_bytes: self.account.totals.wire_bytes,
            bandwidth: self.account.bytes_per_s,
            predicted_downtime_s: self.standing().predicted_downtime().map(|d| d.as_secs_f64()),
            budget_s: self.config.downtime.as_secs_f64(),
            rounds: self.account.rounds.clone(),
        }
    }
}
