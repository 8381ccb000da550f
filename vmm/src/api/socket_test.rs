//! The socket file is taken, kept and given back as its owner would expect.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixListener},
};

use vmm_sys_util::tempdir::TempDir;

use super::{ApiSocket, SocketError};

#[test]
fn the_file_is_its_owners_alone_and_goes_away() {
    let folder = TempDir::new().unwrap();
    let path = folder.as_path().join("api");
    let (listener, file) = ApiSocket::bind(&path).unwrap().into_parts();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop((listener, file));
    assert!(!path.exists());
}

#[test]
fn a_live_socket_is_in_use_and_stays() {
    let folder = TempDir::new().unwrap();
    let path = folder.as_path().join("api");
    let first = ApiSocket::bind(&path).unwrap();
    let error = ApiSocket::bind(&path).unwrap_err();
    assert!(matches!(error, SocketError::InUse(_)), "{error}");
    assert!(path.exists());
    drop(first);
}

#[test]
fn the_file_of_a_dead_process_is_replaced() {
    let folder = TempDir::new().unwrap();
    let path = folder.as_path().join("api");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a dropped listener leaves its file");
    ApiSocket::bind(&path).unwrap();
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.as_path().join("api");
    fs::write(&path, "precious").unwrap();
    assert!(matches!(ApiSocket::bind(&path), Err(SocketError::NotASocket(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_path_that_cannot_be_is_named() {
    let folder = TempDir::new().unwrap();
    let missing = folder.as_path().join("no/such/folder/api");
    let error = ApiSocket::bind(&missing).unwrap_err();
    assert!(error.to_string().contains("no/such/folder/api"), "{error}");
    let long = folder.as_path().join("x".repeat(200));
    let error = ApiSocket::bind(&long).unwrap_err();
    assert!(matches!(error, SocketError::Unusable { .. }), "{error}");
}

#[test]
fn another_process_s_file_of_the_same_name_is_not_removed() {
    let folder = TempDir::new().unwrap();
    let path = folder.as_path().join("api");
    let ours = ApiSocket::bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let _theirs = UnixListener::bind(&path).unwrap();
    drop(ours);
    assert!(path.exists());
}
