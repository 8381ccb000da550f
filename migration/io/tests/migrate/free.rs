//! Pages that the guest has free do not travel, whether it says so before the first round or while it runs.

use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use godwit_migration::{
    host::{FreePages, HostError},
    page::PageSet,
    report::{Outcome, Report},
};
use godwit_transport::handle::Handle;

use super::{
    PACE, PAGES,
    common::{Guest, Place},
    migrate, options, target,
};

/// Free all the time; the writing guest keeps to the others.
const FREE: Range<u32> = 1024..3072;

/// A guest that answers when it is looked at or asked by a lane for the so-manieth time.
struct Answering {
    state: Mutex<State>,
    at_look: u32,
    at_peek: u32,
}

#[derive(Default)]
struct State {
    is_open: bool,
    looks: u32,
    peeks: u32,
    calls: Vec<&'static str>,
}

impl Answering {
    fn at(at_look: u32, at_peek: u32) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), at_look, at_peek })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn has_answered(&self, state: &State) -> bool {
        state.looks >= self.at_look || state.peeks >= self.at_peek
    }

    fn tell(&self, state: &State, pages: Range<u32>, free: &mut PageSet) {
        let told = FREE.start.max(pages.start)..FREE.end.min(pages.end);
        if state.is_open && self.has_answered(state) && !told.is_empty() {
            free.insert_range(told);
        }
    }
}

impl FreePages for Answering {
    fn begin(&self) -> Result<(), HostError> {
        let mut state = self.state();
        state.calls.push("begin");
        state.is_open = true;
        Ok(())
    }
    fn is_awaited(&self) -> bool {
        let mut state = self.state();
        state.looks += 1;
        state.is_open && !self.has_answered(&state)
    }
    fn peek(&self, pages: Range<u32>, free: &mut PageSet) -> Result<(), HostError> {
        let mut state = self.state();
        state.peeks += 1;
        self.tell(&state, pages, free);
        Ok(())
    }
    fn take(&self, free: &mut PageSet) -> Result<(), HostError> {
        let mut state = self.state();
        state.calls.push("take");
        self.tell(&state, 0..PAGES, free);
        state.is_open = false;
        Ok(())
    }
    fn end(&self) -> Result<(), HostError> {
        let mut state = self.state();
        state.calls.push("end");
        state.is_open = false;
        Ok(())
    }
}

/// A guest that has written all of its memory, and does nothing more.
fn full(free: &Arc<Answering>) -> Guest {
    let mut guest = Guest::new(PAGES, Duration::from_secs(3600));
    (0..PAGES).for_each(|page| guest.memory.write(page, u64::from(page) + 1));
    guest.free = Some(free.clone());
    guest
}

/// Moves `guest`, which arrives whole but for what is free.
fn moves(guest: &mut Guest, lanes: u8) -> Report {
    let (to, thread) = target(Place::default(), Handle::default());
    let report = migrate(&options(&to, "precopy", lanes), guest, &Handle::default());
    let (received, place) = thread.join().unwrap();
    assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.error);
    assert_eq!(received.unwrap().pages, report.pages.sent);
    let (here, there) = (guest.memory.content(), place.memory.unwrap().content());
    assert!((0..PAGES as usize).all(|page| FREE.contains(&(page as u32)) || here[page] == there[page]));
    report
}

#[test]
fn what_is_free_at_the_start_is_not_sent() {
    for lanes in [1, 3] {
        let free = Answering::at(5, u32::MAX);
        let report = moves(&mut full(&free), lanes);
        assert_eq!((report.pages.free, report.pages.sent), (2048, 2048));
        // A report is closed before each harvest, and a guest that stands still is not asked for another.
        assert_eq!(free.state().calls, ["begin", "take", "begin", "take"]);
    }
}

#[test]
fn what_is_told_while_a_round_runs_is_left_out_from_there_on() {
    // Once at the start, and then before each block of the lane: the first free block is the third.
    let free = Answering::at(u32::MAX, 1 + 4);
    let report = moves(&mut full(&free), 1);
    assert_eq!((report.pages.free, report.pages.sent), (3 * 512, 5 * 512));
    assert!(free.state().looks > 1, "it was waited for");
}

#[test]
fn a_guest_that_never_answers_moves_all_the_same() {
    let report = moves(&mut full(&Answering::at(u32::MAX, u32::MAX)), 2);
    assert_eq!((report.pages.free, report.pages.sent), (0, u64::from(PAGES)));
}

#[test]
fn a_guest_that_stays_gets_back_what_it_has_set_aside() {
    let free = Answering::at(1, 1);
    let mut guest = Guest::new(PAGES, PACE);
    guest.free = Some(free.clone());
    guest.start();
    let place = Place { run_error: Some("no".into()), ..Place::default() };
    let (to, thread) = target(place, Handle::default());
    let report = migrate(&options(&to, "precopy", 1), &mut guest, &Handle::default());
    assert!(thread.join().unwrap().0.is_err());
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(guest.is_running());
    assert_eq!(free.state().calls.last(), Some(&"end"));
}
