//! Cloud Hypervisor's bodies are understood; what godwit does not do is refused by name.

use std::time::Duration;

use super::{Call, ReceiveMigration, Refusal, SendMigration, TimeoutStrategy};

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
            preset: None,
            downtime: Some(Duration::from_millis(300)),
            timeout: Some(Duration::from_secs(3600)),
            timeout_strategy: Some(TimeoutStrategy::Ignore),
            connections: Some(2),
        }
    );
}

#[test]
fn a_body_survives_the_way_from_client_to_server() {
    let request = SendMigration {
        destination_url: "unix:/run/target".into(),
        preset: Some("precopy".into()),
        downtime: Some(Duration::from_micros(2500)),
        timeout: Some(Duration::from_millis(1500)),
        timeout_strategy: Some(TimeoutStrategy::Cancel),
        connections: Some(4),
    };
    assert_eq!(send(&request.body().to_string()), Ok(request));
    let least = SendMigration { destination_url: "unix:/t".into(), ..SendMigration::default() };
    assert_eq!(send(&least.body().to_string()), Ok(least));
    let receive = ReceiveMigration { receiver_url: "tcp:0.0.0.0:4000".into() };
    let parsed = ReceiveMigration::parse("vm.receive-migration", receive.body().to_string().as_bytes());
    assert_eq!(parsed.map(Call::Receive), Ok(Call::Receive(receive)));
}

#[test]
fn what_is_not_served_is_refused_by_name() {
    assert!(sentence(send(r#"{"destination_url":"unix:/t","local":true}"#)).contains("'local'"));
    let mode = sentence(send(r#"{"destination_url":"unix:/t","memory_mode":"MemFDs"}"#));
    assert!(mode.contains("'memory_mode'") && mode.contains("\"Precopy\""), "{mode}");
    assert!(sentence(send(r#"{"destination_url":"unix:/t","tls_dir":"/etc"}"#)).contains("'tls_dir'"));
    assert!(sentence(send("{}")).contains("'destination_url'"));
}

#[test]
fn times_that_cannot_be_are_refused() {
    for bad in ["0", "-1", "1e300", "\"30ms\"", "604800001"] {
        let said = sentence(send(&format!(r#"{{"destination_url":"unix:/t","downtime_ms":{bad}}}"#)));
        assert!(said.contains("'downtime_ms'") && said.contains("milliseconds"), "{said}");
    }
}
