//! The guest that a tape stands in for. It knows nothing of a migration: it writes while it runs, and has a dirty log.
//!
//! What a record found dirty and only read, a migration meets once: the first look at a page after tracking has begun maps it
//! writable. When that is counts from there, not from where on the tape the guest is.

use std::{ops::Range, time::Duration};

use godwit_migration::{arming::Arming, page::PageSet, slow::Throttle};

use crate::trace::{Interval, Tape, tape::SLOTS};

/// The most of a guest's time that a throttle can take, so that it goes on at all.
const MOST_TAKEN: f64 = 0.99;

pub(super) struct Guest<'a> {
    tape: &'a Tape,
    /// Written since the last harvest, or, while nothing is tracked, ever.
    log: PageSet,
    /// Where pages are armed as they are sent, up to the first harvest: those that were not when tracking began, and those
    /// written since anybody asked.
    unarmed: Option<PageSet>,
    unseen: PageSet,
    tracked: bool,
    /// Pages that have been mapped writable since tracking began: who reads them now does not make them dirty.
    mapped: PageSet,
    /// The slot in which tracking began.
    tracked_from: u64,
    running: bool,
    throttle: Throttle,
    /// What the first write to a page after a harvest takes, in seconds.
    fault_s: f64,
    slot_s: f64,
    /// The guest's own time, in slots of the tape.
    slot: u64,
    began_at: u64,
    /// The moment up to which it has been played, and what of the time before was too little for a slot.
    played: Duration,
    rest_s: f64,
    /// How long it has run, by the lab's clock.
    ran_s: f64,
    scratch: Vec<u64>,
}

impl<'a> Guest<'a> {
    /// A guest that runs and has reached `start` of the tape.
    pub(super) fn new(tape: &'a Tape, start: Duration, fault: Duration) -> Self {
        let slot_s = tape.trace().interval().as_secs_f64() / f64::from(SLOTS);
        let slot = (start.as_secs_f64() / slot_s) as u64;
        Self {
            tape,
            log: tape.trace().resident().clone(),
            unarmed: None,
            unseen: PageSet::empty(tape.trace().pages()),
            tracked: false,
            mapped: PageSet::empty(tape.trace().pages()),
            tracked_from: 0,
            running: true,
            throttle: Throttle::None,
            fault_s: fault.as_secs_f64(),
            slot_s,
            slot,
            began_at: slot,
            played: Duration::ZERO,
            rest_s: 0.0,
            ran_s: 0.0,
            scratch: vec![],
        }
    }

    /// Lets it write what it writes until `now`.
    pub(super) fn play(&mut self, now: Duration) {
        let Some(time) = now.checked_sub(self.played) else { return };
        self.played = now;
        if !self.running {
            return;
        }
        self.ran_s += time.as_secs_f64();
        let mut left_s = self.rest_s + time.as_secs_f64();
        while left_s >= self.slot_s {
            let interval = self.slot / u64::from(SLOTS);
            let first = (self.slot % u64::from(SLOTS)) as u32;
            let Some(Interval { written: span, .. }) = self.tape.interval(interval) else { break };
            let slot_s = self.slot_s / self.share(span.count());
            let fits = ((left_s / slot_s) as u64).min(u64::from(SLOTS - first)) as u32;
            if fits == 0 {
                break;
            }
            let mut end = first + fits;
            self.tape.slots(span, interval, first, end, &mut self.scratch);
            let mut cost_s = f64::from(fits) * slot_s;
            if self.tracked && self.fault_s > 0.0 {
                // Faults take their time off the slots that fit. Each slot is taken to have its part of them.
                let new_s = self.new_pages(span.first as usize) as f64 * self.fault_s;
                let fit = (f64::from(fits) * left_s / (cost_s + new_s)) as u32;
                if fit < fits {
                    end = first + fit.max(1);
                    self.tape.slots(span, interval, first, end, &mut self.scratch);
                }
                cost_s = f64::from(end - first) * slot_s
                    + self.new_pages(span.first as usize) as f64 * self.fault_s;
            }
            self.log.union_words(span.first_page(), &self.scratch);
            if self.unarmed.is_some() {
                self.unseen.union_words(span.first_page(), &self.scratch);
            }
            if self.tracked {
                self.mapped.union_words(span.first_page(), &self.scratch);
                self.read(end - first);
            }
            self.slot += u64::from(end - first);
            left_s -= cost_s;
        }
        // What was taken too much of a slot with many faults is owed by the next.
        self.rest_s = left_s;
    }

    /// Lets it read what it reads in the next so many slots, of which it has not reached the end.
    fn read(&mut self, slots: u32) {
        let since = self.slot - self.tracked_from;
        let all = u64::from(SLOTS);
        for interval in since / all..=(since + u64::from(slots) - 1) / all {
            let part = |slot: u64| slot.saturating_sub(interval * all).min(all) as u32;
            let (from, to) = (part(since), part(since + u64::from(slots)));
            let Some(Interval { read, .. }) = self.tape.interval(interval) else { return };
            if read.words.is_empty() {
                continue;
            }
            self.tape.slots(read, interval, from, to, &mut self.scratch);
            let first = read.first as usize;
            let known = self.mapped.words()[first..].iter().zip(&self.log.words()[first..]);
            self.scratch.iter_mut().zip(known).for_each(|(new, (mapped, log))| *new &= !(mapped | log));
            for set in [&mut self.log, &mut self.mapped] {
                set.union_words(read.first_page(), &self.scratch);
            }
            if self.unarmed.is_some() {
                self.unseen.union_words(read.first_page(), &self.scratch);
            }
        }
    }

    /// Pages in `scratch`, which begins at that word, that are not in the log yet.
    fn new_pages(&self, first: usize) -> u64 {
        let log = &self.log.words()[first..];
        self.scratch.iter().zip(log).map(|(new, old)| u64::from((new & !old).count_ones())).sum()
    }

    /// Share of its time that a guest keeps which writes so many pages in an interval.
    fn share(&self, written: u64) -> f64 {
        match self.throttle {
            Throttle::None => 1.0,
            Throttle::Share(taken) => 1.0 - taken.clamp(0.0, MOST_TAKEN),
            Throttle::DirtyLimit(pages_per_s) => {
                let writers = f64::from(self.tape.trace().about.writers.max(1));
                let rate = written as f64 / self.tape.trace().interval().as_secs_f64();
                if rate > 0.0 { (pages_per_s * writers / rate).clamp(1.0 - MOST_TAKEN, 1.0) } else { 1.0 }
            }
        }
    }

    pub(super) fn throttle(&mut self, now: Duration, throttle: Throttle) {
        self.play(now);
        self.throttle = throttle;
    }

    pub(super) fn pause(&mut self, now: Duration) {
        self.play(now);
        self.running = false;
    }

    pub(super) fn resume(&mut self, now: Duration) {
        self.play(now);
        self.running = true;
        self.throttle = Throttle::None;
    }

    /// Starts tracking; the pages that were ever written.
    pub(super) fn begin_tracking(&mut self, now: Duration, arming: Arming) -> PageSet {
        self.play(now);
        self.tracked = true;
        (self.mapped, self.tracked_from) = (PageSet::empty(self.tape.trace().pages()), self.slot);
        let touched = std::mem::replace(&mut self.log, PageSet::empty(self.tape.trace().pages()));
        if arming == Arming::AsSent {
            self.log = touched.clone();
            self.unarmed = Some(touched.clone());
        }
        touched
    }

    /// Arms what is not armed and not in `round`. False where all is armed.
    pub(super) fn arm_others(&mut self, round: &PageSet) -> bool {
        let Some(mut others) = self.unarmed.clone() else { return false };
        others.subtract(round);
        self.log.subtract(&others);
        true
    }

    /// Arms those of `pages`, none of which is armed, that are in `range`.
    pub(super) fn arm(&mut self, pages: &PageSet, range: Range<u32>) {
        pages.runs_in(range).for_each(|run| self.log.remove_range(run));
    }

    /// Pages written while some were not armed, since the last time.
    pub(super) fn take_unseen(&mut self) -> PageSet {
        std::mem::replace(&mut self.unseen, PageSet::empty(self.tape.trace().pages()))
    }

    pub(super) fn end_tracking(&mut self) {
        self.tracked = false;
    }

    /// What was written since the last harvest; forgets it.
    pub(super) fn harvest(&mut self, now: Duration) -> PageSet {
        self.play(now);
        self.unarmed = None;
        std::mem::replace(&mut self.log, PageSet::empty(self.tape.trace().pages()))
    }

    /// What a harvest would find.
    pub(super) fn log(&self) -> &PageSet {
        &self.log
    }

    /// Share of its own time that it kept while it ran.
    pub(super) fn kept(&self) -> f64 {
        let own_s = (self.slot - self.began_at) as f64 * self.slot_s;
        if self.ran_s > self.slot_s { (own_s / self.ran_s).min(1.0) } else { 1.0 }
    }
}
