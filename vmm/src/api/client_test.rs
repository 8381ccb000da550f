//! The client's errors say what a user can do.

use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    path::PathBuf,
};

use super::Client;

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("godwit-client-{name}-{}", std::process::id()))
}

/// A process that sends `answer` whatever it is asked.
fn answering(path: &PathBuf, answer: &'static [u8]) -> std::thread::JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let n = stream.read(&mut request).unwrap();
        assert!(n > 0);
        stream.write_all(answer).unwrap();
    })
}

#[tokio::test]
async fn nobody_there_is_said_with_the_path() {
    let error = Client::new(&path("nobody")).get("vm.info").await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.starts_with("no godwit process listens on") && said.contains("godwit-client-nobody"),
        "{said}"
    );
}

#[tokio::test]
async fn a_closed_connection_and_another_protocol_are_told_apart() {
    for (name, answer, expected) in [
        ("closed", &b""[..], "closed the connection"),
        ("other", b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
        ("json", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "not JSON"),
        ("bare", b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "502"),
    ] {
        let path = path(name);
        let process = answering(&path, answer);
        let error = Client::new(&path).get("vm.info").await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        process.join().unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}
