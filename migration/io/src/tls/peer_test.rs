//! A name on the list is a name that a certificate has, whole, and nothing that only looks like it.

use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{
    Peer, TARGET_CERT_FILE,
    authority::{Request, make},
    peer::names_of,
};

fn certificate(names: &[&str], uris: &[&str]) -> CertificateDer<'static> {
    let folder = tempfile::tempdir().unwrap();
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    let request = Request { names: owned(names), uris: owned(uris), from: SystemTime::now(), days: 1 };
    make(folder.path(), &request).unwrap();
    CertificateDer::from_pem_file(folder.path().join(TARGET_CERT_FILE)).unwrap()
}

#[test]
fn a_name_is_one_of_the_certificate_s_names() {
    let certificate = certificate(
        &["host-a.example", "10.0.0.1", "::1"],
        &["spiffe://prod.example/host/a", "spiffe://prod.example/x/../host/b"],
    );
    let has = |name: &str| name.parse::<Peer>().unwrap().names(&certificate);
    for name in [
        "host-a.example",
        "HOST-A.example",
        "10.0.0.1",
        "::1",
        "spiffe://prod.example/host/a",
        "spiffe://prod.example/host/*",
        "spiffe://prod.example/*",
    ] {
        assert!(has(name), "{name}");
    }
    for name in [
        "host-b.example",
        "example",
        "a.host-a.example",
        "10.0.0.2",
        "spiffe://prod.example/host/ab",
        "spiffe://prod.example/host",
        "spiffe://prod.example/host/a/*",
        "spiffe://prod.example/x/*",
        "spiffe://PROD.example/host/a",
        "https://prod.example/*",
    ] {
        assert!(!has(name), "{name}");
    }
}

#[test]
fn names_are_told_all_of_them_up_to_a_limit() {
    let told = names_of(&certificate(&["host-a.example", "10.0.0.1"], &["spiffe://p/a"]));
    assert_eq!(told, "host-a.example, spiffe://p/a, 10.0.0.1");
    let many: Vec<String> = (0..20).map(|n| format!("host-{n}.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(names_of(&certificate(&many, &[])).ends_with("host-7.example and 12 more"));
    assert_eq!(names_of(&CertificateDer::from(vec![1, 2, 3])), "nothing that can be read");
}

#[test]
fn what_is_no_name_is_refused_with_what_is_one() {
    for bad in
        ["", "*", "*.example", "a b", "spiffe://", "spiffe://p*", "spiffe:///*/x", "://p", "spiffe://p/*/*"]
    {
        let said = bad.parse::<Peer>().map(|peer| peer.to_string()).unwrap_err();
        assert!(said.contains("a DNS name, an IP address, or a URI"), "{bad}: {said}");
    }
    for good in ["a.example", "::1", "spiffe://p/a", "spiffe://p/a/*"] {
        assert_eq!(good.parse::<Peer>().unwrap().to_string(), good);
    }
}
