//! The files of the project, and what of a Rust file is code.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Every file that belongs to the project, relative to its root: those that git knows or would take.
///
/// # Errors
/// Where git cannot say.
pub fn files() -> Result<Vec<PathBuf>> {
    let said = Command::new("git")
        // Whoever runs the checks has chosen to trust this folder, whoever owns it.
        .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(workspace::root())
        .output()
        .context("git does not start")?;
    if !said.status.success() {
        bail!("git cannot list the project's files: {}", String::from_utf8_lossy(&said.stderr).trim());
    }
    let names = said.stdout.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let files = names.map(|name| PathBuf::from(String::from_utf8_lossy(name).into_owned()));
    // A file that was deleted and not yet committed is still in git's index.
    Ok(files.filter(|file| workspace::root().join(file).is_file()).collect())
}

/// The text of `file`; none where it is not text.
///
/// # Errors
/// Where it cannot be read.
pub fn text(file: &PathBuf) -> Result<Option<String>> {
    let bytes = fs::read(workspace::root().join(file)).with_context(|| format!("'{}'", file.display()))?;
    Ok(String::from_utf8(bytes).ok())
}

/// `source` with its comments, strings and character literals made blank; lines stay where they are.
#[must_use]
pub fn code_of(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(next) = rest.chars().next() {
        let length = skipped(rest, code.chars().last());
        if length == 0 {
            code.push(next);
            rest = &rest[next.len_utf8()..];
        } else {
            code.extend(rest[..length].chars().map(|character| if character == '\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
        }
    }
    code
}

/// Bytes at the start of `rest` that are no code; `before` is the character before them.
fn skipped(rest: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(|character| character.is_alphanumeric() || character == '_');
    if rest.starts_with("//") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        block_comment(rest)
    } else if rest.starts_with('"') {
        quoted(rest, '"')
    } else if !in_word && (rest.starts_with("r\"") || rest.starts_with("r#")) {
        raw_string(rest)
    } else if rest.starts_with('\'') && is_character(rest) {
        quoted(rest, '\'')
    } else {
        0
    }
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        match rest.get(at..at + 2) {
            Some("/*") => (depth, at) = (depth + 1, at + 2),
            Some("*/") => (depth, at) = (depth - 1, at + 2),
            Some(_) => at += 1,
            // Inside a character of several bytes, or at the end.
            None if at >= rest.len() => return rest.len(),
            None => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = true; // The opening quote is not the closing one.
    for (at, character) in rest.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `r"…"` and `r#"…"#`; a raw identifier such as `r#type` is code.
fn raw_string(rest: &str) -> usize {
    let hashes = rest[1..].chars().take_while(|&character| character == '#').count();
    let open = 1 + hashes;
    if !rest[open..].starts_with('"') {
        return 0;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    rest[open + 1..].find(&close).map_or(rest.len(), |at| open + 1 + at + close.len())
}

/// Whether the quote begins a character and not a lifetime.
fn is_character(rest: &str) -> bool {
    let mut inner = rest.chars().skip(1);
    match inner.next() {
        Some('\\') => true,
        Some(_) => inner.next() == Some('\''),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_no_code() {
        for source in [
            "// unsafe\n",
            "/* a /* unsafe */ unsafe é */",
            "\"unsafe \\\" unsafe\"",
            "r#\"unsafe \" unsafe\"#",
            "'\\'' // unsafe",
            "'\"' /* unsafe */",
        ] {
            assert!(!code_of(source).contains("unsafe"), "{source}");
            assert_eq!(code_of(source).lines().count(), source.lines().count());
        }
    }

    #[test]
    fn code_stays_code() {
        for source in
            ["fn f<'a>(x: &'a str) { unsafe {} }", "let c = '\"'; unsafe {}", "r#unsafe", "for\"x\" unsafe"]
        {
            assert!(code_of(source).contains("unsafe"), "{source}");
        }
    }

    #[test]
    fn this_file_belongs_to_the_project() {
        assert!(files().unwrap().contains(&PathBuf::from("ci/src/sources.rs")));
    }
}
