//! A card's options, in both languages, and the sentences for those that cannot be.

use super::{Mac, NetConfig};
use crate::rate_limiter::{RateLimiterConfig, TokenBucketConfig};

#[test]
fn options_and_json_say_the_same() {
    let text = "tap=tap0,mac=52:54:00:12:34:56,mtu=9000,queue_size=512,num_queues=2,offload_tso=off,\
        bw_size=1M,bw_refill_time=100";
    let bandwidth = TokenBucketConfig { size: 1 << 20, one_time_burst: None, refill_time: 100 };
    let expected = NetConfig {
        mac: Some(Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56])),
        mtu: Some(9000),
        queue_size: 512,
        offload_tso: false,
        rate_limiter_config: Some(RateLimiterConfig { bandwidth: Some(bandwidth), ops: None }),
        ..NetConfig::on_tap("tap0")
    };
    assert_eq!(text.parse::<NetConfig>().unwrap(), expected);
    let json = r#"{"tap": "tap0", "mac": "52:54:00:12:34:56", "mtu": 9000, "queue_size": 512, "offload_tso": false,
        "rate_limiter_config": {"bandwidth": {"size": 1048576, "refill_time": 100}}}"#;
    assert_eq!(serde_json::from_str::<NetConfig>(json).unwrap(), expected);
    assert_eq!(
        serde_json::from_str::<NetConfig>(&serde_json::to_string(&expected).unwrap()).unwrap(),
        expected
    );
    assert_eq!("tap=tap0".parse::<NetConfig>().unwrap(), NetConfig::on_tap("tap0"));
    assert_eq!(serde_json::from_str::<NetConfig>(r#"{"tap": "tap0"}"#).unwrap(), NetConfig::on_tap("tap0"));
    for (given, fds) in [("fd=7", vec![7]), ("fd=[7]", vec![7]), ("fd=7:8,num_queues=4", vec![7, 8])] {
        let config = given.parse::<NetConfig>().unwrap();
        assert_eq!((config.tap, config.fds), (None, Some(fds)));
    }
}

#[test]
fn what_cannot_be_is_named() {
    for (text, words) in [
        ("mac=52:54:00:12:34:56", "either tap=NAME or fd=NUMBER"),
        ("tap=tap0,fd=7", "either tap=NAME or fd=NUMBER"),
        ("tap=tap0,speed=9", "has no 'speed'; its keys are tap, fd, mac"),
        ("tap=tap0,mac=52:54:00:12:34", "'52:54:00:12:34' is no address"),
        ("tap=tap0,mac=53:54:00:12:34:56", "its first byte must be even"),
        ("tap=tap0,mac=00:00:00:00:00:00", "not all zero"),
        ("tap=tap0,mtu=20", "'mtu' of a network card is 20; it must be 68 to 65535"),
        ("tap=tap0,mtu=70000", "'mtu' of a network card is '70000'"),
        ("tap=tap0,num_queues=3", "is 3; it must be an even number from 2 to 16"),
        ("tap=tap0,num_queues=0", "is 0; it must be an even number"),
        ("tap=tap0,num_queues=18", "is 18; it must be an even number"),
        ("fd=7,num_queues=4", "'fds' of a network card are [7]; it must be 2, one for each pair"),
        ("fd=7:8", "'fds' of a network card are [7, 8]; it must be 1, one for each pair"),
        ("tap=tap0,queue_size=300", "is 300; it must be a power of two from 128 to 1024"),
        ("tap=tap0,queue_size=0", "is 0; it must be"),
        ("tap=tap0,queue_size=64", "is 64; it must be a power of two from 128"),
        ("tap=tap0,queue_size=2048", "is 2048; it must be"),
        ("tap=tap0,offload_csum=maybe", "'offload_csum' of a network card is 'maybe'; it must be on or off"),
        (
            "fd=x",
            "'fd' of a network card is 'x'; it must be the number of an open descriptor, or of several: 7:8",
        ),
    ] {
        let error = text.parse::<NetConfig>().unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    let unknown = serde_json::from_str::<NetConfig>(r#"{"tap": "tap0", "vhost_user": true}"#).unwrap_err();
    assert!(unknown.to_string().contains("unknown field `vhost_user`, expected one of `tap`"), "{unknown}");
}
