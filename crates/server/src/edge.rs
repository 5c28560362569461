//! What every request passes: connections with limits, an id, one place where problems are written out.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use fastgpu_api::problem::{PROBLEM_JSON, Problem, codes};
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tracing::Instrument as _;

use crate::ServerParts;
use crate::app::App;
use crate::auth::Peer;
use crate::refuse::{Pending, Refusal, retry_after};
use crate::routes;

/// Names and values together; a token and a few keys are a tenth of it.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// What the parser reads at most, so that a somewhat larger header still gets an answer in words.
const HEADER_BYTES_READ_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 128;
/// The longest path of ours has 40.
const PATH_CHARS_SHOWN_MAX: usize = 200;
/// Without file descriptors, a moment must pass before another connection can be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Type: application/problem+json\r\nContent-Length: 135\r\n\r\n{\"type\":\"urn:fastgpu:error:overloaded\",\"title\":\"the server is busy\",\"status\":503,\"detail\":\"too many connections\",\"code\":\"overloaded\"}  ";

struct Edge {
    app: Arc<App>,
    router: Router,
    request_ids: RequestIds,
}

/// Ids that differ between requests and, by the time of the start, between runs of the server.
struct RequestIds {
    run: u64,
    next: AtomicU64,
}

impl RequestIds {
    fn next(&self) -> HeaderValue {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        HeaderValue::try_from(format!("r-{:08x}-{number}", self.run)).expect("hex digits and hyphens")
    }
}

pub(crate) async fn serve(
    listener: TcpListener,
    parts: ServerParts,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let options = parts.options;
    let app = Arc::new(App::new(parts));
    let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let request_ids = RequestIds { run: started.as_secs(), next: AtomicU64::new(1) };
    let edge = Arc::new(Edge { router: routes::router(&app), app, request_ids });
    let places = Arc::new(Semaphore::new(options.connections_max));
    let connections = TaskTracker::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(connection) => connection,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            let _ = stream.try_write(FULL);
            continue;
        };
        let edge = edge.clone();
        connections.spawn(async move {
            edge.connection(stream, peer).await;
            drop(place);
        });
    }
    edge.app.stopping.cancel();
    connections.close();
    if tokio::time::timeout(options.stop_grace, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "connections were still open when the server stopped");
    }
    Ok(())
}

impl Edge {
    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        // Answers are small and complete: waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        let edge = self.clone();
        let service = service_fn(move |request| {
            let edge = edge.clone();
            async move { Ok::<_, Infallible>(edge.request(peer, request).await) }
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.app.options.header_timeout)
            .max_header_size(HEADER_BYTES_READ_MAX)
            .max_headers(HEADERS_MAX);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let stopping = self.app.stopping.clone();
        tokio::select! {
            _ = connection.as_mut() => return,
            () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }

    /// Everything that is logged meanwhile says which request it was for.
    async fn request(&self, peer: SocketAddr, request: Request<Incoming>) -> Response<Body> {
        let id = self.request_ids.next();
        let name = id.to_str().expect("hex digits and hyphens");
        let path = short(request.uri());
        let span = tracing::info_span!("request", request = %name, method = %request.method(), path);
        self.answer(peer, request, id).instrument(span).await
    }

    async fn answer(
        &self,
        peer: SocketAddr,
        mut request: Request<Incoming>,
        request_id: HeaderValue,
    ) -> Response<Body> {
        let began = Instant::now();
        let uri = request.uri().clone();
        let header_bytes: usize =
            request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let mut response =
            if header_bytes + uri.path().len() + uri.query().map_or(0, str::len) > HEADER_BYTES_MAX {
                let detail = format!("address and headers have more than {} KiB", HEADER_BYTES_MAX >> 10);
                axum::response::IntoResponse::into_response(Refusal::new(&codes::HEADERS_TOO_LARGE, detail))
            } else {
                request.extensions_mut().insert(Peer(peer.ip()));
                if let Some(uri) = routes::straightened(&uri) {
                    *request.uri_mut() = uri;
                }
                let answer = self.router.clone().oneshot(request.map(Body::new));
                match AssertUnwindSafe(answer).catch_unwind().await {
                    Ok(Ok(response)) => response,
                    Ok(Err(never)) => match never {},
                    Err(_) => {
                        tracing::error!("the request ended in a panic");
                        let detail = "the server failed to answer; this is a fault of ours";
                        axum::response::IntoResponse::into_response(Refusal::new(&codes::INTERNAL, detail))
                    }
                }
            };
        if let Some(Pending(problem)) = response.extensions_mut().remove::<Pending>() {
            write_problem(&mut response, *problem, &uri, &request_id);
        }
        self.app.requests.count(response.status());
        tracing::debug!(status = response.status().as_u16(), took = ?began.elapsed(), "answered");
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, request_id);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// As much of a path as a reader needs.
fn short(uri: &Uri) -> String {
    uri.path().chars().take(PATH_CHARS_SHOWN_MAX).collect()
}

fn write_problem(response: &mut Response<Body>, mut problem: Problem, uri: &Uri, request_id: &HeaderValue) {
    problem.instance = Some(short(uri));
    problem.request_id = request_id.to_str().ok().map(str::to_owned);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // What any caller can bring about by load alone (busy, full, stopping) is not worth a line each time.
    if problem.code == codes::INTERNAL.code || problem.code == codes::STORAGE_FAILED.code {
        tracing::warn!(code = problem.code, "the request failed");
    }
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // The router counted the empty body.
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if let Some(seconds) = retry_after(&problem) {
        headers.insert(RETRY_AFTER, seconds);
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    let body = serde_json::to_vec(&problem).expect("our own types always serialize");
    *response.body_mut() = Body::from(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_one_connection_too_many_is_well_formed() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
        assert_eq!(serde_json::from_str::<Problem>(body).unwrap().code, "overloaded");
    }
}
