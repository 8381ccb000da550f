//! Each file that cannot be used is named, with what is wrong with it.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use super::{
    SourceTls, TargetTls,
    authority::{Request, make},
};

const DAY: Duration = Duration::from_secs(86400);

fn set(from: SystemTime, days: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), &Request { names: vec!["localhost".into()], uris: vec![], from, days }).unwrap();
    folder
}

fn good() -> tempfile::TempDir {
    set(SystemTime::now(), 1)
}

fn target(folder: &tempfile::TempDir) -> String {
    TargetTls::load(folder.path(), &[]).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn missing_and_unreadable() {
    for name in ["ca-cert.pem", "server-cert.pem", "server-key.pem"] {
        let folder = good();
        fs::remove_file(folder.path().join(name)).unwrap();
        let said = target(&folder);
        assert!(said.contains(&format!("/{name}: is not there; `godwit certs`")), "{said}");
        fs::create_dir(folder.path().join(name)).unwrap();
        let said = target(&folder);
        assert!(said.contains(&format!("/{name}: cannot be read")), "{said}");
    }
    let folder = good();
    fs::remove_file(folder.path().join("client-key.pem")).unwrap();
    let said = SourceTls::load(folder.path(), &[]).map(|_| ()).unwrap_err().to_string();
    assert!(said.contains("/client-key.pem: is not there"), "{said}");
    TargetTls::load(folder.path(), &[]).unwrap();
}

#[test]
fn not_pem() {
    for (name, text, words) in [
        ("ca-cert.pem", "nonsense", "/ca-cert.pem: holds no certificate in PEM"),
        ("server-cert.pem", "", "/server-cert.pem: holds no certificate in PEM"),
        ("server-key.pem", "nonsense", "/server-key.pem: holds no private key in PEM"),
        ("server-cert.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", "is not PEM"),
        (
            "server-cert.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "/server-cert.pem: cannot be read",
        ),
        (
            "server-key.pem",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "is no key that can",
        ),
    ] {
        let folder = good();
        fs::write(folder.path().join(name), text).unwrap();
        let said = target(&folder);
        assert!(said.contains(words), "{said}");
    }
    let folder = good();
    fs::write(folder.path().join("ca-cert.pem"), vec![b'x'; (1 << 20) + 1]).unwrap();
    assert!(target(&folder).contains("has 1048577 bytes; at most 1048576"));
}

#[test]
fn pieces_that_do_not_go_together() {
    let (folder, other) = (good(), good());
    let copy = |name: &str, to: &str| {
        fs::copy(other.path().join(name), folder.path().join(to)).unwrap();
    };
    copy("server-key.pem", "server-key.pem");
    let said = target(&folder);
    assert!(said.contains("/server-key.pem: is not the key of server-cert.pem"), "{said}");
    copy("server-cert.pem", "server-cert.pem");
    let said = target(&folder);
    assert!(said.contains("/server-cert.pem: is not from an authority in ca-cert.pem"), "{said}");
    let folder = good();
    fs::copy(folder.path().join("client-cert.pem"), folder.path().join("server-cert.pem")).unwrap();
    let said = target(&folder);
    assert!(said.contains("/server-cert.pem: is for another use: a target wants serverAuth"), "{said}");
}

#[test]
fn outside_their_time() {
    let said = target(&set(SystemTime::now() - 10 * DAY, 5));
    assert!(said.contains("/server-cert.pem: has expired 5 days ago"), "{said}");
    let said = target(&set(SystemTime::now() + 10 * DAY + Duration::from_secs(60), 5));
    assert!(said.contains("/server-cert.pem: is not valid yet, only in 10 days"), "{said}");
}
