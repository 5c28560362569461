//! Query strings: every parameter known, none twice, each with its own sentence when it is wrong.

use std::str::FromStr;

use axum::extract::Query as AxumQuery;
use axum::http::Uri;
use fastgpu_api::hint::nearest;
use fastgpu_api::time::WallTime;
use fastgpu_api::units::{shown, span_text};
use fastgpu_core::ids::TaskId;
use fastgpu_core::units::{Millis, Timestamp};

use crate::refuse::Refusal;

/// A clock may be ahead of ours by this much.
const FUTURE_MAX: Millis = Millis::from_secs(86_400);
/// More parameters than any path knows.
const PARAMETERS_MAX: usize = 64;

/// The parameters of one request.
#[derive(Debug, Clone)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the parameters, all of which must be in `known`.
    pub(crate) fn of(uri: &Uri, known: &[&str]) -> Result<Self, Refusal> {
        if uri.query().is_none_or(str::is_empty) {
            return Ok(Self(Vec::new()));
        }
        let AxumQuery(pairs) = AxumQuery::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Refusal::bad_request("the query string is malformed"))?;
        if pairs.len() > PARAMETERS_MAX {
            return Err(Refusal::bad_request("the query string has too many parameters"));
        }
        for (position, (key, _)) in pairs.iter().enumerate() {
            if !known.contains(&key.as_str()) {
                let detail = format!("there is no parameter `{}`", shown(key));
                let refusal = Refusal::bad_request(detail);
                return Err(match nearest(key, known) {
                    Some(word) => refusal.hint(format!("did you mean `{word}`?")),
                    None if known.is_empty() => refusal.hint("this path takes no parameters"),
                    None => refusal.hint(format!("the parameters are {}", known.join(", "))),
                });
            }
            if pairs[..position].iter().any(|(earlier, _)| earlier == key) {
                return Err(Refusal::bad_request(format!("the parameter `{key}` is given twice")));
            }
        }
        Ok(Self(pairs))
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn number<T: FromStr>(&self, key: &str) -> Result<Option<T>, Refusal> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let wrong =
            || Refusal::bad_request(format!("`{key}={}` is not a whole number in range", shown(text)));
        text.parse().map(Some).map_err(|_| wrong())
    }

    pub(crate) fn flag(&self, key: &str) -> Result<bool, Refusal> {
        match self.get(key) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1" | "") => Ok(true),
            Some(other) => {
                Err(Refusal::bad_request(format!("`{key}={}` is neither true nor false", shown(other))))
            }
        }
    }

    /// How many items to show: at least 1, at most `max`.
    pub(crate) fn limit(&self, default: usize, max: usize) -> Result<usize, Refusal> {
        match self.number::<usize>("limit")? {
            None => Ok(default),
            Some(limit) if (1..=max).contains(&limit) => Ok(limit),
            Some(limit) => {
                Err(Refusal::bad_request(format!("`limit={limit}` is out of range, which is 1 to {max}")))
            }
        }
    }

    /// A moment, or how long ago it was (`2h`), on the clock that says `now` while the wall clock is `ahead_ms` ahead.
    pub(crate) fn moment(
        &self,
        key: &str,
        now: Timestamp,
        ahead_ms: i64,
    ) -> Result<Option<Timestamp>, Refusal> {
        let Some(text) = self.get(key) else { return Ok(None) };
        if let Ok(WallTime(at)) = text.parse() {
            let at = Timestamp(at.0.saturating_sub(ahead_ms));
            // Nothing is of the future, however far it is.
            return Ok(Some(at.min(now.plus(FUTURE_MAX))));
        }
        match span_text(text) {
            Ok(span) => Ok(Some(Timestamp(now.0.saturating_sub_unsigned(span.0)))),
            Err(_) => Err(Refusal::bad_request(format!("`{key}={}` is not a time", shown(text)))
                .hint("write for example 2026-01-31T12:00:00Z, or 2h for two hours ago")),
        }
    }
}

/// The id in a path. What is no id names nothing.
pub(crate) fn task_id(text: &str) -> Result<TaskId, Refusal> {
    text.parse().map_err(|error: fastgpu_core::ids::NotAnId| {
        Refusal::not_found(format!("`{}` is not a task id", shown(&error.given)))
            .hint("a task id is `t-` and 13 letters or digits; `fastgpu ps` lists them")
    })
}
