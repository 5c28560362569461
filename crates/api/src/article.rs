//! The three calls of the original article, as its client sends and expects them.

use serde::{Deserialize, Serialize};

use crate::parse::{Field, Request};
use crate::spec::Quantity;

/// The body of `POST /submit_task`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubmitTask {
    /// A label for accounting; authority comes from the token alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Quantity>,
    /// A label for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_name: Option<String>,
    /// How many GPUs; fractions are allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_count: Option<Quantity>,
    /// How many hours; fractions are allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execute_time: Option<Quantity>,
    /// Program and arguments; without it the task holds its GPUs for that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
}

impl Request for SubmitTask {
    const FIELDS: &'static [Field] = &[
        Field::plain::<Option<Quantity>>("user_id", "a text"),
        Field::plain::<Option<String>>("task_name", "a text"),
        Field::plain::<Option<Quantity>>("resource_count", "a number of GPUs"),
        Field::plain::<Option<Quantity>>("execute_time", "a number of hours"),
        Field::plain::<Option<Vec<String>>>("command", "a list of texts like [\"python\", \"train.py\"]"),
    ];
}

/// The answer of all three calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// The task.
    pub task_id: String,
    /// `submitted`, `running`, `finished` or `failed`; `released` from `release_resource`.
    pub status: String,
}

/// The article's word for a state of ours.
#[must_use]
pub fn status_word(state: &str) -> &'static str {
    match state {
        "queued" => "submitted",
        "succeeded" => "finished",
        "failed" | "cancelled" | "timed_out" => "failed",
        _ => "running",
    }
}
