//! How requests travel: one connection, deadlines on everything that ends, and careful repetition.
//!
//! A request is repeated only when doing it twice is the same as doing it once: reads, and writes that
//! carry an idempotency key or are idempotent by nature. Repetition has few attempts, growing pauses, and
//! obeys `Retry-After` up to a limit.

use std::fmt;
use std::time::Duration;

use fastgpu_api::problem::Problem;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ClientError;

/// A listening server accepts at once; a machine that is gone answers never.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// A commit on a slow disk and a long queue before it fit in this several times over.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// How often a request is sent at most.
const SENDS_MAX: u32 = 4;
/// Pause before the first repetition, doubled before each further one.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// A server that asks for a longer pause gets its refusal reported instead.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);
/// Answers are bounded by the server's own limits (a page of a listing, 10 000 ids); far beyond them,
/// somebody else is speaking.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Why nothing was sent when the guard said no.
const ENDED: &str = "it has ended";

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A key under which the server remembers the answer to a write, so that it can be repeated.
#[derive(Debug, Clone)]
pub struct Key(HeaderValue);

impl Key {
    /// Takes any short text of visible ASCII.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        HeaderValue::from_str(text).ok().map(Self)
    }
}

/// Whether the server that the token is for is still there.
type Guard = Box<dyn Fn() -> bool + Send + Sync>;

/// One server, seen through one token.
pub struct Client {
    http: reqwest::Client,
    base: String,
    authority: Option<HeaderValue>,
    guard: Option<Guard>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token stays out of every log.
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

/// One request before it is sent.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// Below the base address, with its query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
    /// Whether doing it twice is the same as doing it once.
    pub(crate) repeatable: bool,
    /// Beyond [`ANSWER_PATIENCE`], for calls that the server holds on purpose.
    pub(crate) held: Duration,
    /// Whether it goes without the token: what everybody may know is asked of whoever listens.
    pub(crate) anonymous: bool,
    pub(crate) what: &'a str,
}

impl<'a> Call<'a> {
    pub(crate) fn get(what: &'a str, path: impl Into<String>) -> Self {
        Self { repeatable: true, ..Self::write(Method::GET, what, path) }
    }

    /// A write that is not to be repeated, until [`Call::key`] or [`Call::idempotent`] says otherwise.
    pub(crate) fn write(method: Method, what: &'a str, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: HeaderMap::new(),
            body: None,
            repeatable: false,
            held: Duration::ZERO,
            anonymous: false,
            what,
        }
    }

    pub(crate) fn body<T: Serialize>(mut self, body: &T) -> Result<Self, ClientError> {
        let json = serde_json::to_vec(body).map_err(|error| protocol(self.what, error.to_string()))?;
        self.body = Some(json);
        Ok(self)
    }

    pub(crate) fn key(mut self, key: &Key) -> Self {
        self.headers.insert(IDEMPOTENCY_KEY, key.0.clone());
        self.repeatable = true;
        self
    }

    pub(crate) fn idempotent(mut self) -> Self {
        self.repeatable = true;
        self
    }

    pub(crate) fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    pub(crate) fn held(mut self, held: Duration) -> Self {
        self.held = held;
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

pub(crate) fn protocol(what: &str, why: impl Into<String>) -> ClientError {
    ClientError::Protocol { what: what.to_owned(), why: why.into() }
}

impl Client {
    /// A client of the server at `url` (`http://127.0.0.1:7070`). Nothing is sent yet.
    ///
    /// # Errors
    /// When the address or the token has a form that no request could carry.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, ClientError> {
        let refuse = |why: &str| ClientError::BadUrl { url: url.to_owned(), why: why.to_owned() };
        let parsed = reqwest::Url::parse(url).map_err(|error| refuse(&error.to_string()))?;
        match parsed.scheme() {
            "http" => {}
            "https" => {
                return Err(refuse("TLS is not spoken yet; use http on a trusted network or a tunnel"));
            }
            _ => return Err(refuse("it must begin with http://")),
        }
        let authority = match token {
            None => None,
            Some(token) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                    .map_err(|_| refuse("the token has characters that no token has"))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        // The server is on this machine or named on purpose: no proxy stands between, and asking the
        // environment and the system for one would cost more than the call.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_PATIENCE)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| refuse(&error.to_string()))?;
        Ok(Self { http, base: parsed.as_str().trim_end_matches('/').to_owned(), authority, guard: None })
    }

    /// Asks `is_there` before each request that carries the token, and sends nothing when it says no: the
    /// server may have ended, and its address may be anybody's by now.
    #[must_use]
    pub fn guarded(mut self, is_there: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.guard = Some(Box::new(is_there));
        self
    }

    /// The address, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Sends a call and reads its JSON answer.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, ClientError> {
        let what = call.what.to_owned();
        let bytes = self.bytes(call).await?;
        serde_json::from_slice(&bytes).map_err(|error| protocol(&what, error.to_string()))
    }

    /// Sends a call whose answer has no body worth reading.
    pub(crate) async fn done(&self, call: Call<'_>) -> Result<(), ClientError> {
        self.bytes(call).await.map(|_| ())
    }

    /// Sends a call, repeating it where that is safe, and reads the whole answer.
    pub(crate) async fn bytes(&self, call: Call<'_>) -> Result<Vec<u8>, ClientError> {
        let mut pause = PAUSE_FIRST;
        for sends_left in (0..SENDS_MAX).rev() {
            let (error, asked_pause) = match self.send_once(&call).await {
                Ok(bytes) => return Ok(bytes),
                Err(failed) => failed,
            };
            let wait = asked_pause.unwrap_or(pause);
            if sends_left == 0 || !call.repeatable || !is_passing(&error) || wait > RETRY_AFTER_MAX {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
        unreachable!("the last send returns")
    }

    async fn send_once(&self, call: &Call<'_>) -> Result<Vec<u8>, (ClientError, Option<Duration>)> {
        let patience = ANSWER_PATIENCE + call.held;
        let late = || ClientError::Timeout { url: self.base.clone(), waited_s: patience.as_secs() };
        let whole = async {
            let response = self.open(call).await.map_err(|error| (error, None))?;
            let (status, pause) = (response.status(), asked_pause(&response));
            let bytes = self.read_all(response, call.what).await.map_err(|error| (error, None))?;
            if status.is_success() {
                return Ok(bytes);
            }
            Err((self.refusal(status, &bytes, call.what), pause))
        };
        tokio::time::timeout(patience, whole).await.unwrap_or_else(|_| Err((late(), None)))
    }

    /// Sends a call once and returns when the head of the answer is there.
    pub(crate) async fn open(&self, call: &Call<'_>) -> Result<Response, ClientError> {
        let mut request = self
            .http
            .request(call.method.clone(), format!("{}{}", self.base, call.path))
            .headers(call.headers.clone());
        if let Some(authority) = self.authority.as_ref().filter(|_| !call.anonymous) {
            if self.guard.as_ref().is_some_and(|is_there| !is_there()) {
                return Err(ClientError::Unreachable { url: self.base.clone(), why: ENDED.to_owned() });
            }
            request = request.header(AUTHORIZATION, authority.clone());
        }
        if let Some(body) = &call.body {
            request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body.clone());
        }
        request.send().await.map_err(|error| self.broken(&error))
    }

    async fn read_all(&self, mut response: Response, what: &str) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(protocol(what, format!("it is longer than {ANSWER_BYTES_MAX} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// The refusal in an answer that is not a success.
    pub(crate) fn refusal(&self, status: StatusCode, bytes: &[u8], what: &str) -> ClientError {
        match serde_json::from_slice::<Problem>(bytes) {
            Ok(problem) if !problem.code.is_empty() => ClientError::Problem(Box::new(problem)),
            _ if status == StatusCode::NOT_FOUND => ClientError::NotFastGpu { url: self.base.clone() },
            _ => protocol(what, format!("status {status} without a reason")),
        }
    }

    /// The connection failed, or never came about.
    pub(crate) fn broken(&self, error: &reqwest::Error) -> ClientError {
        if error.is_timeout() {
            return ClientError::Timeout { url: self.base.clone(), waited_s: CONNECT_PATIENCE.as_secs() };
        }
        // The innermost cause is the system's own word for it: "connection refused".
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let why = cause.to_string();
        let why = why.split(" (os error").next().unwrap_or_default().to_lowercase();
        if error.is_connect() || error.is_request() || error.is_body() {
            return ClientError::Unreachable { url: self.base.clone(), why };
        }
        protocol("a request", why)
    }
}

/// Whether the same request may succeed in a moment. A refused connection is not repeated, nor is a
/// request to a server that has ended: whoever calls wants to know at once that no server runs.
fn is_passing(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { why, .. } => why != ENDED && !why.contains("refused"),
        ClientError::Problem(problem) => matches!(problem.status, 429 | 503),
        _ => false,
    }
}

fn asked_pause(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    text.parse().ok().map(Duration::from_secs)
}

/// Percent-encodes one segment of a path or one value of a query.
pub(crate) fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// A query from the parameters that are set.
pub(crate) fn query(parameters: &[(&str, Option<String>)]) -> String {
    let set: Vec<_> = parameters
        .iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}={}", encoded(value))))
        .collect();
    if set.is_empty() { String::new() } else { format!("?{}", set.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_no_request_could_reach_is_refused() {
        for bad in ["", "127.0.0.1:7070", "ftp://x", "https://x", "http://"] {
            assert!(matches!(Client::new(bad, None), Err(ClientError::BadUrl { .. })), "{bad}");
        }
        assert_eq!(Client::new("http://127.0.0.1:7070/", None).unwrap().url(), "http://127.0.0.1:7070");
    }

    #[test]
    fn the_token_stays_out_of_what_is_printed() {
        let client = Client::new("http://127.0.0.1:1", Some("fgp_secret")).unwrap();
        assert!(!format!("{client:?}").contains("secret"));
    }

    #[test]
    fn queries_carry_only_what_is_set_and_nothing_escapes() {
        let text = query(&[("limit", Some("5".into())), ("cursor", None), ("name", Some("a&b=c/ü".into()))]);
        assert_eq!(text, "?limit=5&name=a%26b%3Dc%2F%C3%BC");
        assert_eq!(query(&[("cursor", None)]), "");
    }
}
