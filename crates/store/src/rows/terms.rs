//! What a user asks for, as JSON: the same keys in a task's row, in a journal's tasks and in its submits.
//!
//! A new field is written here, and nowhere else in this crate.

use std::sync::Arc;

use fastgpu_core::policy::DEFAULT_QUEUE;
use fastgpu_core::retry::RetryPolicy;
use fastgpu_core::terms::{Limits, Terms};
use fastgpu_core::units::Millis;
use serde::{Deserialize, Serialize};

use super::ask::AskRow;
use super::{Shared, Wrong, is_default};

#[derive(Serialize, Deserialize)]
pub(crate) struct TermsRow {
    /// Left out where it has a column.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) name: Option<String>,
    ask: AskRow,
    /// Nothing means the default queue.
    #[serde(default, skip_serializing_if = "is_default")]
    queue: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) priority: i32,
    #[serde(default, skip_serializing_if = "is_default")]
    run_max_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    queue_max_ms: Option<u64>,
    stop_grace_ms: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    expected_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    retries: u16,
    #[serde(default, skip_serializing_if = "is_default")]
    backoff_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    wait_for_capacity: bool,
}

impl TermsRow {
    pub(crate) fn of(terms: &Terms) -> Self {
        Self {
            name: terms.name.as_deref().map(str::to_owned),
            ask: AskRow::of(&terms.ask),
            queue: (&*terms.queue != DEFAULT_QUEUE).then(|| terms.queue.to_string()),
            priority: terms.priority,
            run_max_ms: terms.limits.run.map(|limit| limit.0),
            queue_max_ms: terms.limits.queue.map(|limit| limit.0),
            stop_grace_ms: terms.limits.stop_grace.0,
            expected_ms: terms.expected.map(|expected| expected.0),
            retries: terms.retry.max,
            backoff_ms: terms.retry.backoff.map(|wait| wait.0),
            wait_for_capacity: terms.wait_for_capacity,
        }
    }

    pub(crate) fn into_core(self, shared: &mut Shared) -> Result<Arc<Terms>, Wrong> {
        let ask = self.ask.into_core(shared)?;
        let terms = Terms {
            name: self.name.map(|name| shared.name(&name)),
            ask: shared.ask(ask),
            queue: shared.name(self.queue.as_deref().unwrap_or(DEFAULT_QUEUE)),
            priority: self.priority,
            limits: Limits {
                run: self.run_max_ms.map(Millis),
                queue: self.queue_max_ms.map(Millis),
                stop_grace: Millis(self.stop_grace_ms),
            },
            expected: self.expected_ms.map(Millis),
            retry: RetryPolicy { max: self.retries, backoff: self.backoff_ms.map(Millis) },
            wait_for_capacity: self.wait_for_capacity,
        };
        Ok(shared.terms(terms))
    }
}
