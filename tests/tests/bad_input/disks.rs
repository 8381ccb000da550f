//! Disks that cannot be had, and a target that was given others than its guest has.

use godwit_tests::{
    program::{PROMPT, Program, alone, has, run},
    site::{Listen, Site, text},
};

fn disk(options: &str) -> String {
    run(&["run", "--kernel", "builtin:load", "--disk", options]).sentence().to_owned()
}

#[test]
fn options_that_are_none() {
    let _turn = alone();
    for (options, words) in [
        ("readonly=on", &["--disk", "needs 'path'"][..]),
        ("path=/a,readonly", &["'readonly' has no value"]),
        ("path=/a,queue_size=3", &["'queue_size' of a disk is 3", "power of two"]),
        ("path=/a,image_type=qcow2", &["'image_type'", "raw"]),
        ("path=/a,bw_size=1M", &["needs 'bw_refill_time'"]),
    ] {
        has(run(&["run", "--kernel", "builtin:load", "--disk", options]).usage(), words);
    }
}

#[test]
fn images_that_are_none() {
    let _turn = alone();
    let site = Site::open();
    has(&disk("path=no/such/image"), &["disk0", "'no/such/image' cannot be opened", "No such file"]);
    has(&disk(&format!("path={}", text(&site.file("")))), &["neither a file nor a block device"]);
    has(&disk(&format!("path={}", site.holding("small", b"x"))), &["has 1 bytes", "block of 512"]);
    let qcow2 = site.holding("disk.qcow2", &[b"QFI\xfb\0\0\0\x03", &[0; 4096][..]].concat());
    has(&disk(&format!("path={qcow2}")), &["is a qcow2 image", "qemu-img convert -O raw"]);
    let full = vec![format!("path={},readonly=on", site.holding("full", &[0; 512])); 16];
    let flags: Vec<&str> = full.iter().flat_map(|options| ["--disk", options]).collect();
    let said = run(&[&["run", "--kernel", "builtin:load"], &flags[..]].concat());
    has(said.sentence(), &["disk15", "15 virtio devices at most"]);
}

#[test]
fn an_image_that_another_process_writes_to() {
    let _turn = alone();
    let site = Site::open();
    let options = format!("path={}", site.holding("image", &[0; 4096]));
    let holder = site.boot("memory=1M", &["--disk", &options]);
    let by_whom = format!("is locked by process {} (", holder.program.id().as_raw_nonzero());
    has(&disk(&options), &["disk0", &by_whom]);
    has(&disk(&format!("{options},readonly=on")), &[&by_whom]);
    drop::<Program>(holder.program);
    let next = site.boot("memory=1M", &["--disk", &options]);
    drop(next);
}

#[test]
fn a_target_with_other_disks_refuses_and_the_guest_goes_on() {
    let _turn = alone();
    let site = Site::open();
    let [one, two] = ["one", "two"].map(|name| format!("path={}", site.holding(name, &[0; 4096])));
    let source = site.boot("memory=1M", &["--disk", &one]);
    let none = site.receive(Listen::Tcp, &[]);
    let said = source.migrate(&none.address(), &[]).ended.err;
    has(&said, &["the guest has 'disk0' ('virtio-blk')", "--disk"]);
    let more = site.receive(Listen::Tcp, &["--disk", &one, "--disk", &two]);
    let said = source.migrate(&more.address(), &[]).ended.err;
    has(&said, &["this side has 'disk1'", "leave out its --disk"]);
    let other = ["--disk", &format!("{one},num_queues=2"), "--balloon", "size=0"];
    let said = source.migrate(&site.receive(Listen::Tcp, &other).address(), &[]);
    assert_eq!(said.ended.status, 5, "it is incompatible");
    // Every reason, and before there was anything of the guest that could have been sent.
    let queues = "the guest's 'disk0' has 1 queues, here it has 2; num_queues must be the same on both sides";
    has(&said.ended.err, &[queues, "this side has 'balloon0'", "in phase prepare, round 0"]);
    let smaller = site.receive(Listen::Tcp, &["--disk", &format!("{one},queue_size=64")]);
    let said = source.begin_migration(&smaller.address(), &["--dry-run"]).end(PROMPT);
    assert_eq!(said.status, 5, "the question is answered as the migration would be");
    has(&said.out, &["queue 0 of the guest's 'disk0' has up to 256 entries, here up to 64"]);
    source.wait_more_beats(2);
}
