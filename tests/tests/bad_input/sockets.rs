//! Socket paths and ports that belong to somebody else.

use std::{net::TcpListener, os::unix::net::UnixListener};

use godwit_tests::{
    program::{alone, has, run},
    site::{Listen, Site, text},
};

#[test]
fn an_api_socket_in_use_stays_with_its_owner() {
    let _turn = alone();
    let site = Site::open();
    let owner = site.boot("memory=4M", &["--memory", "64M"]);
    let api = text(&owner.api);
    let second = run(&["run", "--kernel", "builtin:load", "--memory", "64M", "--api", &api]);
    has(second.sentence(), &[&api, "in use", "another path"]);
    let second = run(&["receive", "--listen", "tcp:127.0.0.1:0", "--api", &api]);
    has(second.sentence(), &[&api, "in use", "another path"]);
    assert_eq!(owner.ask(&["info"]).status, 0);
    owner.wait_more_beats(2);
}

#[test]
fn an_api_socket_where_there_is_a_file_or_no_folder() {
    let _turn = alone();
    let site = Site::open();
    let file = site.holding("file", b"precious");
    let on = |api: &str| run(&["run", "--kernel", "builtin:load", "--memory", "64M", "--api", api]);
    has(on(&file).sentence(), &[&file, "is not a socket"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    has(on("no/such/folder/api").sentence(), &["no/such/folder/api", "No such file"]);
}

#[test]
fn an_api_socket_that_a_dead_process_left_is_taken() {
    let _turn = alone();
    let site = Site::open();
    let path = site.file("api0.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let vmm = site.boot("memory=4M", &["--memory", "64M"]);
    assert_eq!(vmm.ask(&["info"]).status, 0);
}

#[test]
fn an_address_to_listen_at_that_is_in_use() {
    let _turn = alone();
    let site = Site::open();
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", port.local_addr().unwrap());
    has(run(&["receive", "--listen", &address]).sentence(), &[&address, "in use"]);
    let owner = site.receive(Listen::Unix, &[]);
    let address = owner.address();
    has(run(&["receive", "--listen", &address]).sentence(), &[&address, "another process listens"]);
    let file = format!("unix:{}", site.holding("file", b"precious"));
    has(run(&["receive", "--listen", &file]).sentence(), &[&file, "no socket"]);
    // An address of documentation, which is nobody's own.
    has(run(&["receive", "--listen", "tcp:192.0.2.1:4000"]).sentence(), &["tcp:192.0.2.1:4000"]);
}

#[test]
fn a_console_socket_in_use() {
    let _turn = alone();
    let site = Site::open();
    let path = site.file("console.sock");
    let _owner = UnixListener::bind(&path).unwrap();
    let serial = format!("socket={}", text(&path));
    let ended = run(&["run", "--kernel", "builtin:load", "--memory", "64M", "--serial", &serial]);
    has(ended.sentence(), &[&text(&path), "in use", "another path"]);
}

#[test]
fn clients_of_a_process_that_is_not_there() {
    let _turn = alone();
    let site = Site::open();
    let nobody = text(&site.file("nobody.sock"));
    for command in ["info", "pause", "resume", "cancel", "shutdown"] {
        has(run(&[command, "--api", &nobody]).sentence(), &["no godwit process listens on", &nobody]);
    }
    let ended = run(&["migrate", "--api", &nobody, "--to", "tcp:127.0.0.1:1"]);
    has(ended.sentence(), &["no godwit process listens on", &nobody]);
}
