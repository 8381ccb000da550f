//! The server as a client sees it, over a real socket, with a service that answers at once, never, or not at all.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::watch,
};

use super::{Answer, ApiSocket, Call, Client, MAX_BODY_BYTES, Refusal, Service, SocketFile, serve};

/// Answers pings, refuses to pause, and takes a while over a migration.
struct Sample;

impl Service for Sample {
    async fn call(&self, call: Call) -> Result<Answer, Refusal> {
        match call {
            Call::Ping => Ok(Answer::Document(json!({"version": "1"}))),
            Call::Send(_) => {
                tokio::time::sleep(Duration::from_millis(200)).await;
                Ok(Answer::Document(json!({"outcome": "completed"})))
            }
            Call::Pause => Err(Refusal::wrong_state("it does not run")),
            _ => Ok(Answer::Done),
        }
    }
}

struct Server {
    path: PathBuf,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
    _file: SocketFile,
}

fn start(name: &str) -> Server {
    let path = std::env::temp_dir().join(format!("godwit-server-{name}-{}", std::process::id()));
    let (listener, file) = ApiSocket::bind(&path).unwrap().into_parts();
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(serve(listener, Arc::new(Sample), stopped));
    Server { path, stop, task, _file: file }
}

/// Sends bytes as they are, and reads until the server closes.
async fn raw(server: &Server, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(&server.path).await.unwrap();
    // The server may close on what it has seen of too long a request.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_document_an_empty_answer_and_a_refusal_arrive() {
    let server = start("answers");
    let client = Client::new(&server.path);
    assert_eq!(client.get("vmm.ping").await.unwrap(), json!({"version": "1"}));
    assert_eq!(client.put("vm.resume").await.unwrap(), json!(null));
    assert_eq!(client.put("vm.pause").await.unwrap_err().to_string(), "it does not run");
}

#[tokio::test]
async fn cloud_hypervisor_s_client_finds_its_header_and_a_number_for_a_status() {
    let server = start("header");
    let answer =
        raw(&server, b"GET /api/v1/vmm.ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 \r\n"), "{answer}");
    assert!(answer.contains("\r\nContent-Length: 15\r\n"), "{answer}");
}

#[tokio::test]
async fn who_is_still_writing_is_not_cut_off() {
    let server = start("writing");
    let mut stream = UnixStream::connect(&server.path).await.unwrap();
    let body = r#"{"path":"/dev/null"}"#;
    let head = format!(
        "PUT /api/v1/vm.nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    for piece in [head.as_str(), body] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 404");
}

#[tokio::test]
async fn wrong_method_unknown_path_long_body_and_garbage_have_their_status() {
    let server = start("status");
    let close = "Host: localhost\r\nConnection: close\r\n";
    let answer = raw(&server, format!("POST /api/v1/vm.pause HTTP/1.1\r\n{close}\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("\r\nAllow: PUT\r\n"), "{answer}");
    let answer = raw(&server, format!("GET /api/v1/vm.nothing HTTP/1.1\r\n{close}\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("vm.info"), "{answer}");
    let long = MAX_BODY_BYTES + 1;
    let request = format!(
        "PUT /api/v1/vm.send-migration HTTP/1.1\r\n{close}Content-Length: {long}\r\n\r\n{}",
        " ".repeat(long)
    );
    let answer = raw(&server, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(raw(&server, b"\x16\x03\x01 what is this\r\n\r\n").await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn the_answer_under_way_goes_out_before_the_end() {
    let server = start("farewell");
    let client = Client::new(&server.path);
    let body = json!({"destination_url": "unix:/nowhere"});
    let sending = tokio::spawn(async move { client.put_and_wait("vm.send-migration", &body).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.stop.send(true).unwrap();
    assert_eq!(sending.await.unwrap().unwrap(), json!({"outcome": "completed"}));
    server.task.await.unwrap().unwrap();
    assert!(UnixStream::connect(&server.path).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn idle_connections_do_not_hold_the_end_up() {
    let server = start("idle");
    let _idle = UnixStream::connect(&server.path).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    server.stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(4), server.task).await.unwrap().unwrap().unwrap();
}
