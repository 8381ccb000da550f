//! Options are taken key by key, and what is wrong is named.

use crate::options::{OptionError, Options};

const KNOWN: &[&str] = &["path", "readonly", "size"];

fn options(text: &str) -> Result<Options<'_>, OptionError> {
    Options::parse("a thing", KNOWN, text)
}

#[test]
fn keys_are_taken_in_any_order() {
    let mut options = options("size=2M,path=/a=b,readonly=on").unwrap();
    assert_eq!(options.path("path").unwrap().unwrap().to_str(), Some("/a=b"));
    assert_eq!(options.size("size").unwrap(), Some(2 << 20));
    assert!(options.switch("readonly").unwrap());
    assert_eq!((options.text("path"), options.size("size").unwrap()), (None, None));
    assert!(!options.switch("readonly").unwrap(), "taken already, so it is not there");
}

#[test]
fn what_is_wrong_is_named_with_what_may_be() {
    for (text, words) in [
        (
            "readonly",
            "'readonly' has no value; a thing takes KEY=VALUE,KEY=VALUE with the keys path, readonly, size",
        ),
        ("pth=a", "a thing has no 'pth'; its keys are path, readonly, size"),
        ("path=a,path=b", "'path' is there twice"),
    ] {
        assert_eq!(options(text).unwrap_err().to_string(), words);
    }
    let mut wrong = options("readonly=maybe,size=-1,path=").unwrap();
    assert_eq!(
        wrong.switch("readonly").unwrap_err().to_string(),
        "'readonly' of a thing is 'maybe'; it must be on or off"
    );
    assert_eq!(
        wrong.size("size").unwrap_err().to_string(),
        "'size' of a thing is '-1'; it must be a whole number, with K, M, G or T or without"
    );
    assert_eq!(wrong.path("path").unwrap_err().to_string(), "'path' of a thing is ''; it must be a path");
    assert_eq!(wrong.missing("path", "/tmp/a").to_string(), "a thing needs 'path', such as path=/tmp/a");
}

#[test]
fn sizes_have_units_and_an_end() {
    for (text, size) in [("0", 0), ("7", 7), ("1k", 1 << 10), ("3GiB", 3 << 30), ("2T", 2 << 40)] {
        assert_eq!(options(&format!("size={text}")).unwrap().size("size").unwrap(), Some(size));
    }
    for text in ["", "K", "1.5M", "1X", "99999999999T", "1 M"] {
        assert!(options(&format!("size={text}")).unwrap().size("size").is_err(), "{text}");
    }
}
