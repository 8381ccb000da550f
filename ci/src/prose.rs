//! What no file of the project may say: paths of somebody's machine, and links to files that are not there.

use std::path::Path;

use anyhow::Result;

use crate::{sources, workspace};

/// Beginnings of paths that mean something on one machine only; in two parts, so that this file does not have them.
const MACHINE_PATHS: &[(&str, &str)] = &[("/ho", "me/"), ("/ro", "ot/"), ("/Us", "ers/"), ("/work/", "main")];
/// Marks of work that was left undone.
const MARKS: &[(&str, &str)] = &[("TO", "DO"), ("FIX", "ME"), ("XX", "X:")];

/// One sentence for each file and finding.
///
/// # Errors
/// Where the project's files cannot be read.
pub fn check() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for file in sources::files()? {
        if let Some(text) = sources::text(&file)? {
            found.extend(findings(&file, &text));
        }
    }
    Ok(found)
}

fn findings(file: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let place = format!("{}:{number}", file.display());
        for (half, rest) in MACHINE_PATHS {
            let path = format!("{half}{rest}");
            if line.match_indices(&path).any(|(at, _)| begins_a_path(line, at)) {
                found.push(format!(
                    "{place} has a path of one machine ({path}…): write it relative, or with a variable"
                ));
            }
        }
        if let Some((half, rest)) = MARKS.iter().find(|(half, rest)| has_word(line, &format!("{half}{rest}")))
        {
            found.push(format!("{place} has a {half}{rest}: do it, or put it into the plan"));
        }
        if file.extension().is_some_and(|extension| extension == "md") {
            let missing = links(line).filter(|link| !exists(file, link));
            found.extend(missing.map(|link| format!("{place} links to '{link}', which is not there")));
        }
    }
    found
}

/// Whether an absolute path begins at `at`, and not the middle of one, or of a URL.
fn begins_a_path(line: &str, at: usize) -> bool {
    !line[..at].ends_with(|character: char| character.is_alphanumeric() || "._-/})".contains(character))
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let bounds = (line[..at].chars().last(), line[at + word.len()..].chars().next());
        ![bounds.0, bounds.1]
            .into_iter()
            .flatten()
            .any(|character| character.is_alphanumeric() || character == '_')
    })
}

/// Targets of Markdown links in `line` that are files.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#', ' ']).next())
        .filter(|link| !link.is_empty() && !link.contains("://") && !link.starts_with("mailto:"))
}

fn exists(file: &Path, link: &str) -> bool {
    workspace::root().join(file.parent().unwrap_or(Path::new(""))).join(link).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, line: &str) -> usize {
        findings(Path::new(file), line).len()
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        assert_eq!(found("a.rs", concat!("see /ho", "me/me/x")), 1);
        assert_eq!(found("a.md", concat!("`/ro", "ot/.cargo`")), 1);
        assert_eq!(found("a.rs", concat!("https://x.org/ho", "me/me and $ROOT/ro", "ot/")), 0);
    }

    #[test]
    fn marks_are_words() {
        assert_eq!(found("a.rs", concat!("// TO", "DO: more")), 1);
        assert_eq!(found("a.rs", concat!("MAS", "TO", "DON")), 0);
    }

    #[test]
    fn links_lead_somewhere() {
        assert_eq!(
            found("ci/README.md", "[a](Cargo.toml) [b](../Cargo.toml#x) [c](https://x.org) [d](#e)"),
            0
        );
        assert_eq!(found("ci/README.md", "[a](gone.md) and [b](Cargo.toml)"), 1);
        assert_eq!(found("ci/src/a.rs", "f[a](gone)"), 0);
    }
}
