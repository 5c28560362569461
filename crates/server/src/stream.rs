//! Server-sent events, and the places that streams and long polls take.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use fastgpu_api::problem::codes;
use fastgpu_core::ids::Name;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Options;
use crate::refuse::Refusal;

/// A silent stream says that it lives; clients and proxies give up after a minute or so.
pub(crate) const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The places for streams and long polls.
#[derive(Debug)]
pub(crate) struct Streams {
    all: Arc<Semaphore>,
    max: usize,
    per_token_max: usize,
    by_token: Mutex<HashMap<Name, usize>>,
}

/// One place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    token: Name,
    streams: Arc<Streams>,
    _permit: OwnedSemaphorePermit,
}

impl Streams {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            all: Arc::new(Semaphore::new(options.streams_max)),
            max: options.streams_max,
            per_token_max: options.streams_per_token_max,
            by_token: Mutex::default(),
        }
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.max - self.all.available_permits()
    }

    /// Takes a place for the bearer of a token.
    pub(crate) fn take(self: &Arc<Self>, token: &Name) -> Result<Place, Refusal> {
        let refuse = |whose: &str, max: usize| {
            let detail = format!("{whose} has {max} open streams and long polls, which is the limit");
            Refusal::new(&codes::TOO_MANY_STREAMS, detail).hint("close some first")
        };
        let permit = self.all.clone().try_acquire_owned().map_err(|_| refuse("the server", self.max))?;
        let mut by_token = self.by_token.lock().unwrap_or_else(PoisonError::into_inner);
        let open = by_token.entry(token.clone()).or_default();
        if *open >= self.per_token_max {
            return Err(refuse("this token", self.per_token_max));
        }
        *open += 1;
        Ok(Place { token: token.clone(), streams: self.clone(), _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_token = self.streams.by_token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = by_token.get_mut(&self.token) {
            *open -= 1;
            if *open == 0 {
                by_token.remove(&self.token);
            }
        }
    }
}

/// Whether the caller asks for server-sent events.
pub(crate) fn wants_events(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|kind| kind.split(';').next().unwrap_or_default().trim() == "text/event-stream")
}

/// After which event a broken stream goes on.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok())
}

/// Appends one event.
pub(crate) fn push_event(
    out: &mut String,
    event: &str,
    id: Option<&dyn std::fmt::Display>,
    data: &impl Serialize,
) {
    if let Some(id) = id {
        let _ = writeln!(out, "id: {id}");
    }
    let data = serde_json::to_string(data).expect("our own types always serialize");
    let _ = write!(out, "event: {event}\ndata: {data}\n\n");
}

/// A comment that says: still here.
pub(crate) const STILL_HERE: &str = ": still here\n\n";

/// A response made of pieces, until `next` has no more.
pub(crate) fn respond<S: Send + 'static, F>(
    kind: &'static str,
    state: S,
    next: impl Fn(S) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = Option<(Bytes, S)>> + Send + 'static,
{
    use futures_util::StreamExt as _;
    let pieces = futures_util::stream::unfold(state, next).map(Ok::<_, std::convert::Infallible>);
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

pub(crate) const EVENT_STREAM: &str = "text/event-stream";
pub(crate) const PLAIN_TEXT: &str = "text/plain; charset=utf-8";
