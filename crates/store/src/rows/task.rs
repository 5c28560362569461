//! A task as columns and JSON, with a checksum over all of it.
//!
//! Columns are what is searched for; the rest is [`Body`]. The checksum makes a flipped bit an error that
//! names the row, instead of a task that runs with the wrong limits.

use fastgpu_core::ask::Grant;
use fastgpu_core::ids::{Fence, NodeId, SpecHash, TaskId};
use fastgpu_core::retry::Strikes;
use fastgpu_core::task::{End, Hold, Outcome, QueueCause, Standing, StopCause, Task, TaskState, Work};
use fastgpu_core::units::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

use super::ask::PartRow;
use super::exit::{ExitRow, class_from_word};
use super::terms::TermsRow;
use super::{
    Shared, Wrong, from_json, hash_from_hex, hash_to_hex, id_column, id_from_column, is_default, to_json,
};

/// The columns of one task, borrowed from the task or from the database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskColumns<'a> {
    pub(crate) id: i64,
    pub(crate) project: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) name: Option<&'a str>,
    pub(crate) priority: i32,
    pub(crate) state: &'a str,
    pub(crate) submitted_at: i64,
    pub(crate) ended_at: Option<i64>,
    pub(crate) spec: &'a [u8],
    pub(crate) body: &'a str,
}

impl<'a> TaskColumns<'a> {
    /// The columns of `task`, whose [`body_of`] is `body`.
    pub(crate) fn of(task: &'a Task, hash: &'a SpecHash, body: &'a str) -> Self {
        Self {
            id: id_column(task.id),
            project: &task.project,
            owner: &task.owner,
            name: task.terms.name.as_deref(),
            priority: task.priority,
            state: task.state.code(),
            submitted_at: task.submitted_at.0,
            ended_at: ended_at(&task.state),
            spec: &hash.0,
            body,
        }
    }

    pub(crate) fn checksum(&self) -> i64 {
        let mut sum = Checksum::default();
        sum.number(self.id);
        sum.text(self.project.as_bytes());
        sum.text(self.owner.as_bytes());
        sum.text(self.name.unwrap_or("\0").as_bytes());
        sum.number(i64::from(self.priority));
        sum.text(self.state.as_bytes());
        sum.number(self.submitted_at);
        sum.number(self.ended_at.unwrap_or(i64::MIN));
        sum.text(self.spec);
        sum.text(self.body.as_bytes());
        sum.0.cast_signed()
    }

    /// The task, if every column fits `checksum` and the others.
    pub(crate) fn into_core(self, checksum: i64, shared: &mut Shared) -> Result<Task, Wrong> {
        if self.checksum() != checksum {
            return Err("the checksum does not match".to_owned());
        }
        self.with_body(from_json(self.body)?, shared)
    }

    fn with_body(self, body: Body, shared: &mut Shared) -> Result<Task, Wrong> {
        let hash = SpecHash(self.spec.try_into().map_err(|_| "a spec hash of the wrong length".to_owned())?);
        let mut asked = body.terms;
        asked.name = self.name.map(str::to_owned);
        if body.in_force.is_none() {
            asked.priority = self.priority;
        }
        let terms = asked.into_core(shared)?;
        Ok(Task {
            id: id_from_column(self.id)?,
            project: shared.name(self.project),
            owner: shared.name(self.owner),
            priority: self.priority,
            time_limit: match body.in_force {
                Some(in_force) => in_force.time_limit_ms.map(Millis),
                None => terms.limits.run,
            },
            terms,
            work: match body.work {
                WorkRow::Program => Work::Program(hash),
                WorkRow::Reservation => Work::Reservation(hash),
            },
            attained: body.attained,
            standing: Standing::default(),
            strikes: Strikes { user: body.strikes_user, infrastructure: body.strikes_infrastructure },
            broken_nodes: body.broken_nodes.into_iter().map(NodeId).collect(),
            last_fault: body.last_fault,
            submitted_at: Timestamp(self.submitted_at),
            first_started_at: body.first_started_at.map(Timestamp),
            attempt: body.attempt,
            revision: body.revision,
            next_event: body.next_event,
            cost_carry: body.cost_carry,
            spec_bytes: body.spec_bytes,
            state: body.state.into_core()?,
        })
    }
}

/// When the task ended, if it did: the column by which it counts as live or not.
pub(crate) fn ended_at(state: &TaskState) -> Option<i64> {
    match state {
        TaskState::Ended(end) => Some(end.at.0),
        _ => None,
    }
}

/// Any change of any single word changes the sum: each step is a bijection of the sum.
#[derive(Default)]
struct Checksum(u64);

impl Checksum {
    fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    fn number(&mut self, number: i64) {
        self.word(number.cast_unsigned());
    }

    fn text(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
    }
}

/// What of a task is not in a column.
#[derive(Serialize, Deserialize)]
struct Body {
    /// The name is a column.
    #[serde(flatten)]
    terms: TermsRow,
    #[serde(default, skip_serializing_if = "is_default")]
    work: WorkRow,
    /// Only where something else is in force than was asked for. The priority in force is a column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_force: Option<InForceRow>,
    #[serde(default, skip_serializing_if = "is_default")]
    attained: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    strikes_user: u16,
    #[serde(default, skip_serializing_if = "is_default")]
    strikes_infrastructure: u16,
    #[serde(default, skip_serializing_if = "is_default")]
    broken_nodes: Vec<u32>,
    #[serde(default, skip_serializing_if = "is_default")]
    last_fault: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    first_started_at: Option<i64>,
    #[serde(default, skip_serializing_if = "is_default")]
    attempt: u32,
    revision: u32,
    next_event: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    cost_carry: i64,
    #[serde(default)]
    spec_bytes: u32,
    state: StateRow,
}

#[derive(Serialize, Deserialize)]
struct InForceRow {
    #[serde(default, skip_serializing_if = "is_default")]
    time_limit_ms: Option<u64>,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WorkRow {
    #[default]
    Program,
    Reservation,
}

/// The JSON of what is not in a column.
pub(crate) fn body_of(task: &Task) -> String {
    to_json(&Body::of(task))
}

/// A whole live task as JSON: for a journal, which has no columns.
#[derive(Serialize, Deserialize)]
pub(crate) struct TaskRow {
    id: u64,
    project: String,
    owner: String,
    #[serde(default, skip_serializing_if = "is_default")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    priority: i32,
    submitted_at: i64,
    spec: String,
    body: Body,
}

impl TaskRow {
    pub(crate) fn of(task: &Task) -> Self {
        Self {
            id: task.id.get(),
            project: task.project.to_string(),
            owner: task.owner.to_string(),
            name: task.terms.name.as_deref().map(str::to_owned),
            priority: task.priority,
            submitted_at: task.submitted_at.0,
            spec: hash_to_hex(task.work.spec()),
            body: Body::of(task),
        }
    }

    pub(crate) fn into_core(self, shared: &mut Shared) -> Result<Task, Wrong> {
        let id = TaskId::new(self.id).ok_or_else(|| format!("{} is no task id", self.id))?;
        let columns = TaskColumns {
            id: id_column(id),
            project: &self.project,
            owner: &self.owner,
            name: self.name.as_deref(),
            priority: self.priority,
            state: "",
            submitted_at: self.submitted_at,
            ended_at: None,
            spec: &hash_from_hex(&self.spec)?.0,
            body: "",
        };
        columns.with_body(self.body, shared)
    }
}

impl Body {
    fn of(task: &Task) -> Self {
        let mut terms = TermsRow::of(&task.terms);
        terms.name = None;
        Self {
            terms,
            work: match task.work {
                Work::Program(_) => WorkRow::Program,
                Work::Reservation(_) => WorkRow::Reservation,
            },
            in_force: InForceRow::of(task),
            attained: task.attained,
            strikes_user: task.strikes.user,
            strikes_infrastructure: task.strikes.infrastructure,
            broken_nodes: task.broken_nodes.iter().map(|node| node.0).collect(),
            last_fault: task.last_fault.clone(),
            first_started_at: task.first_started_at.map(|at| at.0),
            attempt: task.attempt,
            revision: task.revision,
            next_event: task.next_event,
            cost_carry: task.cost_carry,
            spec_bytes: task.spec_bytes,
            state: StateRow::of(&task.state),
        }
    }
}

impl InForceRow {
    fn of(task: &Task) -> Option<Self> {
        let as_asked = task.priority == task.terms.priority && task.time_limit == task.terms.limits.run;
        (!as_asked).then(|| Self { time_limit_ms: task.time_limit.map(|limit| limit.0) })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateRow {
    Queued { cause: CauseRow, since: i64 },
    Starting { hold: HoldRow },
    Running { hold: HoldRow, since: i64 },
    Stopping { hold: HoldRow, since: Option<i64>, why: WhyRow },
    Suspending { hold: HoldRow, since: i64 },
    Suspended { hold: HoldRow, since: i64 },
    Resuming { hold: HoldRow, since: i64 },
    Ended { outcome: OutcomeRow, at: i64, exit: Option<ExitRow> },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CauseRow {
    Capacity,
    Retrying { class: String, not_before: i64 },
    Preempted,
    Dependency(u64),
    Held,
    Parked,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WhyRow {
    Cancel,
    Release,
    Preempt,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutcomeRow {
    Succeeded,
    Failed(String),
    Cancelled,
    TimedOutRunning,
    TimedOutQueued,
}

#[derive(Serialize, Deserialize)]
struct HoldRow {
    attempt: u32,
    version: u32,
    parts: Vec<PartRow>,
    placed_at: i64,
    metered_from: i64,
}

impl StateRow {
    fn of(state: &TaskState) -> Self {
        use TaskState as S;
        match state {
            S::Queued { cause, since } => Self::Queued { cause: CauseRow::of(cause), since: since.0 },
            S::Starting { hold } => Self::Starting { hold: HoldRow::of(hold) },
            S::Running { hold, since } => Self::Running { hold: HoldRow::of(hold), since: since.0 },
            S::Stopping { hold, since, why } => Self::Stopping {
                hold: HoldRow::of(hold),
                since: since.map(|since| since.0),
                why: match why {
                    StopCause::Cancel => WhyRow::Cancel,
                    StopCause::Release => WhyRow::Release,
                    StopCause::Preempt => WhyRow::Preempt,
                },
            },
            S::Suspending { hold, since } => Self::Suspending { hold: HoldRow::of(hold), since: since.0 },
            S::Suspended { hold, since } => Self::Suspended { hold: HoldRow::of(hold), since: since.0 },
            S::Resuming { hold, since } => Self::Resuming { hold: HoldRow::of(hold), since: since.0 },
            S::Ended(end) => Self::Ended {
                outcome: OutcomeRow::of(end.outcome),
                at: end.at.0,
                exit: end.exit.as_ref().map(ExitRow::of),
            },
        }
    }

    fn into_core(self) -> Result<TaskState, Wrong> {
        use TaskState as S;
        let at = Timestamp;
        Ok(match self {
            Self::Queued { cause, since } => S::Queued { cause: cause.into_core()?, since: at(since) },
            Self::Starting { hold } => S::Starting { hold: hold.into_core()? },
            Self::Running { hold, since } => S::Running { hold: hold.into_core()?, since: at(since) },
            Self::Stopping { hold, since, why } => S::Stopping {
                hold: hold.into_core()?,
                since: since.map(at),
                why: match why {
                    WhyRow::Cancel => StopCause::Cancel,
                    WhyRow::Release => StopCause::Release,
                    WhyRow::Preempt => StopCause::Preempt,
                },
            },
            Self::Suspending { hold, since } => S::Suspending { hold: hold.into_core()?, since: at(since) },
            Self::Suspended { hold, since } => S::Suspended { hold: hold.into_core()?, since: at(since) },
            Self::Resuming { hold, since } => S::Resuming { hold: hold.into_core()?, since: at(since) },
            Self::Ended { outcome, at: ended, exit } => S::Ended(End {
                outcome: outcome.into_core()?,
                at: at(ended),
                exit: exit.map(ExitRow::into_core),
            }),
        })
    }
}

impl CauseRow {
    fn of(cause: &QueueCause) -> Self {
        match cause {
            QueueCause::Capacity => Self::Capacity,
            QueueCause::Retrying { class, not_before } => {
                Self::Retrying { class: class.code().to_owned(), not_before: not_before.0 }
            }
            QueueCause::Preempted => Self::Preempted,
            QueueCause::Dependency(task) => Self::Dependency(task.get()),
            QueueCause::Held => Self::Held,
            QueueCause::Parked => Self::Parked,
        }
    }

    fn into_core(self) -> Result<QueueCause, Wrong> {
        Ok(match self {
            Self::Capacity => QueueCause::Capacity,
            Self::Retrying { class, not_before } => {
                QueueCause::Retrying { class: class_from_word(&class)?, not_before: Timestamp(not_before) }
            }
            Self::Preempted => QueueCause::Preempted,
            Self::Dependency(raw) => {
                QueueCause::Dependency(TaskId::new(raw).ok_or_else(|| format!("{raw} is no task id"))?)
            }
            Self::Held => QueueCause::Held,
            Self::Parked => QueueCause::Parked,
        })
    }
}

impl OutcomeRow {
    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Self::Succeeded,
            Outcome::Failed(class) => Self::Failed(class.code().to_owned()),
            Outcome::Cancelled => Self::Cancelled,
            Outcome::TimedOutRunning => Self::TimedOutRunning,
            Outcome::TimedOutQueued => Self::TimedOutQueued,
        }
    }

    fn into_core(self) -> Result<Outcome, Wrong> {
        Ok(match self {
            Self::Succeeded => Outcome::Succeeded,
            Self::Failed(class) => Outcome::Failed(class_from_word(&class)?),
            Self::Cancelled => Outcome::Cancelled,
            Self::TimedOutRunning => Outcome::TimedOutRunning,
            Self::TimedOutQueued => Outcome::TimedOutQueued,
        })
    }
}

impl HoldRow {
    fn of(hold: &Hold) -> Self {
        Self {
            attempt: hold.grant.fence.attempt,
            version: hold.grant.fence.version,
            parts: PartRow::all_of(&hold.grant.parts),
            placed_at: hold.placed_at.0,
            metered_from: hold.metered_from.0,
        }
    }

    fn into_core(self) -> Result<Box<Hold>, Wrong> {
        if self.parts.is_empty() {
            return Err("a grant without parts".to_owned());
        }
        Ok(Box::new(Hold {
            grant: Grant {
                fence: Fence { attempt: self.attempt, version: self.version },
                parts: PartRow::all_into_core(self.parts)?,
            },
            placed_at: Timestamp(self.placed_at),
            metered_from: Timestamp(self.metered_from),
        }))
    }
}
