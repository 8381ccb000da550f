//! A build: sources are compiled by a pipe of processes each, and linked; what comes of it must be the same in every round. Short
//! processes, their page tables and pipes, and files of this memory.

use std::{fs, process::Command};

use crate::{Done, Job, random::Random};

const FOLDER: &str = "/tmp/build";
/// Sources, and lines of each.
const SOURCES: u64 = 8;
const LINES: u64 = 400;
/// What makes an object of a source.
const COMPILE: &str = "tr a-z A-Z <$0.c | sort | gzip -c >$0.o";
/// What makes the whole of the objects, and its sum.
const LINK: &str = "cat *.o >all && for o in *.o; do gunzip -c <$o; done | md5sum";

pub struct Build {
    /// The sum of the first round.
    sum: Option<String>,
}

impl Build {
    pub fn new() -> Self {
        Self { sum: None }
    }
}

fn source(number: u64) -> String {
    let mut random = Random(number);
    (0..LINES).map(|line| format!("int f{line}(int x) {{ return x * {}; }}\n", random.next())).collect()
}

/// Runs `script` in the folder with this first argument; its output.
fn shell(script: &str, argument: &str) -> Result<String, String> {
    let mut command = Command::new("sh");
    let output = command.args(["-c", script, argument]).current_dir(FOLDER).output();
    let output = output.map_err(|error| format!("sh: {error}"))?;
    if output.status.success() && output.stderr.is_empty() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{script}: {} {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
    }
}

impl Build {
    fn build(&mut self) -> Result<(), String> {
        // What the last round left is in the way of nobody, and of the first round there is nothing.
        let _ = fs::remove_dir_all(FOLDER);
        fs::create_dir_all(FOLDER).map_err(|error| format!("{FOLDER}: {error}"))?;
        for number in 0..SOURCES {
            fs::write(format!("{FOLDER}/{number}.c"), source(number)).map_err(|error| error.to_string())?;
            shell(COMPILE, &number.to_string())?;
        }
        let sum = shell(LINK, "link")?;
        let first = self.sum.get_or_insert_with(|| sum.clone());
        if *first == sum { Ok(()) } else { Err(format!("the sum is {sum}, and was {first}")) }
    }
}

impl Job for Build {
    fn round(&mut self) -> Done {
        Done { work: SOURCES, wrong: self.build().err().into_iter().collect() }
    }
}
