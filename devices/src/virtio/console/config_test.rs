//! The options of a console's ports: what is taken, and what an error says.

use super::{PortConfig, PortMode};
use crate::SerialBackend;

fn parse(text: &str) -> PortConfig {
    text.parse().unwrap()
}

#[test]
fn each_back_end_is_read() {
    assert_eq!(parse("tty").backend(), Ok(SerialBackend::Stdio));
    assert_eq!(parse("null").backend(), Ok(SerialBackend::Null));
    assert_eq!(parse("file=/tmp/a").backend(), Ok(SerialBackend::File("/tmp/a".into())));
    let agent = parse("name=org.agent.0,socket=/tmp/s");
    assert_eq!((agent.name.as_deref(), agent.mode), (Some("org.agent.0"), PortMode::Socket));
    assert_eq!(agent.backend(), Ok(SerialBackend::Socket("/tmp/s".into())));
    let json = r#"{"name":"org.agent.0","mode":"Socket","socket":"/tmp/s"}"#;
    assert_eq!(serde_json::to_string(&agent).unwrap(), json);
    assert_eq!(serde_json::from_str::<PortConfig>(json).unwrap(), agent);
}

#[test]
fn what_cannot_be_is_named() {
    let error = |text: &str| text.parse::<PortConfig>().unwrap_err().to_string();
    for text in ["name=a", "tty,file=/a", "file=/a,socket=/b", "tty,null"] {
        let expected = format!("a console port is one of tty, null, file=F and socket=F, not '{text}'");
        assert_eq!(error(text), expected);
    }
    assert!(error("name=a/b,null").contains("it must be 1 to 64 letters, digits, '.', '-' and '_'"));
    assert!(error("name=a,tty").contains("cannot be on the terminal"));
    assert!(error("pty=1").contains("a console port has no 'pty'; its keys are name, file, socket"));
    let lacking: PortConfig = serde_json::from_str(r#"{"mode":"File"}"#).unwrap();
    assert_eq!(
        lacking.backend().unwrap_err().to_string(),
        "a console port of mode 'file' needs its path as 'file'"
    );
}
