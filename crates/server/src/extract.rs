//! What handlers ask of a request: the caller, the parameters, the name in the path, the task it names.
//!
//! Caller and parameters were left by the gate. A handler behind a gate that leaves none is refused: a row of the
//! route table cannot open more than it says.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use fastgpu_api::problem::codes;
use fastgpu_control::Watch;
use fastgpu_core::ids::TaskId;
use fastgpu_core::task::Task;

use crate::app::App;
use crate::auth::Caller;
use crate::query::{Query, task_id};
use crate::refuse::Refusal;

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Refusal> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Refusal::new(&codes::UNAUTHENTICATED, "nobody was asked for a token here"))
    }
}

impl FromRequestParts<Arc<App>> for Query {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Refusal> {
        parts.extensions.remove::<Self>().ok_or_else(|| Refusal::bad_request("this path takes no parameters"))
    }
}

/// The name in a path, as text.
#[derive(Debug, Clone)]
pub(crate) struct Segment(pub(crate) String);

impl FromRequestParts<Arc<App>> for Segment {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let Path(text) = Path::<String>::from_request_parts(parts, app)
            .await
            .map_err(|_| Refusal::not_found("the name in the path is malformed"))?;
        Ok(Self(text))
    }
}

/// The task that a path names. The caller may do to it what the route is for; one they must not see does not exist.
#[derive(Debug)]
pub(crate) struct Named(pub(crate) Task);

impl FromRequestParts<Arc<App>> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let (caller, id) = asked(parts, app).await?;
        app.task(&caller, id).await.map(Self)
    }
}

/// The same with news of the task from before it was read, so that nothing is missed in between.
#[derive(Debug)]
pub(crate) struct Followed(pub(crate) Task, pub(crate) Watch);

impl FromRequestParts<Arc<App>> for Followed {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let (caller, id) = asked(parts, app).await?;
        let news = app.handle.watch(id);
        Ok(Self(app.task(&caller, id).await?, news))
    }
}

async fn asked(parts: &mut Parts, app: &Arc<App>) -> Result<(Caller, TaskId), Refusal> {
    let Segment(text) = Segment::from_request_parts(parts, app).await?;
    Ok((Caller::from_request_parts(parts, app).await?, task_id(&text)?))
}
