//! Which task is meant: a full id, the beginning of one, a name, `@`, `@~2`.

use fastgpu_api::view::TaskView;
use fastgpu_client::{Client, ClientError, TaskQuery};
use fastgpu_core::ids::TaskId;

use crate::failure::Failure;

/// `@~N` reaches back this far at most; a listing is the better tool for more.
const BACK_MAX: u32 = 200;
/// Candidates that are shown when a text means several tasks.
const CANDIDATES_SHOWN: usize = 8;
/// Digits of an id, as [`TaskId`] prints them.
const ID_DIGITS: &str = "0123456789abcdefghjkmnpqrstvwxyz";

/// The task that `text` means, as it is now.
pub(crate) async fn task(client: &Client, text: &str) -> Result<TaskView, Failure> {
    if let Some(back) = text.strip_prefix('@') {
        return last(client, text, back).await;
    }
    if text.parse::<TaskId>().is_ok() {
        return match client.task(text).await {
            Err(error) if error.has_code("not_found") => Err(no_such(text)),
            other => Ok(other?),
        };
    }
    if let Some(task) = by_name(client, text).await? {
        return Ok(task);
    }
    by_prefix(client, text).await?.ok_or_else(|| no_such(text))
}

fn no_such(text: &str) -> Failure {
    Failure::new(format!("there is no task `{text}`"))
        .help("`fastgpu ps -a` lists all tasks that your token may see")
}

/// `@` is the last task of the caller, `@~1` the one before.
async fn last(client: &Client, text: &str, back: &str) -> Result<TaskView, Failure> {
    let back = match back.strip_prefix('~') {
        None if back.is_empty() => Some(0),
        None => None,
        Some(digits) => digits.parse::<u32>().ok().filter(|&back| back < BACK_MAX),
    };
    let Some(back) = back else {
        return Err(Failure::usage(format!("`{text}` names no task")).help(format!(
            "write `@` for your last task, or `@~1` to `@~{}` for those before",
            BACK_MAX - 1
        )));
    };
    let which = TaskQuery {
        owner: Some(client.whoami().await?.owner),
        limit: Some(back + 1),
        ..TaskQuery::default()
    };
    let found = client.tasks(&which).await?.items;
    let count = found.len();
    found.into_iter().nth(back as usize).ok_or_else(|| match count {
        0 => {
            Failure::new("you have not submitted a task yet").help("`fastgpu run --gpu 0.5 -- …` submits one")
        }
        _ => Failure::new(format!("`{text}` goes back too far: you have submitted {count} tasks")),
    })
}

/// The one live task of this name, else the newest.
async fn by_name(client: &Client, name: &str) -> Result<Option<TaskView>, Failure> {
    let which = |live| TaskQuery {
        name: Some(name.to_owned()),
        live,
        limit: Some(if live { 100 } else { 1 }),
        ..TaskQuery::default()
    };
    let named = |result: Result<Vec<TaskView>, ClientError>| match result {
        // What cannot be a name is no name: then it may be the beginning of an id.
        Err(ClientError::Problem(problem)) if matches!(problem.status, 400 | 422) => Ok(Vec::new()),
        other => other,
    };
    let live = named(client.tasks(&which(true)).await.map(|page| page.items))?;
    if live.len() > 1 {
        return Err(ambiguous(name, "is the name of", &live));
    }
    if let Some(task) = live.into_iter().next() {
        return Ok(Some(task));
    }
    Ok(named(client.tasks(&which(false)).await.map(|page| page.items))?.into_iter().next())
}

/// The one task whose id begins so, with or without `t-`.
async fn by_prefix(client: &Client, text: &str) -> Result<Option<TaskView>, Failure> {
    let digits = text.strip_prefix("t-").unwrap_or(text);
    if digits.is_empty() || digits.len() > 13 || !digits.chars().all(|digit| ID_DIGITS.contains(digit)) {
        return Ok(None);
    }
    let which =
        TaskQuery { id_prefix: Some(format!("t-{digits}")), limit: Some(100), ..TaskQuery::default() };
    let found = client.tasks(&which).await?.items;
    match found.len() {
        0 | 1 => Ok(found.into_iter().next()),
        _ => Err(ambiguous(text, "begins the ids of", &found)),
    }
}

fn ambiguous(text: &str, how: &str, found: &[TaskView]) -> Failure {
    let mut failure = Failure::usage(format!("`{text}` {how} {} tasks", found.len()));
    for task in found.iter().take(CANDIDATES_SHOWN) {
        let name = task.name.as_deref().unwrap_or("-");
        failure = failure.note(format!("{} {} {name}", task.id, task.state));
    }
    failure.help("name one of them by its id")
}
