//! New tasks: one, many, and one again.
//!
//! The first is the busiest path of the server: it reads the body once, asks the control plane once, and
//! answers from what it sent, without reading anything back.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use fastgpu_api::answer::accepted_view;
use fastgpu_api::convert::Identity;
use fastgpu_api::problem::{FIELD_ERRORS_MAX, FieldError, codes};
use fastgpu_api::spec::{BatchSpec, TaskSpec};
use fastgpu_api::view::{BatchCreated, Created};
use fastgpu_control::Submitted;
use fastgpu_core::command::Submit;
use fastgpu_core::ids::{Name, TaskId};
use fastgpu_core::terms::Terms;
use fastgpu_failpoints::hit;

use crate::app::App;
use crate::auth::Caller;
use crate::body::{self, BATCH_BYTES_MAX, BODY_BYTES_MAX, IDEMPOTENCY_REPLAYED};
use crate::extract::Named;
use crate::refuse::{Answer, Refusal};

/// `POST /v1/tasks`
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let bytes = body::read(&headers, body, BODY_BYTES_MAX, app.options.body_timeout).await?;
    let spec: TaskSpec = body::request(&bytes).await?;
    let identity = identity(&caller, spec.project.as_deref())?;
    let submit = spec.into_submit(&identity).map_err(Refusal::fields)?;
    accept(&app, &caller, submit, &headers, &uri, &bytes, "server.submit.before_reply").await
}

/// `POST /v1/tasks/{id}/retry`: the same task again, with the same program and ask.
pub(crate) async fn again(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(task): Named,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let id = task.id;
    if !task.state.is_ended() {
        let detail = format!("{id} is {}: only what has ended can be run again", task.state.code());
        return Err(Refusal::new(&codes::WRONG_STATE, detail).hint(format!(
            "wait for its end, or end it with `fastgpu cancel {id}`; for a second one, submit it anew"
        )));
    }
    let hash = task.work.spec();
    let spec = app.read(move |history| history.spec(hash)).await?;
    let spec = spec.ok_or_else(|| Refusal::not_found(format!("the program of {id} is not kept any more")))?;
    let submit = Submit {
        project: task.project,
        owner: caller.owner.clone(),
        terms: Terms::clone(&task.terms),
        spec,
        spec_hash: hash,
        held: false,
    };
    accept(&app, &caller, submit, &headers, &uri, &[], "server.retry.before_reply").await
}

async fn accept(
    app: &App,
    caller: &Caller,
    submit: Submit,
    headers: &HeaderMap,
    uri: &Uri,
    bytes: &[u8],
    crash_point: &'static str,
) -> Answer {
    let key = body::key(headers, uri.path(), bytes)?;
    hit("server.submit.received");
    let asked = submit.clone();
    let Submitted { ids, repeated } = app.submit(caller, vec![submit], key).await?;
    hit(crash_point);
    let id = *ids.first().expect("the answer to one task is one id");
    let view = match repeated {
        true => app.view_now(caller, id).await?,
        false => accepted_view(id, &asked, app.handle.now()),
    };
    let mut response = app.json(StatusCode::CREATED, &view);
    let place = HeaderValue::try_from(format!("/v1/tasks/{id}")).expect("an id is ASCII");
    response.headers_mut().insert(LOCATION, place);
    Ok(replayed(response, repeated))
}

fn replayed(mut response: Response, repeated: bool) -> Response {
    if repeated {
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// In whose name a task is made: the caller's, in the project it names or the caller's own.
fn identity(caller: &Caller, project: Option<&str>) -> Result<Identity, Refusal> {
    let Some(project) = project else {
        return Ok(Identity { project: caller.project.clone(), owner: caller.owner.clone() });
    };
    fastgpu_api::convert::check_name(project)
        .map_err(|why| Refusal::fields(vec![FieldError::new("/project", why)]))?;
    let hidden = || Refusal::not_found(format!("there is no project `{project}` for this token"));
    caller.reach(project, hidden)?;
    Ok(Identity { project: Name::from(project), owner: caller.owner.clone() })
}

/// `POST /v1/tasks:batch`
pub(crate) async fn batch(
    State(app): State<Arc<App>>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let bytes = body::read(&headers, body, BATCH_BYTES_MAX, app.options.body_timeout).await?;
    let key = body::key(&headers, uri.path(), &bytes)?;
    let submits = all_of(&caller, &bytes).await?;
    hit("server.submit.received");
    let Submitted { ids, repeated } = app.submit(&caller, submits, key).await?;
    hit("server.batch.before_reply");
    let states = match repeated {
        true => states_now(&app, &caller, &ids).await?,
        false => vec!["queued".to_owned(); ids.len()],
    };
    let created = |(id, state): (&TaskId, String)| Created { id: id.to_string(), state };
    let answer = BatchCreated { items: ids.iter().zip(states).map(created).collect() };
    Ok(replayed(app.json(StatusCode::CREATED, &answer), repeated))
}

async fn all_of(caller: &Caller, bytes: &Bytes) -> Result<Vec<Submit>, Refusal> {
    let BatchSpec { tasks } = body::request(bytes).await?;
    if tasks.is_empty() {
        return Err(Refusal::fields(vec![FieldError::new(
            "/tasks",
            "the batch is empty; send at least one task",
        )]));
    }
    let mut submits = Vec::with_capacity(tasks.len());
    let mut errors = Vec::new();
    for (index, spec) in tasks.into_iter().enumerate() {
        let identity = identity(caller, spec.project.as_deref())?;
        match spec.into_submit(&identity) {
            Ok(submit) => submits.push(submit),
            Err(wrong) => errors.extend(
                wrong
                    .into_iter()
                    .map(|error| FieldError::new(format!("/tasks/{index}{}", error.pointer), error.detail)),
            ),
        }
        if errors.len() > FIELD_ERRORS_MAX {
            break;
        }
    }
    if errors.is_empty() { Ok(submits) } else { Err(Refusal::fields(errors)) }
}

async fn states_now(app: &App, caller: &Caller, ids: &[TaskId]) -> Result<Vec<String>, Refusal> {
    let (ids, scope) = (ids.to_vec(), caller.scope());
    app.read(move |history| {
        let state = |&id: &TaskId| {
            let task = history.task(&scope, id)?;
            Ok(task.map_or("queued", |task| task.state.code()).to_owned())
        };
        ids.iter().map(state).collect()
    })
    .await
}
