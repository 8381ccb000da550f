//! The terminal's raw mode, and the certainty that it is undone: at the end, on a panic, and on a fatal signal.
//!
//! The settings to go back to live in one atomic pointer, because a signal handler may use neither locks nor
//! memory allocation. Neighbour: the command line enters raw mode around a run with its serial port on stdio.

use std::{
    io, mem, panic, ptr,
    sync::{
        Once,
        atomic::{AtomicPtr, Ordering},
    },
};

/// The settings from before raw mode; null outside of it. What it points to is never freed, since a signal handler
/// may be reading it; that is 60 bytes for each time raw mode was entered.
static BEFORE: AtomicPtr<libc::termios> = AtomicPtr::new(ptr::null_mut());
static HOOKS: Once = Once::new();

/// Signals that end a process and can be caught.
const FATAL_SIGNALS: [libc::c_int; 5] =
    [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGABRT, libc::SIGTERM];

/// Standard input's terminal is in raw mode while this lives.
///
/// Raw: keys come one by one, without echo, and Ctrl-C goes to the guest. Output keeps its processing, so that the
/// VMM's own lines still begin at the left edge.
#[derive(Debug)]
pub struct RawTerminal(());

impl RawTerminal {
    /// Enters raw mode; `None` when standard input is no terminal, or raw mode is on already. Panics and fatal
    /// signals (`SIGHUP`, `SIGINT`, `SIGQUIT`, `SIGABRT`, `SIGTERM`, as long as the process has not installed a
    /// handler of its own) then go through [`restore_terminal`] first.
    ///
    /// # Errors
    /// What tcgetattr(3) or tcsetattr(3) said.
    pub fn enter() -> io::Result<Option<Self>> {
        // SAFETY: termios is plain data, for which all zeroes is a value.
        let mut settings: libc::termios = unsafe { mem::zeroed() };
        // SAFETY: isatty takes any descriptor; tcgetattr writes one termios, which `settings` is.
        let found = unsafe { libc::isatty(libc::STDIN_FILENO) == 1 }
            .then(|| unsafe { libc::tcgetattr(libc::STDIN_FILENO, &raw mut settings) });
        match found {
            None => return Ok(None),
            Some(0) => {}
            Some(_) => return Err(io::Error::last_os_error()),
        }
        let before = Box::into_raw(Box::new(settings));
        if BEFORE.compare_exchange(ptr::null_mut(), before, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // SAFETY: `before` came from Box::into_raw just now and was not shared.
            drop(unsafe { Box::from_raw(before) });
            return Ok(None);
        }
        HOOKS.call_once(install_hooks);
        // SAFETY: cfmakeraw changes one termios, which `settings` is.
        unsafe { libc::cfmakeraw(&raw mut settings) };
        settings.c_oflag |= libc::OPOST;
        // SAFETY: tcsetattr reads one termios, which `settings` is.
        if unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw const settings) } != 0 {
            let error = io::Error::last_os_error();
            restore_terminal();
            return Err(error);
        }
        Ok(Some(Self(())))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        restore_terminal();
    }
}

/// Puts the terminal back to what it was before raw mode; does nothing outside of it. Async-signal-safe: one atomic
/// exchange and tcsetattr(3), which POSIX lists as such.
pub fn restore_terminal() {
    let before = BEFORE.swap(ptr::null_mut(), Ordering::AcqRel);
    if !before.is_null() {
        // SAFETY: a pointer in BEFORE came from Box::into_raw and is never freed afterwards. tcsetattr only reads
        // it. Its result is of no use: nobody is left to be told.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, before) };
    }
}

fn install_hooks() {
    let next = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        restore_terminal();
        next(info);
    }));
    for signal in FATAL_SIGNALS {
        hook_signal(signal);
    }
}

/// Catches `signal` unless the process has said already what to do with it.
fn hook_signal(signal: libc::c_int) {
    // SAFETY: sigaction is plain data, for which all zeroes is a value.
    let (mut now, mut hook): (libc::sigaction, libc::sigaction) = unsafe { (mem::zeroed(), mem::zeroed()) };
    // SAFETY: with a null new action, sigaction only writes the present one to `now`.
    let known = unsafe { libc::sigaction(signal, ptr::null(), &raw mut now) } == 0;
    if !known || now.sa_sigaction != libc::SIG_DFL {
        return;
    }
    hook.sa_sigaction = on_fatal_signal as *const () as usize;
    hook.sa_flags = libc::SA_RESETHAND;
    // SAFETY: `hook` names a handler of the right signature that is async-signal-safe, and an empty mask. With
    // these arguments the call cannot fail.
    unsafe { libc::sigaction(signal, &raw const hook, ptr::null_mut()) };
}

extern "C" fn on_fatal_signal(signal: libc::c_int) {
    restore_terminal();
    // SAFETY: raise is async-signal-safe. SA_RESETHAND has put the default action back, and the signal is blocked
    // until this returns: then the process ends as it would have without us.
    unsafe { libc::raise(signal) };
}
