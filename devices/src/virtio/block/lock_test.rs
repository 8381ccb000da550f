//! One writer or several readers; who is in the way is named.

use vmm_sys_util::tempfile::TempFile;

use super::{config::DiskConfig, image::Image};

fn images(readonly: [bool; 2]) -> (TempFile, [Image; 2]) {
    let file = TempFile::new().unwrap();
    file.as_file().set_len(4096).unwrap();
    let open = |readonly| Image::open(&DiskConfig { readonly, ..DiskConfig::new(file.as_path()) }).unwrap();
    let images = readonly.map(open);
    (file, images)
}

#[test]
fn a_writer_is_alone_and_is_named() {
    for readonly in [[false, false], [false, true], [true, false]] {
        let (file, [first, second]) = images(readonly);
        first.lock().unwrap();
        first.lock().unwrap();
        let words = second.lock().unwrap_err();
        let path = file.as_path().display();
        let expected = format!("its image '{path}' is locked by process {} (", std::process::id());
        assert!(words.starts_with(&expected), "{words}");
        first.unlock();
        second.lock().unwrap();
        assert!(first.lock().is_err());
        drop(second);
        first.lock().unwrap();
    }
}

#[test]
fn readers_share() {
    let (_file, [first, second]) = images([true, true]);
    first.lock().unwrap();
    second.lock().unwrap();
}

#[test]
fn letting_go_of_what_is_not_held_takes_it_from_nobody() {
    let (_file, [first, second]) = images([false, false]);
    first.lock().unwrap();
    second.unlock();
    assert!(second.lock().is_err());
}
