//! Numbers and words on the command line that cannot be.

use godwit_tests::{
    program::{alone, has, run},
    site::Site,
};

#[test]
fn memory_that_cannot_be() {
    let _turn = alone();
    for (memory, words) in [
        ("16M", ["too little", "32 MiB"]),
        ("0", ["too little", "32 MiB"]),
        ("5T", ["too much", "4 TiB"]),
        ("33M", ["multiple of 2 MiB", "34 MiB"]),
    ] {
        has(run(&["run", "--kernel", "builtin:load", "--memory", memory]).sentence(), &words);
    }
    for memory in ["much", "1.5G", "-1G", "99999999T", "512X"] {
        let ended = run(&["run", "--kernel", "builtin:load", &format!("--memory={memory}")]);
        has(ended.usage(), &["--memory", memory]);
    }
}

#[test]
fn cpus_that_cannot_be() {
    let _turn = alone();
    for cpus in ["0", "17", "255"] {
        let ended = run(&["run", "--kernel", "builtin:load", "--memory", "64M", "--cpus", cpus]);
        has(ended.sentence(), &[&format!("{cpus} vCPUs cannot be"), "1 to 16"]);
    }
    for cpus in ["256", "two", "-1"] {
        has(run(&["run", "--kernel", "builtin:load", &format!("--cpus={cpus}")]).usage(), &["--cpus", cpus]);
    }
}

#[test]
fn words_that_cannot_be() {
    let _turn = alone();
    let migrate = ["migrate", "--api", "x", "--to", "tcp:127.0.0.1:1"];
    for (arguments, words) in [
        (vec!["--downtime", "fast"], vec!["--downtime", "30ms"]),
        (vec!["--downtime", "30"], vec!["--downtime", "no unit", "30ms"]),
        (vec!["--timeout", "0s"], vec!["--timeout", "no time at all"]),
        (vec!["--on-timeout", "hope"], vec!["--on-timeout", "cancel", "force"]),
        (vec!["--lanes", "many"], vec!["--lanes", "many"]),
        (vec!["--downtme", "30ms"], vec!["--downtme", "--downtime"]),
    ] {
        has(run(&[&migrate[..], &arguments].concat()).usage(), &words);
    }
    has(
        run(&["migrate", "--api", "x", "--to", "there"]).usage(),
        &["--to", "there", "tcp:HOST:PORT", "unix:PATH"],
    );
    has(run(&["receive"]).usage(), &["--listen"]);
    has(run(&["receive", "--listen", "tcp:nowhere"]).usage(), &["--listen", "tcp:nowhere"]);
    let kernel = ["run", "--kernel", "builtin:load"];
    has(run(&[&kernel[..], &["--serial", "printer"]].concat()).usage(), &["--serial", "stdio, file=PATH"]);
    has(run(&[&kernel[..], &["--dirty", "dishes"]].concat()).usage(), &["--dirty", "log", "ring"]);
    has(run(&["teleport"]).usage(), &["teleport"]);
}

#[test]
fn a_scheme_or_a_number_of_lanes_that_there_is_not_leaves_the_guest_alone() {
    let _turn = alone();
    let site = Site::open();
    let vmm = site.boot("memory=4M", &["--memory", "64M"]);
    let said = vmm.migrate("tcp:127.0.0.1:1", &["--preset", "warp"]);
    has(said.ended.sentence(), &["no preset 'warp'", "precopy, clark2005"]);
    let wrong: [(&[&str], &[&str]); 5] = [
        (&["--preset", "multistage,history=9"], &["'history' of 'threshold+history' is '9'", "2 to 8"]),
        (&["--preset", "multistage,mystery=3"], &["has a parameter 'mystery'"]),
        (&["--select", "everything"], &["'select' has no part 'everything'", "time-series"]),
        (&["--stop", "xen,copies=-1"], &["'copies' of 'xen' is '-1'", "0 to 1000"]),
        (&["--order", "address,address"], &["'order' takes one part"]),
    ];
    for (flags, words) in wrong {
        has(vmm.migrate("tcp:127.0.0.1:1", flags).ended.sentence(), words);
    }
    for lanes in ["0", "17"] {
        let said = vmm.migrate("tcp:127.0.0.1:1", &["--lanes", lanes]);
        has(said.ended.sentence(), &[&format!("{lanes} lanes cannot be"), "1 to 16"]);
    }
    vmm.wait_more_beats(2);
    assert_eq!(vmm.program.err.text(), "");
}
