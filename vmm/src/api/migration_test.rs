//! Cloud Hypervisor's bodies are understood; what godwit does not do is refused by name.

use std::{fs, time::Duration};

use godwit_migration::preset::Overrides;
use godwit_transport::{
    marks::{Dscp, Priority},
    send_buffer::SendBuffer,
    tls::authority,
};

use super::{
    Call, ReceiveMigration, Refusal, Security, SendMigration, SetBandwidth, TimeoutStrategy,
    security::MAX_TLS_BYTES,
};

fn send(body: &str) -> Result<SendMigration, Refusal> {
    SendMigration::parse("vm.send-migration", body.as_bytes())
}

fn sentence<T>(result: Result<T, Refusal>) -> String {
    result.map(|_| ()).unwrap_err().sentences.join(": ")
}

#[test]
fn what_ch_remote_sends_is_understood() {
    let request = send(
        r#"{"destination_url":"tcp:10.0.0.2:4000","local":false,"preserve_source":false,"downtime_ms":300,
            "timeout_s":3600,"timeout_strategy":"Ignore","connections":2,"tls_dir":null,"memory_mode":"Precopy"}"#,
    )
    .unwrap();
    assert_eq!(
        request,
        SendMigration {
            destination_url: "tcp:10.0.0.2:4000".into(),
            downtime: Some(Duration::from_millis(300)),
            timeout: Some(Duration::from_secs(3600)),
            timeout_strategy: Some(TimeoutStrategy::Ignore),
            connections: Some(2),
            ..SendMigration::default()
        }
    );
}

fn tls() -> Security {
    let peers = ["host-b.example", "spiffe://prod.example/*"].map(|name| name.parse().unwrap()).into();
    Security { tls_dir: Some("/etc/godwit/tls".into()), peers, ..Security::default() }
}

#[test]
fn how_it_is_protected_is_checked() {
    for (fields, words) in [
        (r#""tls_dir":1"#, "the path of a directory"),
        (r#""tls_dir":"/t","peers":"a.example""#, "a list of names"),
        (r#""tls_dir":"/t","peers":["*"]"#, "the field 'peers': '*' is no name of a peer"),
        (r#""peers":["a.example"]"#, "the field 'peers': only certificates have names: it needs a 'tls_dir'"),
        (r#""tls_dir":"/t","insecure":true"#, "the field 'insecure': it is for migrations without TLS"),
        (r#""insecure":"yes""#, "true or false"),
        (
            r#""tls":{"ca_cert":"","cert":"","key":""},"tls_dir":"/t""#,
            "the field 'tls': it stands for the files",
        ),
        (r#""tls":{"ca_cert":"","cert":"","key":""},"insecure":true"#, "there are certificates"),
    ] {
        let said = sentence(send(&format!(r#"{{"destination_url":"tcp:h:1",{fields}}}"#)));
        assert!(said.contains(words), "{said}");
    }
    let missing = tls().of_source().map(|_| ()).unwrap_err().to_string();
    assert!(missing.contains("/etc/godwit/tls/ca-cert.pem: is not there"), "{missing}");
}

#[test]
fn what_certificate_files_hold_is_taken_and_a_key_is_never_shown() {
    let holds = |key: &str| {
        format!(r#"{{"destination_url":"tcp:h:1","tls":{{"ca_cert":"a","cert":"b","key":{key}}}}}"#)
    };
    let request = send(&holds(r#""SECRET""#)).unwrap();
    assert_eq!(request.security.tls.as_ref().map(|tls| tls.key.as_str()), Some("SECRET"));
    assert!(!format!("{request:?}").contains("SECRET"));
    assert_eq!(send(&request.body().to_string()).as_ref(), Ok(&request));
    let error = request.security.of_source().map(|_| ()).unwrap_err();
    let said = request.security.refusal(&error).sentences.join(": ");
    assert!(said.contains("the field 'tls': ca-cert.pem: holds no certificate"), "{said}");
    for body in [
        holds(r#"["SECRET"]"#),
        holds(r#""SECRET","keys":"SECRET""#),
        r#"{"destination_url":"tcp:h:1","tls":"SECRET"}"#.into(),
    ] {
        let said = sentence(send(&body));
        assert!(said.contains("'tls'") && said.contains("'ca_cert', 'cert' and 'key'"), "{said}");
        assert!(!said.contains("SECRET"), "{said}");
    }
    let said = sentence(send(&holds(&format!("{:?}", "k".repeat(MAX_TLS_BYTES)))));
    assert!(said.contains("it holds 131074 bytes of PEM; at most 131072 are taken"), "{said}");
}

#[test]
fn a_client_hands_its_files_over_and_tells_what_is_wrong_with_them_by_path() {
    let folder = tempfile::tempdir().unwrap();
    let made = authority::Request {
        names: vec!["localhost".into()],
        uris: vec![],
        from: std::time::SystemTime::now(),
        days: 1,
    };
    authority::make(folder.path(), &made).unwrap();
    let named = || Security { tls_dir: Some(folder.path().into()), ..Security::default() };
    let carried = named().carried_by_source().unwrap();
    assert_eq!(carried.tls_dir, None);
    let cert = folder.path().join("client-cert.pem");
    fs::remove_dir_all(folder.path()).unwrap();
    carried.of_source().unwrap();
    let said = named().carried_by_source().unwrap_err().to_string();
    assert!(said.contains(cert.with_file_name("ca-cert.pem").to_str().unwrap()), "{said}");
}

#[test]
fn a_body_survives_the_way_from_client_to_server() {
    let request = SendMigration {
        destination_url: "unix:/run/target".into(),
        preset: Some("multistage,history=2".into()),
        parts: Overrides {
            select: Some("midrange".into()),
            order: Some("address".into()),
            stop: Some("xen,rounds=9,growth".into()),
            slow: Some("none".into()),
            encode: Some("zero,xbzrle,cache=8".into()),
        },
        downtime: Some(Duration::from_micros(2500)),
        timeout: Some(Duration::from_millis(1500)),
        timeout_strategy: Some(TimeoutStrategy::Cancel),
        connections: Some(4),
        bandwidth: Some(12_500_000),
        dscp: Dscp::new(46).ok(),
        priority: Priority::new(3).ok(),
        congestion: "bbr".parse().ok(),
        send_buffer: SendBuffer::new(1 << 20, 10, 90).ok(),
        escalate: Some("budget,ceiling=1s,cancel".into()),
        dry_run: true,
        security: tls(),
    };
    assert_eq!(send(&request.body().to_string()), Ok(request));
    let least = SendMigration { destination_url: "unix:/t".into(), ..SendMigration::default() };
    assert_eq!(send(&least.body().to_string()), Ok(least));
    let receive = ReceiveMigration {
        receiver_url: "tcp:0.0.0.0:4000".into(),
        security: Security { insecure: true, ..Security::default() },
    };
    let parsed = ReceiveMigration::parse("vm.receive-migration", receive.body().to_string().as_bytes());
    assert_eq!(parsed.map(Call::Receive), Ok(Call::Receive(receive)));
}

#[test]
fn what_is_not_served_is_refused_by_name() {
    assert!(sentence(send(r#"{"destination_url":"unix:/t","local":true}"#)).contains("'local'"));
    let mode = sentence(send(r#"{"destination_url":"unix:/t","memory_mode":"MemFDs"}"#));
    assert!(mode.contains("'memory_mode'") && mode.contains("\"Precopy\""), "{mode}");
    let stop = sentence(send(r#"{"destination_url":"unix:/t","stop":["xen"]}"#));
    assert!(stop.contains("'stop'") && stop.contains("names of parts"), "{stop}");
    assert!(sentence(send("{}")).contains("'destination_url'"));
}

#[test]
fn times_that_cannot_be_are_refused() {
    for bad in ["0", "-1", "1e300", "\"30ms\"", "604800001"] {
        let said = sentence(send(&format!(r#"{{"destination_url":"unix:/t","downtime_ms":{bad}}}"#)));
        assert!(said.contains("'downtime_ms'") && said.contains("milliseconds"), "{said}");
    }
}

#[test]
fn what_the_network_is_to_do_is_checked() {
    for (field, bad, words) in [
        ("bandwidth", "99999", "100000 to 1000000000000"),
        ("bandwidth", "-1", "whole number of bytes per second"),
        ("bandwidth", "\"1MB/s\"", "whole number of bytes per second"),
        ("dscp", "64", "0 to 63"),
        ("dscp", "\"ef\"", "0 to 63"),
        ("priority", "8", "0 to 7"),
        ("congestion", "\"\"", "1 to 15"),
        ("congestion", "7", "\"cubic\""),
        ("send_buffer", "8", "8M,low=5,high=70"),
        ("send_buffer", "\"8M,low=9,high=8\"", "low below high"),
    ] {
        let said = sentence(send(&format!(r#"{{"destination_url":"tcp:h:1","{field}":{bad}}}"#)));
        assert!(said.contains(&format!("'{field}'")) && said.contains(words), "{said}");
    }
}

#[test]
fn a_cap_is_a_number_or_null_and_never_forgotten() {
    let parse = |body: &str| SetBandwidth::parse("vm.migration-bandwidth", body.as_bytes());
    for bandwidth in [None, Some(50_000_000)] {
        let request = SetBandwidth { bandwidth };
        assert_eq!(parse(&request.body().to_string()), Ok(request));
    }
    assert!(sentence(parse("{}")).contains("or null for no cap"));
    assert!(sentence(parse(r#"{"bandwidth":1}"#)).contains("100000 to"));
    assert!(sentence(parse(r#"{"bandwith":null}"#)).contains("did you mean 'bandwidth'?"));
}
