//! Where `unsafe` may stand: in modules named `sys` and their tests, in the places listed here with their reason, and in
//! no file of a crate that forbids it.

use std::path::Path;

use anyhow::Result;

use crate::sources;

/// Crates that forbid it altogether, by the file of their root module.
const FORBIDDING: &[&str] = &[
    "migration/state/src/lib.rs",
    "migration/core/src/lib.rs",
    "migration/sim/src/lib.rs",
    "ci/src/lib.rs",
    "ci/src/main.rs",
];
/// Places outside modules named `sys`, by the beginning of their path, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("guest-images/load/", "bare metal: it drives the processor itself"),
    ("vmm/src/kvm/plain.rs", "KVM's structures, of which every bit pattern is a value"),
    ("vmm/src/dirty/slots.rs", "gives mappings to KVM, which writes to them"),
    ("vmm/src/boot/registers_test.rs", "gives mappings to KVM, which writes to them"),
];

/// One sentence for each file that has it where it must not be.
///
/// # Errors
/// Where the project's files cannot be read.
pub fn check() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for file in sources::files()? {
        if file.extension().is_some_and(|extension| extension == "rs")
            && let Some(text) = sources::text(&file)?
        {
            found.extend(violation(&file, &text));
        }
    }
    Ok(found)
}

fn violation(file: &Path, text: &str) -> Option<String> {
    let code = sources::code_of(text);
    if FORBIDDING.iter().any(|root| file == Path::new(root)) && !code.contains("#![forbid(unsafe_code)]") {
        return Some(format!("'{}' must have #![forbid(unsafe_code)]", file.display()));
    }
    if in_sys(file) || EXCEPTIONS.iter().any(|(prefix, _)| file.starts_with(prefix)) {
        return None;
    }
    let line = code.lines().position(has_unsafe)? + 1;
    Some(format!(
        "'{}' has unsafe code in line {line}; it belongs into a module named sys, or into the list of exceptions in \
         ci/src/unsafety.rs with its reason",
        file.display()
    ))
}

fn in_sys(file: &Path) -> bool {
    file.with_extension("")
        .components()
        .any(|part| part.as_os_str() == "sys" || part.as_os_str() == "sys_test")
}

fn has_unsafe(line: &str) -> bool {
    line.split(|character: char| !character.is_alphanumeric() && character != '_')
        .any(|word| word == "unsafe")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, text: &str) -> bool {
        violation(Path::new(file), text).is_some()
    }

    #[test]
    fn unsafe_code_belongs_into_sys() {
        let code = "fn f() {\n    unsafe { g() }\n}\n";
        assert!(found("vmm/src/memory.rs", code));
        assert!(violation(Path::new("vmm/src/memory.rs"), code).unwrap().contains("line 2"));
        assert!(!found("vmm/src/memory/sys.rs", code));
        assert!(!found("vmm/src/sys/mmap.rs", code));
        assert!(!found("vmm/src/sys_test.rs", code));
        assert!(!found("guest-images/load/src/main.rs", code));
        assert!(found("vmm/src/system.rs", code));
    }

    #[test]
    fn words_about_it_are_no_unsafe_code() {
        assert!(!found(
            "vmm/src/a.rs",
            "// unsafe\nconst A: &str = \"unsafe\"; #![deny(unsafe_op_in_unsafe_fn)]"
        ));
    }

    #[test]
    fn some_crates_forbid_it() {
        assert!(found("migration/core/src/lib.rs", "//! #![forbid(unsafe_code)]\n"));
        assert!(!found("migration/core/src/lib.rs", "#![forbid(unsafe_code)]\n"));
    }
}
