//! What all phases of a source share: the configuration, the page book, the rules, the account, the waiting actions.

use std::{collections::VecDeque, time::Duration};

use super::{Action, OnTimeout, SourceConfig, Time, account::Account, costs::Costs, phase::Phase};
use crate::{
    arming::Arming,
    convergence::{
        Convergence, Standing, Verdict,
        ladder::{Ladder, Step},
        page_rate,
    },
    limits::{MAX_ROUNDS, PAGE_BYTES},
    order::Arrange,
    page::{PageBook, PageSet, Plan},
    part::Choice,
    policy::{Policy, Scene},
    predict::{Avg, Predictor, Terms},
    report::{Progress, StepTaken},
    slow::{Slow, Throttle, slowed_at_once},
    wire::SourceMessage,
};

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
    order: Box<dyn Arrange>,
    stops: Vec<Box<dyn Convergence>>,
    slow: Box<dyn Slow>,
    throttle: Throttle,
    ladder: Ladder,
    /// The pages of the last harvest.
    dirty: PageSet,
    /// Pages that were free just before the harvest to come.
    free: Option<PageSet>,
    /// Shortest time in which the target has answered. One slow answer says little, and the first also holds what
    /// it costs to connect.
    round_trip: Duration,
    /// When the peer owes an answer.
    answer_due: Option<Time>,
    /// When pre-copy has taken too long.
    timeout_at: Option<Time>,
    /// When the guest, which is only watched, is looked at again.
    pub(super) look_at: Option<Time>,
    /// Plans in a row that were empty.
    empty_plans: u32,
}

impl Context {
    pub(super) fn new(now: Time, config: SourceConfig) -> Self {
        let pages = config.shape.memory.pages();
        Self {
            actions: VecDeque::new(),
            account: Account::new(now, pages, config.shape.cpus.count),
            book: PageBook::new(pages),
            planned: PageSet::empty(pages),
            policy: config.scheme.select.make(),
            order: config.scheme.order.make(),
            stops: config.scheme.stop.iter().map(Choice::make).collect(),
            slow: config.scheme.slow.make(),
            throttle: Throttle::None,
            ladder: Ladder::new(&config.escalate),
            dirty: PageSet::empty(pages),
            free: None,
            round_trip: Duration::MAX,
            answer_due: None,
            timeout_at: config.timeout.map(|timeout| now.saturating_add(timeout)),
            look_at: None,
            empty_plans: 0,
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

    /// Whether the time is over and the final copy is to be forced.
    pub(super) fn is_forced(&self, now: Time) -> bool {
        self.config.on_timeout == OnTimeout::Force && self.has_timed_out(now)
    }

    pub(super) fn deadline(&self, phase: &Phase) -> Option<Time> {
        let timeout = if phase.heeds_timeout(self.config.on_timeout) { self.timeout_at } else { None };
        [self.answer_due, timeout, self.look_at].into_iter().flatten().min()
    }

    pub(super) fn measured_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = self.round_trip.min(round_trip);
    }

    /// When pages are armed: who observes wants to see all writes.
    pub(super) fn arming(&self) -> Arming {
        if self.config.scheme.observe.harvests > 0 { Arming::AtOnce } else { self.policy.arming() }
    }

    /// Tracking has begun: what nobody ever touched is not owed.
    pub(super) fn tracking(&mut self, touched: &PageSet) {
        let mut untouched = PageSet::full(self.book.owed().pages());
        untouched.subtract(touched);
        self.book.nothing_in(&untouched);
        self.account.untouched = u64::from(untouched.count());
        self.drop_free();
    }

    /// These pages hold nothing, as of before the harvest to come.
    pub(super) fn free(&mut self, pages: PageSet) {
        self.free = Some(pages);
    }

    /// What is free is not owed. Before a harvest is taken in: what it finds is owed again.
    fn drop_free(&mut self) {
        if let Some(mut free) = self.free.take() {
            free.intersect(self.book.owed());
            self.account.free += u64::from(free.count());
            self.book.nothing_in(&free);
        }
    }

    pub(super) fn harvested(&mut self, now: Time, dirty: PageSet) {
        self.drop_free();
        self.book.observe(&dirty);
        self.account.harvested(now, u64::from(dirty.count()), self.owed_pages());
        self.dirty = dirty;
        let (round, left) = (self.account.rounds_begun(), self.time_left(now));
        let scene = Self::scene(&self.config, &self.account, &self.book, &self.dirty, round, left);
        self.policy.observe(&scene);
        if self.account.rounds.len() == 1 && self.account.predicted_total_s.is_none() {
            self.account.predicted_total_s = self.forecast_total_s(now);
        }
    }

    /// The harvest of the guest that stands still. No policy is asked any more.
    pub(super) fn harvested_last(&mut self, now: Time, dirty: &PageSet) {
        self.drop_free();
        self.book.observe_last(dirty);
        self.account.harvested(now, u64::from(dirty.count()), self.owed_pages());
    }

    /// What the migration will have taken when it is over, by the rate and the writes that the first round has shown.
    fn forecast_total_s(&self, now: Time) -> Option<f64> {
        let standing = self.standing(now);
        if standing.bytes_per_s <= 0.0 {
            return None;
        }
        let mut writes = Avg::default();
        writes.observe(standing.interval, &self.dirty);
        let forecast = writes.forecast(&Terms {
            pages: standing.owed_pages,
            page_bytes: PAGE_BYTES as f64 * standing.wire_ratio,
            bytes_per_s: standing.bytes_per_s,
            fixed_cost: standing.fixed_cost,
            setup: now.saturating_sub(self.account.began),
            budget: standing.budget,
            most_rounds: MAX_ROUNDS,
            timeout: self.config.timeout.unwrap_or(Duration::MAX),
        });
        Some(forecast.total_s)
    }

    /// What a policy can know, with `round` as the one that comes next.
    fn scene<'a>(
        config: &SourceConfig,
        account: &Account,
        book: &'a PageBook,
        dirty: &'a PageSet,
        round: u32,
        time_left: Duration,
    ) -> Scene<'a> {
        Scene {
            round,
            book,
            dirty,
            interval: account.interval,
            sent_pages: account.totals.pages,
            duplicate_pages: account.duplicate_pages(),
            page_bytes_per_s: page_rate(rate(config, account), account.wire_ratio),
            budget: config.downtime,
            time_left,
        }
    }

    /// How long pre-copy may still take.
    fn time_left(&self, now: Time) -> Duration {
        self.timeout_at.map_or(Duration::MAX, |at| at.saturating_sub(now))
    }

    pub(super) fn owed_pages(&self) -> u64 {
        u64::from(self.book.owed().count())
    }

    /// What the next round sends; from here on it is not owed. Nothing where the policy holds back all that is owed.
    pub(super) fn plan(&mut self, now: Time) -> Option<Plan> {
        let (round, left) = (self.account.rounds_begun() + 1, self.time_left(now));
        let scene = Self::scene(&self.config, &self.account, &self.book, &self.dirty, round, left);
        let plan = self.policy.plan(&scene);
        let mut plan = self.order.arrange(plan, &scene);
        plan.pages.intersect(self.book.owed());
        if plan.pages.is_empty() {
            self.empty_plans += 1;
            return None;
        }
        self.empty_plans = 0;
        Some(self.planned(plan))
    }

    /// What the stop-and-copy sends: all that is owed.
    pub(super) fn last_plan(&mut self) -> Plan {
        let plan = Plan::all(self.book.owed().clone());
        self.planned(plan)
    }

    fn planned(&mut self, plan: Plan) -> Plan {
        self.book.sent(&plan.pages);
        self.planned.union(&plan.pages);
        self.account.distinct = u64::from(self.planned.count());
        plan
    }

    /// Whether the guest is only looked at because the policy held back all that was owed.
    pub(super) fn holds_back(&self) -> bool {
        self.empty_plans > 0
    }

    /// Whether another look can make held pages fit to go.
    pub(super) fn may_look_again(&self) -> bool {
        self.empty_plans <= self.policy.patience() && self.owed_pages() > 0
    }

    /// Whether another round is worth it.
    pub(super) fn decide(&mut self, now: Time) -> Verdict {
        if self.is_forced(now) {
            return Verdict::Final("the time given is over, and the final copy was to be forced".into());
        }
        if self.account.rounds_begun() >= MAX_ROUNDS {
            return self.out_of_rounds(now);
        }
        let standing = self.standing(now);
        let verdicts = self.stops.iter_mut().map(|rule| rule.decide(&standing));
        let mut verdict =
            verdicts.fold(Verdict::Again, |first, next| if first == Verdict::Again { next } else { first });
        if verdict == Verdict::Again {
            verdict = self.escalate(now, &standing);
        }
        if verdict == Verdict::Again {
            let throttle = self.slow.decide(&standing);
            self.hold_back(throttle);
        } else {
            self.will_stop(now);
        }
        verdict
    }

    /// There are as many rounds as there may be: as where the time is over, the downtime asked for is not exceeded unless the
    /// user said so.
    fn out_of_rounds(&mut self, now: Time) -> Verdict {
        let predicted = self.standing(now).predicted_downtime();
        let reason = format!("{MAX_ROUNDS} rounds are done");
        if self.config.on_timeout == OnTimeout::Force
            || predicted.is_some_and(|it| it <= self.config.downtime)
        {
            self.will_stop(now);
            return Verdict::Final(reason);
        }
        let predicted_ms = predicted.unwrap_or_default().as_secs_f64() * 1e3;
        Verdict::Cancel(format!("{reason}, and the downtime would be {predicted_ms:.1} ms"))
    }

    /// Pre-copy is over: what is predicted now is what the outcome will be held against.
    pub(super) fn will_stop(&mut self, now: Time) {
        self.account.predicted_downtime = self.standing(now).predicted_downtime();
    }

    /// Takes the next step of the user's ladder, where pre-copy makes no progress.
    fn escalate(&mut self, now: Time, standing: &Standing) -> Verdict {
        let Some((step, why)) = self.ladder.climb(standing) else { return Verdict::Again };
        let (what, verdict) = match step {
            Step::Budget(budget) => {
                self.config.downtime = budget;
                let what = format!("the downtime budget is raised to {:.1} ms", budget.as_secs_f64() * 1e3);
                let fits = standing.predicted_downtime().is_some_and(|predicted| predicted <= budget);
                let verdict =
                    if fits { Verdict::Final(format!("{what}, which is enough")) } else { Verdict::Again };
                (what, verdict)
            }
            Step::Throttle(by) => {
                if let Some(slow) = slowed_at_once(by) {
                    self.slow = slow;
                }
                (format!("the guest is slowed by {by}"), Verdict::Again)
            }
            Step::Cancel => ("the migration is given up".into(), Verdict::Cancel(why.clone())),
            Step::Force => ("stop and copy".into(), Verdict::Final(format!("forced, because {why}"))),
        };
        let at_s = now.saturating_sub(self.account.began).as_secs_f64();
        self.account.steps.push(StepTaken { at_s, round: self.account.rounds_begun(), what, why });
        verdict
    }

    /// Slows the guest from here on as `throttle` says.
    fn hold_back(&mut self, throttle: Throttle) {
        if throttle != self.throttle {
            self.throttle = throttle;
            self.act(Action::Throttle(throttle));
        }
    }

    fn standing(&self, now: Time) -> Standing {
        let account = &self.account;
        let costs = Costs::of(&self.config.shape.cpus);
        Standing {
            rounds: account.rounds_begun(),
            elapsed: account.set_up.map_or(Duration::ZERO, |began| now.saturating_sub(began)),
            interval: account.interval,
            guest_pages: u64::from(self.book.owed().pages()),
            sent_pages: account.totals.pages,
            duplicate_pages: account.duplicate_pages(),
            round_pages: account.rounds.last().map_or(0, |round| round.sent_pages),
            dirty_pages: account.last_dirty,
            dirty_pages_before: account.dirty_before,
            owed_pages: self.owed_pages(),
            bytes_per_s: rate(&self.config, account),
            wire_ratio: account.wire_ratio,
            owed_ratio: account.owed_ratio(self.owed_pages()),
            fixed_cost: (costs.pause + costs.save + costs.restore)
                .saturating_add(account.harvest)
                .saturating_add(self.round_trip.saturating_mul(HANDOVER_ROUND_TRIPS)),
            overlap: costs.save,
            exposed: account.harvest.saturating_add(costs.pause),
            budget: self.config.downtime,
            throttle: self.throttle,
        }
    }

    /// Downtime if pre-copy had stopped at the last harvest. What the round under way has sent or not does not matter:
    /// the guest writes meanwhile, and only the next harvest tells.
    fn predicted_at_harvest(&self, now: Time) -> Option<Duration> {
        let owed_pages = self.account.owed_when_known;
        Standing { owed_pages, ..self.standing(now) }.predicted_downtime()
    }

    pub(super) fn progress(&self, now: Time, phase: &str, sent_pages: u64) -> Progress {
        let page = PAGE_BYTES as u64;
        Progress {
            phase: phase.into(),
            elapsed_s: now.saturating_sub(self.account.began).as_secs_f64(),
            round: self.account.rounds_begun(),
            round_bytes: self.account.round_planned * page,
            round_sent_bytes: sent_pages * page,
            round_wire_bytes: self.account.rounds.last().map_or(0, |round| round.bytes),
            round_elapsed_s: self.account.rounds.last().map_or(0.0, |round| round.seconds),
            bandwidth_cap: self.config.bandwidth_cap,
            owed_bytes: self.account.owed_before_round * page,
            wire_bytes: self.account.totals.wire_bytes,
            bandwidth: self.account.bytes_per_s,
            predicted_downtime_s: self.predicted_at_harvest(now).map(|d| d.as_secs_f64()),
            budget_s: self.config.downtime.as_secs_f64(),
            rounds: self.account.rounds.clone(),
            steps: self.account.steps.clone(),
        }
    }
}

/// The rate to reckon with: what was measured, and never more than the cap that has been set since.
fn rate(config: &SourceConfig, account: &Account) -> f64 {
    config.bandwidth_cap.map_or(account.bytes_per_s, |cap| account.bytes_per_s.min(cap as f64))
}
