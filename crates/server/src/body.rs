//! Bodies in and out, and the keys that make a request safe to repeat.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, IF_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use fastgpu_api::parse::{Request, parse};
use fastgpu_api::problem::codes;
use fastgpu_api::units::shown;
use fastgpu_control::KeyUse;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;

use crate::refuse::Refusal;

/// One task with the largest command and environment fits.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// Ten thousand ordinary tasks fit.
pub(crate) const BATCH_BYTES_MAX: usize = 16 << 20;
/// A key is a short word that the caller made up.
const KEY_BYTES_MAX: usize = 128;
/// Reading more than this takes long enough to disturb others on the same thread.
const PARSE_INLINE_BYTES_MAX: usize = 64 << 10;

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(crate) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Reads a body of JSON, at most `max` bytes.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    max: usize,
    patience: Duration,
) -> Result<Bytes, Refusal> {
    let kind = headers.get(CONTENT_TYPE).filter(|kind| !is(kind, "application/json"));
    let wrong_kind = || {
        let kind = String::from_utf8_lossy(kind.map_or(b"".as_slice(), HeaderValue::as_bytes));
        let detail = format!("the body is announced as {}", shown(&kind));
        Refusal::new(&codes::UNSUPPORTED_MEDIA_TYPE, detail).hint("send `Content-Type: application/json`")
    };
    if kind.is_some_and(|kind| !is(kind, "application/x-www-form-urlencoded")) {
        return Err(wrong_kind());
    }
    let too_large = || {
        let detail = format!("the body is larger than the {} MiB that are taken here", max >> 20);
        Refusal::new(&codes::BODY_TOO_LARGE, detail).hint("split a batch, and pass data to tasks by files")
    };
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max) {
        return Err(too_large());
    }
    match tokio::time::timeout(patience, Limited::new(body, max).collect()).await {
        Ok(Ok(body)) => {
            let body = body.to_bytes();
            // `curl -d` announces a form when nobody tells it better; a form never begins so.
            let is_told_wrong = kind.is_some() && body.first().is_some_and(|&byte| byte != b'{');
            if is_told_wrong { Err(wrong_kind()) } else { Ok(body) }
        }
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::bad_request("the body ended early")),
        Err(_) => Err(Refusal::new(&codes::REQUEST_TIMEOUT, "the body did not arrive in time")),
    }
}

fn is(kind: &HeaderValue, media: &str) -> bool {
    let given = kind.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
    given.trim_ascii().eq_ignore_ascii_case(media.as_bytes())
}

/// Reads a request out of its body; a large one on a thread of its own.
pub(crate) async fn request<T: Request + Send + 'static>(body: &Bytes) -> Result<T, Refusal> {
    if body.len() <= PARSE_INLINE_BYTES_MAX {
        return Ok(parse(body)?);
    }
    let body = body.clone();
    let parsed = tokio::task::spawn_blocking(move || parse(&body)).await;
    Ok(parsed.map_err(|_| Refusal::stopping())??)
}

/// The caller's key for a request that must not be done twice.
pub(crate) fn key(headers: &HeaderMap, path: &str, body: &[u8]) -> Result<Option<KeyUse>, Refusal> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| (1..=KEY_BYTES_MAX).contains(&text.len()));
    let text = text.ok_or_else(|| {
        let detail = format!("an `Idempotency-Key` has 1 to {KEY_BYTES_MAX} printable ASCII characters");
        Refusal::bad_request(detail)
    })?;
    let mut digest = blake3::Hasher::new();
    digest.update(path.as_bytes()).update(&[0]).update(body);
    Ok(Some(KeyUse { key: text.into(), digest: *digest.finalize().as_bytes() }))
}

/// The revision that a change is meant for.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<u32>, Refusal> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let wrong = || {
        Refusal::bad_request("`If-Match` is not an `ETag` of a task").hint("send it as it came, in quotes")
    };
    digits.parse().map(Some).map_err(|_| wrong())
}

/// An answer in JSON that tells no moments; `App::json` shows those.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("our own types always serialize");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}
