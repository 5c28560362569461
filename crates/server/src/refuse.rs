//! From anything that goes wrong to a problem document.

use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use fastgpu_api::problem::{ErrorCode, FieldError, Problem, codes};
use fastgpu_control::CommandError;
use fastgpu_core::capacity::TooBig;
use fastgpu_core::command::Refused;
use fastgpu_core::ids::Name;
use fastgpu_store::StoreError;

/// A request that is not answered as asked. Boxed: it is rare, and results travel far.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Box<Problem>);

/// What a handler answers.
pub(crate) type Answer = Result<Response, Refusal>;

impl Refusal {
    pub(crate) fn new(code: &ErrorCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem::new(code, detail)))
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn fields(errors: Vec<FieldError>) -> Self {
        Self(Box::new(Problem::of_fields(&codes::BAD_SPEC, errors)))
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(&codes::BAD_REQUEST, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(&codes::NOT_FOUND, detail)
    }

    pub(crate) fn stopping() -> Self {
        Self::new(&codes::STOPPING, "the server is stopping").hint("try again in a moment")
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<Box<Problem>> for Refusal {
    fn from(problem: Box<Problem>) -> Self {
        Self(problem)
    }
}

/// A refusal travels as an extension of an empty response: the edge adds the request's id and path, and
/// writes it out.
#[derive(Debug, Clone)]
pub(crate) struct Pending(pub(crate) Box<Problem>);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        response.extensions_mut().insert(Pending(self.0));
        response
    }
}

/// How long a caller should wait before it tries again; the queue and the disk do not empty at once.
pub(crate) fn retry_after(problem: &Problem) -> Option<HeaderValue> {
    match problem.code.as_str() {
        "queue_full" => Some(HeaderValue::from_static("5")),
        "too_many_failures" => Some(HeaderValue::from_static("60")),
        _ if problem.status == 429 || problem.status == 503 => Some(HeaderValue::from_static("1")),
        _ => None,
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "history cannot be read");
        Self::new(&codes::STORAGE_FAILED, "the stored history cannot be read")
            .hint("try again; if it stays so, the server's log says why")
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Refused(refused) => refused.into(),
            CommandError::KeyReused => {
                Self::new(&codes::KEY_REUSED, "this `Idempotency-Key` was used for another request")
                    .hint("use a new key for a new request")
            }
            CommandError::Overloaded => {
                Self::new(&codes::OVERLOADED, "more requests came than can wait; nothing was done")
                    .hint("try again after the time in `Retry-After`")
            }
            CommandError::StorageFull => {
                Self::new(&codes::STORAGE_FULL, "the server's disk is full; nothing was done")
                    .hint("running tasks go on; new ones are taken when there is room again")
            }
            CommandError::StorageFailed(detail) => {
                tracing::error!(detail, "a change could not be saved");
                Self::new(&codes::STORAGE_FAILED, "it is not known whether the change was saved")
                    .hint("repeat the request with the same `Idempotency-Key`: it is never done twice")
            }
            CommandError::Stopping => Self::stopping(),
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::NoSuchTask(_) | Refused::NoSuchNode(_) | Refused::NoSuchToken(_) => {
                Self::not_found(detail)
            }
            Refused::QueueFull { .. } | Refused::SpecsFull { .. } => {
                Self::new(&codes::QUEUE_FULL, detail).hint("try again when tasks have ended")
            }
            Refused::BatchTooLarge { max, .. } => Self::new(&codes::BATCH_TOO_LARGE, detail)
                .hint(format!("send batches of at most {max} tasks")),
            Refused::NoSuchQueue { known, .. } => {
                let mut problem = Problem::new(&codes::NO_SUCH_QUEUE, detail.clone());
                problem.errors = vec![FieldError::new("/queue", detail)];
                problem.hint(format!("the queues here are: {}", listed(&known))).into()
            }
            Refused::NoSuchCapacity(too_big) => {
                let mut problem = Problem::new(&codes::NO_SUCH_CAPACITY, detail.clone());
                problem.errors = vec![FieldError::new(pointer_of(&too_big), detail)];
                problem.hint(too_big.hint()).into()
            }
            Refused::RevisionMismatch { .. } => {
                Self::new(&codes::REVISION_MISMATCH, detail).hint("read the task again, then decide again")
            }
            Refused::WrongState { .. } => Self::new(&codes::WRONG_STATE, detail),
            Refused::NotSupported { .. } => {
                Self::new(&codes::NOT_SUPPORTED, detail).hint("the task goes on unchanged")
            }
            Refused::Exposed { .. } => Self::new(&codes::FORBIDDEN, detail)
                .hint("`fastgpu doctor` says what the node needs; or give each person a server of their own"),
            Refused::BadConfig(_) => {
                Self::new(&codes::BAD_CONFIG, detail).hint("the configuration before it stays in force")
            }
        }
    }
}

/// Names in a sentence; a page of them helps nobody.
fn listed(names: &[Name]) -> String {
    const SHOWN_MAX: usize = 16;
    let shown = names.iter().take(SHOWN_MAX).map(|name| &**name).collect::<Vec<_>>().join(", ");
    match names.len() {
        ..=SHOWN_MAX => shown,
        count => format!("{shown} and {} more", count - SHOWN_MAX),
    }
}

/// Where in a task's spec the part that is too big was written.
fn pointer_of(too_big: &TooBig) -> &'static str {
    match too_big {
        TooBig::NoDevices | TooBig::Devices { .. } | TooBig::Device => "/gpu",
        TooBig::DeviceMemory { .. } => "/gpu_memory",
        TooBig::Model { .. } => "/gpu/models",
        TooBig::Cpu { .. } => "/cpu",
        TooBig::HostMemory { .. } => "/memory",
        TooBig::Node { .. } => "/nodes",
        TooBig::Labels { .. } => "/labels",
        TooBig::Together => "",
    }
}
