//! A vsock device's options: what is taken, and what an error says.

use super::VsockConfig;

#[test]
fn both_keys_are_wanted_and_read() {
    let config: VsockConfig = "cid=3,socket=/run/a.vsock".parse().unwrap();
    assert_eq!(config, VsockConfig { cid: 3, socket: "/run/a.vsock".into() });
    let json = r#"{"cid":3,"socket":"/run/a.vsock"}"#;
    assert_eq!(serde_json::from_str::<VsockConfig>(json).unwrap(), config);
    assert_eq!(serde_json::to_string(&config).unwrap(), json);
}

#[test]
fn what_cannot_be_is_named() {
    let error = |text: &str| text.parse::<VsockConfig>().unwrap_err().to_string();
    assert_eq!(error("cid=3"), "a vsock device needs 'socket', such as socket=/run/guest.vsock");
    assert_eq!(error("socket=/a"), "a vsock device needs 'cid', such as cid=3");
    for cid in ["2", "4294967295"] {
        let expected = format!("'cid' of a vsock device is {cid}; it must be 3 to 4294967294");
        assert_eq!(error(&format!("cid={cid},socket=/a")), expected);
    }
    assert!(error("cid=x,socket=/a").contains("it must be a number from 3 to 4294967294"));
    let long = "a".repeat(97);
    assert_eq!(
        error(&format!("cid=3,socket={long}")),
        "'socket' of a vsock device has 97 bytes; it must be a path of 1 to 96, so that '_PORT' fits behind it"
    );
}
