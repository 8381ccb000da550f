//! What a request may name is what was allowed, however it is spelt.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use super::{Allowed, Paths};

#[test]
fn folders_cover_what_is_in_them_and_links_are_followed() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    fs::create_dir_all(path("vm/disks")).unwrap();
    fs::create_dir(path("other")).unwrap();
    fs::write(path("kernel"), "").unwrap();
    fs::write(path("other/secret"), "").unwrap();
    symlink(path("other/secret"), path("vm/link")).unwrap();
    let allowed = Allowed { write: vec![path("vm")], read: vec![path("kernel")] };
    let read = |path: PathBuf| allowed.refusal(&Paths { read: vec![path], ..Paths::default() });
    let write = |path: PathBuf| allowed.refusal(&Paths { write: vec![path], ..Paths::default() });
    assert_eq!(read(path("kernel")), None);
    assert_eq!(read(path("vm/disks")), None);
    assert_eq!(write(path("vm/disks/new.img")), None);
    assert_eq!(allowed.refusal(&Paths { sockets: vec![path("vm/console")], ..Paths::default() }), None);
    for refused in [read(path("other/secret")), read(path("vm/../other/secret")), read(path("vm/link"))] {
        let words = refused.expect("it was not allowed");
        assert!(words.contains("with --allow-read "), "{words}");
    }
    for refused in [write(path("kernel")), write(path("vm/link")), write(path("nowhere/file"))] {
        let words = refused.expect("it was not allowed");
        assert!(words.contains("with --allow "), "{words}");
    }
    // A name that begins like an allowed one is another.
    fs::write(path("kernel2"), "").unwrap();
    assert!(read(path("kernel2")).is_some());
}
