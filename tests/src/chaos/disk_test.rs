//! A disk that is full takes no byte; where this user may not mount one, there is nothing to be said.

use std::{fs, io::ErrorKind};

use super::disk::{Disk, empty, fill};

#[test]
fn a_full_disk_takes_no_byte_until_it_is_emptied() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("disk");
    let Some(disk) = Disk::mount(place.clone()) else { return };
    let file = disk.path().join("record");
    fs::write(&file, [1; 100]).unwrap();
    fill(disk.path());
    assert_eq!(fs::write(disk.path().join("another"), [1]).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(fs::read(&file).unwrap(), [1; 100]);
    empty(disk.path());
    fs::write(&file, [2; 100]).unwrap();
    drop(disk);
    assert_eq!(fs::read_dir(place).unwrap().count(), 0, "it is still mounted");
}
