//! A disk's options, as text and as JSON values.

use super::config::{DiskConfig, ImageType};
use crate::rate_limiter::TokenBucketConfig;

fn refused(text: &str) -> String {
    text.parse::<DiskConfig>().unwrap_err().to_string()
}

#[test]
fn a_path_is_enough() {
    assert_eq!("path=/a/b.img".parse(), Ok(DiskConfig::new("/a/b.img")));
}

#[test]
fn every_option_is_read() {
    let text = "path=/d,readonly=on,direct=on,num_queues=4,queue_size=256,serial=abc,image_type=raw,bw_size=1M,bw_refill_time=100";
    let disk: DiskConfig = text.parse().unwrap();
    assert!(disk.readonly && disk.direct);
    assert_eq!((disk.num_queues, disk.queue_size, disk.serial.as_deref()), (4, 256, Some("abc")));
    assert_eq!(disk.image_type, Some(ImageType::Raw));
    let limit = disk.rate_limiter_config.unwrap();
    let bucket = TokenBucketConfig { size: 1 << 20, one_time_burst: None, refill_time: 100 };
    assert_eq!((limit.bandwidth, limit.ops), (Some(bucket), None));
}

#[test]
fn what_cannot_be_is_named() {
    for (text, words) in [
        ("readonly=on", "a disk needs 'path', such as path=/srv/disk.img"),
        ("path=/d,num_queues=0", "'num_queues' of a disk is 0; it must be 1 to 16"),
        ("path=/d,num_queues=many", "'num_queues' of a disk is 'many'; it must be a number"),
        ("path=/d,queue_size=100", "'queue_size' of a disk is 100; it must be a power of two from 4 to 1024"),
        (
            "path=/d,queue_size=2048",
            "'queue_size' of a disk is 2048; it must be a power of two from 4 to 1024",
        ),
        (
            "path=/d,image_type=qcow2",
            "'image_type' of a disk is 'qcow2'; it must be raw, the only format that godwit reads",
        ),
    ] {
        assert_eq!(refused(text), words);
    }
    assert!(refused("path=/d,serial=123456789012345678901").contains("at most 20 printable"));
    assert!(
        refused("path=/d,vhost_user=on").contains("a disk has no 'vhost_user'; its keys are path, readonly")
    );
}
