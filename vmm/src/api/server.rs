//! Serves the API: bounded connections, bounded bodies, bounded patience.
//!
//! A request becomes a [`Call`], which the [`Service`] answers. Nothing of a request outlives its connection: work
//! that must go on when a client leaves (a migration) is the service's to keep.

use std::{convert::Infallible, os::unix::net, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    ext::ReasonPhrase,
    header::{ALLOW, CONTENT_TYPE, HeaderValue, SERVER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};

use super::{Call, ENDPOINTS, ROOT, Refusal, endpoint::route, security::MAX_TLS_BYTES};

/// Most bytes of a request's body: certificates and whatever else a request can name.
pub const MAX_BODY_BYTES: usize = MAX_TLS_BYTES + (64 << 10);
/// Most bytes that wait to be parsed, a request's header among them.
const MAX_BUFFER_BYTES: usize = 64 << 10;
/// How far a longer body is read, and thrown away, before the connection is closed.
const MAX_DISCARDED_BYTES: usize = 16 * MAX_BODY_BYTES;
/// Most connections at a time; further ones wait in the kernel's queue.
pub const MAX_CONNECTIONS: usize = 32;
/// How long a client may take to send a request's header, and again its body; and to stay idle.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long clients that are owed an answer hold the end of the process up.
const FAREWELL: Duration = Duration::from_secs(2);
/// Pause after the host could not accept a connection (out of file descriptors), so as not to spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What a call is answered with.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Done; there is nothing to say: 204.
    Done,
    /// A document: 200.
    Document(serde_json::Value),
    /// A file: 200.
    Bytes(Vec<u8>),
}

/// Who does what clients ask for.
pub trait Service: Send + Sync + 'static {
    /// Serves one call. The future is dropped when the client leaves.
    fn call(&self, call: Call) -> impl Future<Output = Result<Answer, Refusal>> + Send;
}

/// Accepts and serves connections until `stop` becomes true; then lets the answers under way go out, for a short
/// while, and returns.
pub async fn serve(
    listener: net::UnixListener,
    service: Arc<impl Service>,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = stopped(&mut stop) => break,
        };
        match accepted {
            Ok((stream, place)) => {
                tokio::spawn(connection(stream, place, Arc::clone(&service), stop.clone()));
            }
            Err(error) => {
                tracing::warn!("the API cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    // All places are free again when all connections have ended.
    let _ = tokio::time::timeout(FAREWELL, places.acquire_many(MAX_CONNECTIONS as u32)).await;
    Ok(())
}

/// Waits for the end.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is an end too.
    drop(stop.wait_for(|&stop| stop).await);
}

async fn accept(
    listener: &UnixListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(UnixStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    Ok((listener.accept().await?.0, place))
}

async fn connection(
    stream: UnixStream,
    place: OwnedSemaphorePermit,
    service: Arc<impl Service>,
    mut stop: watch::Receiver<bool>,
) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(MAX_BUFFER_BYTES)
        // Cloud Hypervisor's client looks for "Content-Length", in this case of letters.
        .title_case_headers(true)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| {
                let service = Arc::clone(&service);
                async move { Ok::<_, Infallible>(respond(request, &*service).await) }
            }),
        );
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = stopped(&mut stop) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!("an API connection ended early: {error}");
    }
    drop(place);
}

async fn respond(request: Request<Incoming>, service: &impl Service) -> Response<Full<Bytes>> {
    let endpoint = route(request.method(), request.uri().path());
    let allowed = ENDPOINTS.iter().find(|e| request.uri().path().strip_prefix(ROOT) == Some(e.name));
    let answer = match endpoint {
        Ok(endpoint) => match read_body(request.into_body()).await.and_then(|body| endpoint.call(&body)) {
            Ok(call) => service.call(call).await,
            Err(refusal) => Err(refusal),
        },
        // It is read all the same: a client that is still writing when it is answered may never look at the answer.
        Err(refusal) => read_body(request.into_body()).await.and(Err(refusal)),
    };
    const JSON: &str = "application/json";
    let (status, content, body) = match answer {
        Ok(Answer::Done) => (StatusCode::NO_CONTENT, JSON, Vec::new()),
        Ok(Answer::Document(document)) => (StatusCode::OK, JSON, document.to_string().into_bytes()),
        Ok(Answer::Bytes(bytes)) => (StatusCode::OK, "application/octet-stream", bytes),
        Err(refusal) => (refusal.status, JSON, refusal.body()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    // Nothing but a number after the version is what Cloud Hypervisor's server writes, and all that its client can read.
    response.extensions_mut().insert(ReasonPhrase::from_static(b""));
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("godwit API"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
    if status == StatusCode::METHOD_NOT_ALLOWED
        && let Some(method) = allowed.and_then(|e| HeaderValue::from_str(e.method.as_str()).ok())
    {
        headers.insert(ALLOW, method);
    }
    response
}

/// The whole body, if it is short enough and comes soon enough.
async fn read_body(body: Incoming) -> Result<Bytes, Refusal> {
    tokio::time::timeout(PATIENCE, collect(body)).await.unwrap_or_else(|_| {
        let sentence = format!("the body did not arrive within {} s", PATIENCE.as_secs());
        Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, sentence))
    })
}

/// Reads a body to its end, keeping no more than the limit. What is too long is read on for a while, because a
/// client that is still writing when the connection closes never sees the answer.
async fn collect(mut body: Incoming) -> Result<Bytes, Refusal> {
    let mut kept = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Refusal::bad_request(format!("the body could not be read: {e}")))?;
        let Some(data) = frame.data_ref() else { continue };
        length += data.len();
        if length > MAX_DISCARDED_BYTES {
            break;
        }
        if length <= MAX_BODY_BYTES {
            kept.extend_from_slice(data);
        }
    }
    if length > MAX_BODY_BYTES {
        let sentence = format!("the body is longer than {MAX_BODY_BYTES} bytes");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, sentence));
    }
    Ok(kept.into())
}
