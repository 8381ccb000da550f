//! What is made can be used, is kept from others, and is not mixed with what somebody else made.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, SystemTime},
};

use super::{
    SourceTls, TargetTls,
    authority::{CA_KEY_FILE, Request, make},
};

fn request(name: &str) -> Request {
    Request { names: vec![name.into()], uris: vec![], from: SystemTime::now(), days: 1 }
}

fn defect<T>(result: Result<T, impl std::fmt::Display>) -> String {
    result.map(|_| ()).map_err(|error| error.to_string()).unwrap_err()
}

fn copy(from: &Path, to: &Path, names: &[&str]) {
    for name in names {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[test]
fn a_set_is_whole_and_its_keys_are_the_owner_s_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("new");
    let written = make(&dir, &request("host.example")).unwrap();
    assert_eq!(written.len(), 6);
    for path in written {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let is_key = path.to_str().unwrap().ends_with("-key.pem");
        assert_eq!(mode, if is_key { 0o600 } else { 0o644 }, "{}", path.display());
    }
    SourceTls::load(&dir, &[]).unwrap();
    TargetTls::load(&dir, &[]).unwrap();
}

#[test]
fn the_authority_stays_and_signs_for_more_hosts() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), &request("a.example")).unwrap();
    let authority = fs::read(folder.path().join("ca-cert.pem")).unwrap();
    let later = Request { from: SystemTime::now() + Duration::from_secs(1), ..request("b.example") };
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(make(folder.path(), &later).unwrap().len(), 4, "all but the authority");
    assert_eq!(fs::read(folder.path().join("ca-cert.pem")).unwrap(), authority);
    TargetTls::load(folder.path(), &[]).unwrap();
}

#[test]
fn an_authority_of_another_make_is_left_alone() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make(ours.path(), &request("a.example")).unwrap();
    make(theirs.path(), &request("a.example")).unwrap();
    copy(theirs.path(), ours.path(), &["ca-cert.pem"]);
    let said = defect(make(ours.path(), &request("b.example")));
    assert!(said.contains("ca-cert.pem was not made by godwit certs"), "{said}");
    fs::remove_file(ours.path().join(CA_KEY_FILE)).unwrap();
    let said = defect(make(ours.path(), &request("b.example")));
    assert!(said.contains("ca-key.pem: is not there, but ca-cert.pem is"), "{said}");
}

#[test]
fn what_cannot_be_in_a_certificate_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (request, words) in [
        (request("no name"), "'no name' cannot be in a certificate: it is no DNS name"),
        (
            Request { uris: vec!["spiffe".into()], ..request("a") },
            "'spiffe' cannot be in a certificate: it is no URI",
        ),
        (Request { uris: vec!["spiffe://p/*".into()], ..request("a") }, "it is no URI"),
        (Request { days: 0, ..request("a") }, "'0 days' cannot be in a certificate: there are 1 to 36500"),
        (Request { days: 36_501, ..request("a") }, "there are 1 to 36500"),
    ] {
        let said = defect(make(folder.path(), &request));
        assert!(said.contains(words), "{said}");
    }
}
