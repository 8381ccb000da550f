//! Steps of a run: each is timed, keeps its output in a log of its own, and prints one line; only a step that fails
//! shows its output. A step that fails does not hide the others. What a step does is none of this module's business.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File},
    io::{Write, stdout},
    ops::Range,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::{
    counts::{Counts, count},
    workspace,
};

/// No command of a step takes longer than this, or it hangs.
const COMMAND_LIMIT: Duration = Duration::from_secs(30 * 60);
const POLL: Duration = Duration::from_millis(20);
/// Lines of a failed step's log that are shown.
const SHOWN_LINES: usize = 100;
/// Characters of each that are shown.
const SHOWN_COLUMNS: usize = 300;
/// Lines shown of a test that passed when it was run again.
const SHOWN_LINES_REPEATED: usize = 30;

/// A cargo command at the root of the workspace, whose output is made for a file.
pub fn cargo<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(workspace::root()).env("CARGO_TERM_COLOR", "never");
    command
}

/// The command as a person would type it, without its environment.
fn words_of(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words: Vec<_> =
        std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

/// One step: its name, and what it does. It may return a note for its line.
pub struct Step {
    name: String,
    work: Work,
}

type Work = Box<dyn FnOnce(&Log) -> Result<Option<String>>>;

impl Step {
    /// A step that does `work`, with a note to add to its line.
    pub fn new(name: impl Into<String>, work: impl FnOnce(&Log) -> Result<Option<String>> + 'static) -> Self {
        Self { name: name.into(), work: Box::new(work) }
    }

    /// A step that runs commands, all of them, and passes where each succeeds.
    pub fn commands(name: impl Into<String>, commands: Vec<Command>) -> Self {
        Self::new(name, |log| {
            let results: Vec<Result<()>> = commands.into_iter().map(|command| log.run(command)).collect();
            results.into_iter().collect::<Result<()>>().map(|()| None)
        })
    }

    /// A step that looks for what must not be, and passes where it finds nothing.
    pub fn inspection(name: impl Into<String>, look: fn() -> Result<Vec<String>>) -> Self {
        Self::new(name, move |log| {
            let found = look()?;
            found.iter().try_for_each(|what| log.write(what))?;
            match found.len() {
                0 => Ok(None),
                count => bail!("{count} found"),
            }
        })
    }

    /// The step's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Where a step writes what it does.
pub struct Log {
    path: PathBuf,
    file: File,
    stop: Arc<AtomicBool>,
    /// What the first command that failed has written.
    failure: Cell<Option<Range<u64>>>,
    /// Tests that failed, and passed when they were run again.
    repeated: RefCell<Vec<String>>,
    /// Failures that do not count, because their tests were run again.
    set_aside: Cell<u64>,
}

impl Log {
    fn create(folder: &Path, name: &str, stop: Arc<AtomicBool>) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("'{}' cannot be made", folder.display()))?;
        let path = folder.join(format!("{}.log", name.replace(": ", "-").replace([' ', '/'], "-")));
        let file = File::create(&path).with_context(|| format!("'{}' cannot be written", path.display()))?;
        Ok(Self {
            path,
            file,
            stop,
            failure: Cell::new(None),
            repeated: RefCell::default(),
            set_aside: Cell::new(0),
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line.
    ///
    /// # Errors
    /// Where the log cannot be written.
    pub fn write(&self, line: &str) -> Result<()> {
        writeln!(&self.file, "{line}").context("the log cannot be written")
    }

    /// Runs `command` with its output in the log.
    ///
    /// # Errors
    /// Where it does not start, fails, takes too long or is stopped.
    pub fn run(&self, command: Command) -> Result<()> {
        let start = self.length();
        let result = self.run_to_end(command);
        if result.is_err() {
            let first = self.failure.take();
            self.failure.set(first.or(Some(start..self.length())));
        }
        result
    }

    /// Runs `command`, a test runner; where tests fail, runs these `again`, at most so many `times`.
    ///
    /// # Errors
    /// As [`Self::run`]; of the last run where there are several.
    pub fn run_or_repeat(
        &self,
        command: Command,
        times: u32,
        again: impl Fn(&[String]) -> Command,
    ) -> Result<()> {
        let mut start = self.length();
        let mut result = self.run_to_end(command);
        if result.is_ok() {
            return result;
        }
        let first = self.failure.take();
        self.failure.set(first.or(Some(start..self.length())));
        let mut repeated = BTreeSet::new();
        for _ in 0..times {
            let text = fs::read_to_string(&self.path)?;
            let failed = failed_tests(text.get(start as usize..).unwrap_or_default());
            if result.is_ok() || failed.is_empty() {
                break;
            }
            self.set_aside.set(self.set_aside.get() + failed.len() as u64);
            start = self.length();
            result = self.run_to_end(again(&failed));
            repeated.extend(failed);
        }
        if result.is_ok() {
            self.repeated.borrow_mut().extend(repeated);
        }
        result
    }

    fn run_to_end(&self, mut command: Command) -> Result<()> {
        let shown = words_of(&command);
        self.write(&format!("$ {shown}"))?;
        command.stdin(Stdio::null()).stdout(self.file.try_clone()?).stderr(self.file.try_clone()?);
        // A group of its own, so that what it started ends with it.
        let mut child =
            command.process_group(0).spawn().with_context(|| format!("{shown} does not start"))?;
        let status = self.wait(&mut child).with_context(|| shown.clone())?;
        if !status.success() {
            bail!("{shown}: {status}");
        }
        Ok(())
    }

    fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }

    /// The end of what the first failed command has written, or of the whole log; before it the names of all tests
    /// that failed, which may have scrolled away.
    pub(crate) fn failure_text(&self, text: &str, most: usize) -> Vec<String> {
        let range = self.failure.take().unwrap_or(0..u64::MAX);
        let (start, end) = (range.start as usize, (range.end.min(text.len() as u64)) as usize);
        let lines: Vec<&str> = text.get(start..end).unwrap_or(text).lines().collect();
        let tail = &lines[lines.len().saturating_sub(most)..];
        let failed = lines.iter().filter(|line| failed_test(line).is_some());
        failed.take(most).chain(tail).map(|line| line.chars().take(SHOWN_COLUMNS).collect()).collect()
    }

    fn show_failure(&self, text: &str, most: usize) {
        self.failure_text(text, most).iter().for_each(|line| println!("    {line}"));
        println!("    (all of it: {})", self.path.display());
    }

    fn wait(&self, child: &mut Child) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            let stopped = self.stop.load(Ordering::Acquire);
            if stopped || start.elapsed() > COMMAND_LIMIT {
                let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process")?;
                kill_process_group(group, Signal::KILL)?;
                child.wait()?;
                bail!("{}", if stopped { "stopped" } else { "it took longer than 30 minutes" });
            }
            thread::sleep(POLL);
        }
    }
}

/// The test that the line of a test runner says has failed.
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

/// All tests that a test runner says have failed, each once.
fn failed_tests(text: &str) -> Vec<String> {
    let names: BTreeSet<&str> = text.lines().filter_map(failed_test).collect();
    names.into_iter().map(String::from).collect()
}

/// What the steps came to.
#[derive(Debug, Default)]
pub struct Results {
    /// Tests, as the test runners counted them; a failed step without a failed test counts as one.
    pub counts: Counts,
    /// Names of the steps that failed.
    pub failed: Vec<String>,
    /// Tests that failed once and passed when they were run again.
    pub repeated: Vec<String>,
}

/// Runs all `steps` in order, whatever they come to, until `stop` is set; their logs go to `folder`.
pub fn run_all(steps: Vec<Step>, folder: &Path, stop: &Arc<AtomicBool>) -> Results {
    let mut results = Results::default();
    for step in steps {
        if stop.load(Ordering::Acquire) {
            results.failed.push(format!("{} (not run)", step.name));
            continue;
        }
        run_one(step, folder, stop, &mut results);
    }
    results
}

fn run_one(step: Step, folder: &Path, stop: &Arc<AtomicBool>, results: &mut Results) {
    let Step { name, work } = step;
    print!("{name:<32}");
    // The line ends when the step does; a terminal shows already which one it is.
    let _ = stdout().flush();
    let start = Instant::now();
    let log = Log::create(folder, &name, stop.clone());
    let outcome = match &log {
        Ok(log) => work(log),
        Err(error) => Err(anyhow::anyhow!("{error:#}")),
    };
    let text = log.as_ref().map(|log| fs::read_to_string(&log.path).unwrap_or_default()).unwrap_or_default();
    let mut counts = count(&text);
    let (repeated, set_aside) =
        log.as_ref().map(|log| (log.repeated.take(), log.set_aside.take())).unwrap_or_default();
    counts.failed = counts.failed.saturating_sub(set_aside);
    let seconds = start.elapsed().as_secs_f64();
    match outcome {
        Ok(note) => {
            let again = (!repeated.is_empty())
                .then(|| format!("{} of them only when REPEATED: {}", repeated.len(), repeated.join(", ")));
            let notes: Vec<String> = [counts.words(), note, again].into_iter().flatten().collect();
            println!("ok     {seconds:6.1} s  {}", notes.join("; "));
            if let (Ok(log), false) = (&log, repeated.is_empty()) {
                log.show_failure(&text, SHOWN_LINES_REPEATED);
            }
        }
        Err(error) => {
            println!("FAILED {seconds:6.1} s  {error:#}");
            if let Ok(log) = &log {
                log.show_failure(&text, SHOWN_LINES);
            }
            counts.failed = counts.failed.max(1);
            results.failed.push(name);
        }
    }
    results.repeated.extend(repeated);
    results.counts += counts;
}
