//! How the API says no: `application/problem+json` (RFC 9457), with a stable code and what to do next.

use serde::{Deserialize, Serialize};

/// The media type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// More errors in one answer help nobody.
pub const FIELD_ERRORS_MAX: usize = 20;

/// One refusal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// A URI that names the kind of problem: `urn:fastgpu:error:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong here, in a sentence.
    pub detail: String,
    /// The path that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The stable word for programs: see [`codes::ALL`].
    pub code: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Names this request in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Which parts of the request are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// One wrong part of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FieldError {
    /// Where, as a JSON pointer (RFC 6901): `/gpu/share`.
    pub pointer: String,
    /// What is wrong, why, and what to write instead.
    pub detail: String,
}

impl FieldError {
    /// An error at `pointer`.
    #[must_use]
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// One segment of a JSON pointer, escaped and bounded.
#[must_use]
pub fn pointer_segment(key: &str) -> String {
    crate::units::shown(key).replace('~', "~0").replace('/', "~1")
}

impl Problem {
    /// A problem of this kind, with what is wrong here.
    #[must_use]
    pub fn new(code: &ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:fastgpu:error:{}", code.code),
            title: code.title.to_owned(),
            status: code.status,
            detail: detail.into(),
            code: code.code.to_owned(),
            ..Self::default()
        }
    }

    /// With what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A refusal of a request whose parts are wrong; the first becomes the detail.
    #[must_use]
    pub fn of_fields(code: &ErrorCode, mut errors: Vec<FieldError>) -> Self {
        let more = errors.len().saturating_sub(1);
        errors.truncate(FIELD_ERRORS_MAX);
        let detail = match errors.first() {
            None => code.title.to_owned(),
            Some(first) => {
                let place =
                    if first.pointer.is_empty() { String::new() } else { format!("`{}`: ", first.pointer) };
                let rest = match more {
                    0 => String::new(),
                    1 => " (and 1 more error)".to_owned(),
                    _ => format!(" (and {more} more errors)"),
                };
                format!("{place}{}{rest}", first.detail)
            }
        };
        Self { errors, ..Self::new(code, detail) }
    }
}

/// One kind of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode {
    /// The stable word, never used for anything else.
    pub code: &'static str,
    /// The HTTP status it comes with.
    pub status: u16,
    /// The kind of problem in a few words.
    pub title: &'static str,
    /// One line for the reference: when it happens and what to do.
    pub help: &'static str,
}

/// Every kind of refusal, one constant per row. `docs/errors` is made from [`codes::ALL`].
#[expect(missing_docs, reason = "each row says what it is")]
pub mod codes {
    use super::ErrorCode;

    const fn code(code: &'static str, status: u16, title: &'static str, help: &'static str) -> ErrorCode {
        ErrorCode { code, status, title, help }
    }

    pub const BAD_JSON: ErrorCode = code(
        "bad_json",
        400,
        "the body is not JSON",
        "The body is not JSON, is nested too deep, or is not UTF-8. Correct it at the line and column named.",
    );
    pub const BAD_REQUEST: ErrorCode = code(
        "bad_request",
        400,
        "the request is not understood",
        "A query parameter, a header or an id has the wrong form. The detail names it and the right form.",
    );
    pub const UNAUTHENTICATED: ErrorCode = code(
        "unauthenticated",
        401,
        "no valid token",
        "The token is missing, malformed or unknown. Send `Authorization: Bearer <token>`.",
    );
    pub const TOKEN_EXPIRED: ErrorCode = code(
        "token_expired",
        401,
        "the token has expired",
        "The token was valid once. Ask an administrator for a new one.",
    );
    pub const TOKEN_REVOKED: ErrorCode = code(
        "token_revoked",
        401,
        "the token was revoked",
        "The token was valid once. Ask an administrator for a new one.",
    );
    pub const FORBIDDEN: ErrorCode = code(
        "forbidden",
        403,
        "not allowed with this token",
        "The token's role does not allow it. Use a token with the role that the detail names.",
    );
    pub const NOT_FOUND: ErrorCode = code(
        "not_found",
        404,
        "there is no such thing",
        "No such path, task, node or token, or it belongs to a project the token does not reach.",
    );
    pub const METHOD_NOT_ALLOWED: ErrorCode = code(
        "method_not_allowed",
        405,
        "this path does not know the method",
        "The path exists for other methods; the `Allow` header lists them.",
    );
    pub const REQUEST_TIMEOUT: ErrorCode = code(
        "request_timeout",
        408,
        "the request came too slowly",
        "Header or body did not arrive in time. Send it again.",
    );
    pub const WRONG_STATE: ErrorCode = code(
        "wrong_state",
        409,
        "not possible in this state",
        "The task is in a state where this cannot be done. Look at its state first.",
    );
    pub const NOT_SUPPORTED: ErrorCode = code(
        "not_supported",
        409,
        "nothing here can do this yet",
        "No backend of this cluster can do it. The task goes on unchanged.",
    );
    pub const REVISION_MISMATCH: ErrorCode = code(
        "revision_mismatch",
        412,
        "changed since it was read",
        "It changed since it was read. Read it again, and send the new `ETag` as `If-Match` (or `revision`).",
    );
    pub const BODY_TOO_LARGE: ErrorCode = code(
        "body_too_large",
        413,
        "the body is too large",
        "Bodies are limited to 1 MiB, batches to 16 MiB. Split the batch, or put data into files.",
    );
    pub const BATCH_TOO_LARGE: ErrorCode = code(
        "batch_too_large",
        413,
        "too many tasks in one request",
        "A batch takes a limited number of tasks. Send several batches.",
    );
    pub const UNSUPPORTED_MEDIA_TYPE: ErrorCode = code(
        "unsupported_media_type",
        415,
        "the body is not announced as JSON",
        "Send `Content-Type: application/json`.",
    );
    pub const BAD_SPEC: ErrorCode = code(
        "bad_spec",
        422,
        "the request has wrong parts",
        "A key is unknown, repeated, of the wrong type or out of range. `errors` names each by JSON pointer.",
    );
    pub const NO_SUCH_CAPACITY: ErrorCode = code(
        "no_such_capacity",
        422,
        "nothing here could ever run it",
        "No device known now could ever serve the ask. Ask for less, or send `\"wait_for_capacity\": true`.",
    );
    pub const NO_SUCH_QUEUE: ErrorCode = code(
        "no_such_queue",
        422,
        "there is no such queue",
        "The task names a queue that the configuration does not have. `GET /v1/queues` lists those there are.",
    );
    pub const KEY_REUSED: ErrorCode = code(
        "key_reused",
        422,
        "the idempotency key belongs to another request",
        "The same `Idempotency-Key` came with another body. Use a new key for a new request.",
    );
    pub const BAD_CONFIG: ErrorCode = code(
        "bad_config",
        422,
        "the configuration is not valid",
        "The configuration was checked whole and refused; the one before stays in force.",
    );
    pub const QUEUE_FULL: ErrorCode = code(
        "queue_full",
        429,
        "the queue is full",
        "The queue holds as many tasks as it may. Try again after `Retry-After` seconds.",
    );
    pub const TOO_MANY_FAILURES: ErrorCode = code(
        "too_many_failures",
        429,
        "too many wrong tokens",
        "Too many requests with wrong tokens came from this address. Wait for `Retry-After` seconds.",
    );
    pub const TOO_MANY_STREAMS: ErrorCode = code(
        "too_many_streams",
        429,
        "too many open streams",
        "Streams and long polls are limited. Close some, or try again after `Retry-After` seconds.",
    );
    pub const HEADERS_TOO_LARGE: ErrorCode = code(
        "headers_too_large",
        431,
        "the header is too large",
        "Headers are limited. Send fewer or shorter ones.",
    );
    pub const INTERNAL: ErrorCode = code(
        "internal",
        500,
        "a fault of the server",
        "The server failed to answer. Its log names the request id; please report it.",
    );
    pub const OVERLOADED: ErrorCode = code(
        "overloaded",
        503,
        "the server is busy",
        "More requests came than can wait. Nothing was done; try again after `Retry-After` seconds.",
    );
    pub const STORAGE_FAILED: ErrorCode = code(
        "storage_failed",
        503,
        "the storage failed",
        "It is not known whether the change was saved. Repeat the request with the same `Idempotency-Key`.",
    );
    pub const STOPPING: ErrorCode = code(
        "stopping",
        503,
        "the server is stopping",
        "Nothing was done. Try again when the server is back.",
    );
    pub const NOT_READY: ErrorCode = code(
        "not_ready",
        503,
        "the server is not ready",
        "The server has just started. Try again in a moment.",
    );
    pub const STORAGE_FULL: ErrorCode = code(
        "storage_full",
        507,
        "the disk is full",
        "Nothing was done. Make room on the server's disk; running tasks go on meanwhile.",
    );

    /// All of them, in the order of their status.
    pub const ALL: &[ErrorCode] = &[
        BAD_JSON,
        BAD_REQUEST,
        UNAUTHENTICATED,
        TOKEN_EXPIRED,
        TOKEN_REVOKED,
        FORBIDDEN,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        REQUEST_TIMEOUT,
        WRONG_STATE,
        NOT_SUPPORTED,
        REVISION_MISMATCH,
        BODY_TOO_LARGE,
        BATCH_TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        BAD_SPEC,
        NO_SUCH_CAPACITY,
        NO_SUCH_QUEUE,
        KEY_REUSED,
        BAD_CONFIG,
        QUEUE_FULL,
        TOO_MANY_FAILURES,
        TOO_MANY_STREAMS,
        HEADERS_TOO_LARGE,
        INTERNAL,
        OVERLOADED,
        STORAGE_FAILED,
        STOPPING,
        NOT_READY,
        STORAGE_FULL,
    ];
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_lower_words_and_each_has_its_line() {
        let words: BTreeSet<_> = codes::ALL.iter().map(|row| row.code).collect();
        assert_eq!(words.len(), codes::ALL.len());
        for row in codes::ALL {
            assert!(row.code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", row.code);
            assert!(row.help.ends_with('.') && !row.title.ends_with('.'), "{}", row.code);
        }
    }

    #[test]
    fn a_problem_names_its_first_error_and_counts_the_rest() {
        let errors = (0..30).map(|n| FieldError::new(format!("/tasks/{n}/gpu"), "is wrong")).collect();
        let problem = Problem::of_fields(&codes::BAD_SPEC, errors);
        assert_eq!(problem.detail, "`/tasks/0/gpu`: is wrong (and 29 more errors)");
        assert_eq!(problem.errors.len(), FIELD_ERRORS_MAX);
        assert_eq!(problem.status, 422);
    }
}
