//! A balloon is read as Cloud Hypervisor writes it, and what is wrong is named.

use super::BalloonConfig;

#[test]
fn options_are_read() {
    let all: BalloonConfig = "size=128M,deflate_on_oom=on,free_page_reporting=off".parse().unwrap();
    let expected = BalloonConfig { size: 128 << 20, deflate_on_oom: true, ..BalloonConfig::default() };
    assert_eq!(all, expected);
    let reporting = BalloonConfig { free_page_reporting: true, ..Default::default() };
    assert_eq!("size=0,free_page_reporting=true".parse(), Ok(reporting));
    let silent = BalloonConfig { free_page_hinting: false, ..Default::default() };
    assert_eq!("free_page_hinting=off".parse(), Ok(silent));
}

#[test]
fn what_is_wrong_is_named() {
    for (text, words) in [
        ("128M", "'128M' has no value"),
        ("size=-1", "'size' of a balloon is '-1'; it must be a whole number"),
        ("size=1M,size=2M", "'size' is there twice"),
        ("deflate_on_oom=yes", "'deflate_on_oom' of a balloon is 'yes'; it must be on or off"),
        ("deflate=on", "a balloon has no 'deflate'; its keys are size, deflate_on_oom, free_page_reporting,"),
    ] {
        let error = text.parse::<BalloonConfig>().unwrap_err().to_string();
        assert!(error.starts_with(words), "{text}: {error}");
    }
}
