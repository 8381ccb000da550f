//! The load guest: a program on a bare machine that gives a live migration something to do and sees what it did.
//!
//! It fills memory with a chosen content, rewrites a part of it at a chosen rate, checks all of it without end, and
//! says ten times a second how far it is and for how long it stood still. `docs/load-guest.md` is its manual.
//! It is no kernel: all of it runs in ring 3, but for the few instructions of `sys::boot`.
//!
//! This file is the order of events: what the VMM said, the job, the vCPUs, the work.

#![no_std]
#![no_main]

mod clock;
mod content;
mod cpus;
mod exit;
mod layout;
mod ledger;
mod pace;
mod parameters;
mod report;
mod serial;
mod shared;
mod sys;
mod worker;

use core::fmt::Arguments;
use core::sync::atomic::Ordering::{Acquire, Release};

use clock::{Clock, Watch};
use content::PAGE_BYTES;
use cpus::Cpus;
use layout::Layout;
use parameters::{Exit, Parameters};
use report::{Reporter, Size};
use serial::Console;
use shared::{GENERATOR, JOB, Job, PROGRESS, START, job, stage};
use sys::boot_information::BootInformation;
use sys::resident::Slice;
use sys::{acpi, boot, boot_information, lapic, paging, time_stamp};
use worker::Worker;

/// Fills that take long enough for a user to wonder are announced.
const ANNOUNCED_FILL_BYTES: u64 = 32 << 20;

const STATUS_ERROR: u8 = 1;
const STATUS_FAULT: u8 = 3;
const STATUS_PANIC: u8 = 4;

/// Entry of the boot vCPU in ring 3, with what the VMM passed: PVH's start info or Linux' zero page.
#[unsafe(no_mangle)]
extern "C" fn load_main(start_info: u64, zero_page: u64) -> ! {
    // SAFETY: these are the VMM's values, and nothing was written yet.
    let information = unsafe { boot_information::copy(start_info, zero_page) };
    let mut console = Console::new();
    let cpus = prepare(&information, &mut console);
    let job = job();
    if let Err(index) = cpus.start(&job.clock, further_main) {
        fail(&mut console, format_args!("cpus={}: vCPU {index} does not start; use fewer", job.cpus));
    }
    work(console)
}

/// Entry of the other vCPUs in ring 3.
extern "C" fn further_main(_: u64, _: u64, index: u64) -> ! {
    let index = index as usize;
    PROGRESS[index].stage.store(stage::RUNS, Release);
    lapic::enable();
    // SAFETY: each index starts once.
    let slice = unsafe { Slice::take(&job().layout, index, job().cpus) };
    let mut worker = Worker::new(slice, index);
    worker.wait_for_start();
    loop {
        worker.step();
    }
}

/// Settles the job: what is asked, what there is, and whether the one fits the other.
fn prepare(information: &BootInformation, console: &mut Console) -> Cpus {
    let Some(command_line) = information.command_line() else {
        let most = boot_information::COMMAND_LINE_BYTES - 1;
        fail(console, format_args!("the command line must be UTF-8 of at most {most} bytes"));
    };
    let parameters = match Parameters::parse(command_line) {
        Ok(parameters) => parameters,
        Err(error) => fail(console, format_args!("{error}")),
    };
    let layout = lay_out(information, &parameters, console);
    // SAFETY: the layout set the directories' memory aside, and they are the first thing in it.
    unsafe { paging::map(layout.directories, information.ram.end()) };
    let Some(clock) = Clock::find() else {
        fail(
            console,
            format_args!("no clock: neither KVM's, nor CPUID's, nor a timer chip tells the frequency"),
        );
    };
    lapic::silence_legacy_controllers();
    lapic::enable();
    // SAFETY: `map` mapped as much.
    let listed = unsafe { acpi::processors(information.rsdp, paging::mapped_end(information.ram.end())) };
    let cpus = match Cpus::choose(&listed, parameters.cpus) {
        Ok(cpus) => cpus,
        Err(available) => fail(console, format_args!("cpus: there are {available}; use at most that many")),
    };
    if layout.pages.min(layout.working_set) < cpus.count() as u64 {
        fail(
            console,
            format_args!("memory and working_set must have a page (4K) for each of {} vCPUs", cpus.count()),
        );
    }
    GENERATOR
        .settle(|generator| generator.prepare(parameters.content, parameters.seed, parameters.write_bytes));
    JOB.settle(|job| *job = Some(Job { parameters, clock, layout, cpus: cpus.count() }));
    cpus
}

fn lay_out(information: &BootInformation, parameters: &Parameters, console: &mut Console) -> Layout {
    let page = PAGE_BYTES as u64;
    let pages = parameters.memory_bytes / page;
    let working_set = parameters.working_set_bytes.unwrap_or(parameters.memory_bytes) / page;
    if working_set > pages {
        fail(console, format_args!("working_set is larger than memory; use at most {}", Size(pages * page)));
    }
    let image_end = (&raw const boot::image_end).addr() as u64;
    let directories = paging::directories(information.ram.end());
    match Layout::new(&information.ram, image_end, directories, pages, working_set) {
        Ok(layout) => layout,
        Err(most) => fail(
            console,
            format_args!("memory={} does not fit; use at most {}", Size(pages * page), Size(most * page)),
        ),
    }
}

/// Fills and works, as the boot vCPU.
fn work(mut console: Console) -> ! {
    let job = job();
    let size = Size(job.layout.pages * PAGE_BYTES as u64);
    let content = job.parameters.content.name();
    if job.parameters.memory_bytes >= ANNOUNCED_FILL_BYTES {
        console.line(&mut Watch::new(), format_args!("filling {size} {content}"));
    }
    // SAFETY: the boot vCPU is number 0, and gets here once.
    let slice = unsafe { Slice::take(&job.layout, 0, job.cpus) };
    let mut worker = Worker::new(slice, 0);
    while PROGRESS[..job.cpus].iter().any(|cpu| cpu.stage.load(Acquire) < stage::FILLED) {
        core::hint::spin_loop();
    }
    let start = time_stamp();
    START.store(start, Release);
    console.line(&mut Watch::new(), format_args!("READY {size} {content} cpus={}", job.cpus));
    let mut reporter = Reporter::new(console, start);
    worker.begin();
    loop {
        worker.step();
        reporter.step(&mut worker);
    }
}

/// Ends the guest because of what it was given.
fn fail(console: &mut Console, text: Arguments<'_>) -> ! {
    console.line(&mut Watch::new(), format_args!("ERROR {text}"));
    exit::exit(Exit::Debug, STATUS_ERROR)
}

/// Where `sys::boot` continues after an exception that nobody expects.
#[unsafe(no_mangle)]
extern "C" fn fault_report(vector: u64, error: u64, rip: u64, cr2: u64, code_segment: u64) -> ! {
    let ring = code_segment & 3;
    let text = format_args!("FAULT vector={vector} error={error:#x} rip={rip:#x} cr2={cr2:#x} ring={ring}");
    Console::new().line(&mut Watch::new(), text);
    exit::exit(Exit::Debug, STATUS_FAULT)
}

#[panic_handler]
fn panic(information: &core::panic::PanicInfo<'_>) -> ! {
    let line = information.location().map_or(0, |location| location.line());
    let file = information.location().map_or("?", |location| location.file());
    Console::new().line(&mut Watch::new(), format_args!("PANIC {file}:{line} {}", information.message()));
    exit::exit(Exit::Debug, STATUS_PANIC)
}
