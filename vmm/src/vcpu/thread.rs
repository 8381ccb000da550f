//! A vCPU's thread: paused or running, each a function that returns what comes next.
//!
//! Commands are looked for only after KVM_RUN was interrupted; a vCPU that is slowed sleeps there, too, by `brake`. By then KVM has completed the port or memory access
//! of the last exit (it does so on entry, before it looks at `immediate_exit`), so a paused vCPU owes nothing.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    time::Instant,
};

use super::{
    Command,
    brake::{Brake, Slept},
    run::{Runner, Step},
    sys,
};
use crate::{
    exit::{Exit, ExitSender},
    sandbox::{Role, enter_or_panic},
};

/// What the thread does next.
enum Next {
    Paused,
    Running,
    End,
}

/// Body of the thread.
pub(super) fn main(mut runner: Runner, commands: &Receiver<Command>, slept: &Slept) {
    let _report = ReportPanic { id: runner.id(), exits: runner.exits() };
    // An older kernel gives turns as long as everybody's.
    let _ = sys::take_short_turns();
    enter_or_panic(Role::Vcpu);
    let kickable = runner.kickable();
    let mut brake = Brake::default();
    let mut next = Next::Paused;
    loop {
        next = match next {
            Next::Paused => paused(&mut runner, &mut brake, commands),
            Next::Running => running(&mut runner, &mut brake, commands, slept),
            Next::End => break,
        };
    }
    drop((brake, kickable));
}

/// Waits for commands.
fn paused(runner: &mut Runner, brake: &mut Brake, commands: &Receiver<Command>) -> Next {
    // A closed channel means that the machine is gone.
    commands.recv().map_or(Next::End, |command| obey(runner, brake, command, Next::Paused))
}

/// Runs guest code until there is a command or the run is over.
fn running(runner: &mut Runner, brake: &mut Brake, commands: &Receiver<Command>, slept: &Slept) -> Next {
    loop {
        // Before the first entry too: the kick of a command may have come before this thread could be kicked.
        match commands.try_recv() {
            Ok(command) => match obey(runner, brake, command, Next::Running) {
                Next::Running => {}
                next => return next,
            },
            Err(TryRecvError::Disconnected) => return Next::End,
            Err(TryRecvError::Empty) => {}
        }
        if let Some(time) = brake.due(|| runner.done()) {
            // A command ends the sleep: a slowed vCPU pauses as fast as another.
            let began = Instant::now();
            let command = commands.recv_timeout(time);
            let took = began.elapsed();
            brake.slept(took);
            slept.add(took);
            match command {
                Ok(command) => match obey(runner, brake, command, Next::Running) {
                    Next::Running => continue,
                    next => return next,
                },
                Err(RecvTimeoutError::Disconnected) => return Next::End,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        if let Ended::Over = until_interrupted(runner) {
            runner.complete();
            return Next::Paused;
        }
    }
}

/// Why guest code no longer runs.
enum Ended {
    Kicked,
    Over,
}

fn until_interrupted(runner: &mut Runner) -> Ended {
    loop {
        match runner.step() {
            Step::Again => {}
            Step::Interrupted => return Ended::Kicked,
            Step::Over => return Ended::Over,
        }
    }
}

fn obey(runner: &mut Runner, brake: &mut Brake, command: Command, now: Next) -> Next {
    // Whoever asked may have gone; then the answer is of no interest.
    match command {
        Command::Resume => {
            runner.mention_pause();
            return Next::Running;
        }
        Command::Pause(answer) => {
            let _ = answer.send(());
            return Next::Paused;
        }
        Command::Throttle(throttle, answer) => drop(answer.send(brake.set(throttle, || runner.done()))),
        Command::Save(answer) => drop(answer.send(runner.save())),
        Command::Restore(state, context, answer) => drop(answer.send(runner.restore(*state, &context))),
    }
    now
}

/// Reports a panic of the thread that holds it: the guest would hang silently.
struct ReportPanic {
    id: u8,
    exits: ExitSender,
}

impl Drop for ReportPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.exits.send(Exit::VmmFailed(format!("the thread of vCPU {} panicked", self.id)));
        }
    }
}
