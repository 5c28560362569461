//! What the API answers: tasks, devices, nodes, tokens, as callers see them. Unknown fields in an answer
//! are ignored by our client, so that a newer server can say more.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::parse::{Field, Request};
use crate::spec::Quantity;
use crate::time::{Time, WallTime};

/// A part of a listing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct List<T> {
    /// What is shown.
    pub items: Vec<T>,
    /// Where to go on, if there is more.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskView {
    /// Its id.
    pub id: String,
    /// A label for people.
    pub name: Option<String>,
    /// Where it belongs.
    pub project: String,
    /// Who is accounted for it.
    pub owner: String,
    /// The word of its state.
    pub state: String,
    /// Why it is in that state, where there is something to say.
    pub reason: Option<Reason>,
    /// The queue it waits in.
    #[serde(default)]
    pub queue: String,
    /// Higher goes first.
    pub priority: i32,
    /// `guaranteed`, `standard` or `spot`.
    pub class: String,
    /// The number of its latest attempt; 0 before the first.
    pub attempt: u32,
    /// What it has used up of its retries.
    pub retries: Retries,
    /// The code its program ended with.
    pub exit_code: Option<u8>,
    /// The signal that ended its program.
    pub signal: Option<u8>,
    /// What went wrong.
    pub failure: Option<Failure>,
    /// Program and arguments; empty for a reservation.
    #[serde(default)]
    pub command: Vec<String>,
    /// Whether it holds GPUs without running anything.
    pub reservation: bool,
    /// Working folder, if one was asked for.
    #[serde(default)]
    pub working_dir: Option<String>,
    /// The GPUs it asks for.
    pub gpu: GpuAsk,
    /// Processor it asks for, in thousandths of a core.
    pub cpu_milli: u32,
    /// Host memory it asks for.
    pub memory_mib: u64,
    /// Labels a node must carry, as `key=value`.
    #[serde(default)]
    pub labels: Vec<String>,
    /// What it holds, while it is placed.
    pub grant: Option<Vec<GrantView>>,
    /// When it was accepted.
    pub submitted_at: Time,
    /// When a program of it first ran.
    pub started_at: Option<Time>,
    /// When it was over.
    pub ended_at: Option<Time>,
    /// The longest an attempt may run.
    pub time_limit_ms: Option<u64>,
    /// How long it will probably run, if that was said.
    #[serde(default)]
    pub expected_duration_ms: Option<u64>,
    /// GPU time it has had so far, in thousandths of a device times milliseconds.
    #[serde(default)]
    pub attained_gpu_milli_ms: u64,
    /// When it will probably start, while it waits and that can be told.
    #[serde(default)]
    pub expected_at: Option<Time>,
    /// On what that rests: `limits` or `expected` run times.
    #[serde(default)]
    pub expected_basis: Option<String>,
    /// The longest it may wait for its first attempt.
    pub queue_timeout_ms: Option<u64>,
    /// From SIGTERM to SIGKILL.
    pub stop_grace_ms: u64,
    /// Whether a person holds it back.
    pub held: bool,
    /// Rises with every change; the `ETag`.
    pub revision: u32,
}

/// Why a task is in its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// A stable word.
    pub code: String,
    /// A sentence.
    pub message: String,
}

/// Retries used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    /// Charged to the user.
    pub user: u16,
    /// Charged to the infrastructure.
    pub infrastructure: u16,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable word: whose fault.
    pub class: String,
    /// A sentence.
    pub message: String,
}

/// GPUs asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuAsk {
    /// The fewest it can run with; 0 for a task without a GPU.
    pub count_min: u16,
    /// The most it can use.
    pub count_max: u16,
    /// How much of each, in thousandths, if that was said.
    pub share_milli: Option<u32>,
    /// Memory cap on each, if that was said.
    pub memory_mib: Option<u64>,
    /// Models, any of them; empty means any.
    #[serde(default)]
    pub models: Vec<String>,
}

/// What a task holds on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantView {
    /// Which node.
    pub node: String,
    /// Slices of its GPUs.
    pub gpus: Vec<SliceView>,
}

/// A part of one GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceView {
    /// Its place on the node.
    pub index: u16,
    /// Compute share in thousandths.
    pub share_milli: u32,
    /// Memory cap.
    pub memory_mib: u64,
    /// What enforces them.
    pub backend: String,
}

/// The answer to a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchCreated {
    /// The new tasks, in the order they were given.
    pub items: Vec<Created>,
}

/// One new task of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// Its id.
    pub id: String,
    /// The word of its state.
    pub state: String,
}

/// The body of `PATCH /v1/tasks/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskPatch {
    /// A new priority; for a queued task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Hold back or let go; for a queued task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<bool>,
    /// A new share of each GPU; for a running task whose backend can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<f64>,
    /// A new memory cap on each GPU; for a running task whose backend can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_memory: Option<Quantity>,
}

impl Request for TaskPatch {
    const FIELDS: &'static [Field] = &[
        Field::plain::<Option<i64>>("priority", "a whole number"),
        Field::plain::<Option<bool>>("held", "true or false"),
        Field::plain::<Option<f64>>("gpu", "a number from 0.001 to 1"),
        Field::plain::<Option<Quantity>>(
            "gpu_memory",
            "an amount of memory like \"12GiB\" or a number of MiB",
        ),
    ];
}

/// The body of `POST /v1/tasks/{id}/cancel`; it may be left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CancelRequest {
    /// Overrides the task's own time from SIGTERM to SIGKILL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace: Option<Quantity>,
}

impl Request for CancelRequest {
    const FIELDS: &'static [Field] =
        &[Field::plain::<Option<Quantity>>("grace", "a time like \"5s\" or a number of milliseconds")];
}

/// One entry of a task's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// 0, 1, 2, … within the task.
    pub number: u32,
    /// When.
    pub at: Time,
    /// The attempt it speaks of; 0 before the first.
    pub attempt: u32,
    /// The state the task was in afterwards.
    pub state: String,
    /// A stable word for the cause.
    pub cause: String,
    /// A sentence with the numbers.
    pub detail: Option<String>,
    /// Who or what did it: `scheduler`, `local`, `node-0`, or a token's owner.
    pub actor: String,
}

/// One attempt of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptView {
    /// 1, 2, 3, … within the task.
    pub attempt: u32,
    /// What it held.
    pub grant: Vec<GrantView>,
    /// When it was placed.
    pub placed_at: Time,
    /// When its program ran, if it did.
    pub started_at: Option<Time>,
    /// When it was over.
    pub ended_at: Option<Time>,
    /// The code its program ended with.
    pub exit_code: Option<u8>,
    /// The signal that ended its program.
    pub signal: Option<u8>,
    /// What went wrong.
    pub failure: Option<Failure>,
    /// Processor time used.
    pub cpu_ms: Option<u64>,
    /// Largest resident memory, in KiB.
    pub rss_max_kib: Option<u64>,
}

/// What a task used and what it cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageView {
    /// GPU time of all segments, in thousandths of a device times milliseconds.
    pub gpu_milli_ms: i64,
    /// Cost of all segments, in millionths of the operator's currency.
    pub cost_micros: i64,
    /// Stretches with one grant, first to last.
    pub items: Vec<SegmentView>,
}

/// A stretch of use with one grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentView {
    /// Which attempt.
    pub attempt: u32,
    /// Which version of its grant.
    pub version: u32,
    /// From when.
    pub from: Time,
    /// To when.
    pub to: Time,
    /// Charged share over all devices, in thousandths of a device.
    pub charged_milli: i64,
    /// Memory cap over all devices.
    pub memory_mib: i64,
    /// GPU time charged, in thousandths of a device times milliseconds.
    pub gpu_milli_ms: i64,
    /// Price of one device for one hour, in millionths.
    pub price_micros: i64,
    /// What it cost, in millionths.
    pub cost_micros: i64,
}

/// The answer to "why?".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainView {
    /// The task.
    pub id: String,
    /// The word of its state.
    pub state: String,
    /// A stable word.
    pub code: String,
    /// One sentence.
    pub headline: String,
    /// Its place among the waiting.
    pub position: Option<Position>,
    /// Facts, one per line.
    pub lines: Vec<String>,
    /// When it starts at the latest, if everybody keeps to their time limits.
    pub earliest_at: Option<Time>,
    /// When it will probably start, if that can be told.
    #[serde(default)]
    pub expected_at: Option<Time>,
    /// On what that rests: `limits` or `expected` run times.
    #[serde(default)]
    pub expected_basis: Option<String>,
    /// What would start it now.
    pub suggestions: Vec<String>,
}

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// 1 is next.
    pub place: usize,
    /// How many wait.
    pub of: usize,
}

/// One GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuView {
    /// Which node.
    pub node: String,
    /// The node's name.
    pub hostname: String,
    /// Its place on the node.
    pub index: u16,
    /// The driver's name for this very device.
    pub uuid: String,
    /// `NVIDIA H200`.
    pub model: String,
    /// Memory that tasks can use.
    pub memory_mib: u64,
    /// Whether this is no hardware at all.
    pub simulated: bool,
    /// Compute not held; nothing is free while it is unusable.
    pub free_share_milli: u32,
    /// Memory not held; nothing is free while it is unusable.
    pub free_memory_mib: u64,
    /// Who holds slices of it; tasks of other projects are counted in `others`.
    pub tasks: Vec<HolderView>,
    /// How many tasks of other projects hold slices of it.
    #[serde(default)]
    pub others: usize,
    /// Why no task may start here, if so.
    pub unusable: Option<String>,
    /// PCI address.
    pub pci: Option<String>,
    /// Driver version.
    pub driver: Option<String>,
    /// Whether MIG mode is on.
    pub mig: Option<bool>,
    /// Its group of NVLink peers on the node, where that is known.
    #[serde(default)]
    pub nvlink: Option<u16>,
    /// The NUMA node it is attached to, where that is known.
    #[serde(default)]
    pub numa: Option<u16>,
    /// Power draw.
    pub power_mw: Option<u32>,
    /// Temperature.
    pub temperature_c: Option<u32>,
    /// Share of time it was busy.
    pub utilization_percent: Option<u32>,
    /// Memory in use.
    pub memory_used_mib: Option<u64>,
    /// Memory errors since the driver was loaded that could not be corrected.
    #[serde(default)]
    pub memory_errors: Option<u64>,
    /// When these readings were taken, to within a few seconds.
    #[serde(default)]
    pub read_at: Option<Time>,
}

/// A task on a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderView {
    /// The task.
    pub id: String,
    /// Compute share in thousandths.
    pub share_milli: u32,
    /// Memory cap.
    pub memory_mib: u64,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub hostname: String,
    /// `ready`, `probing` (its search for GPUs goes on), `drained` or `absent`.
    pub state: String,
    /// Whether it takes no new tasks, by an operator's wish.
    pub drained: bool,
    /// Whether it is connected.
    pub present: bool,
    /// Whether its search for devices is over.
    pub probed: bool,
    /// Processor in all.
    pub cpu_milli: u32,
    /// Processor not held.
    pub cpu_free_milli: u32,
    /// Host memory in all.
    pub memory_mib: u64,
    /// Host memory not held.
    pub memory_free_mib: u64,
    /// How many GPUs it has.
    pub gpus: usize,
    /// How many of them tasks may use.
    #[serde(default)]
    pub gpus_usable: usize,
    /// Whether they are software GPUs.
    #[serde(default)]
    pub simulated: bool,
    /// What its operator says of it, as `key=value`.
    #[serde(default)]
    pub labels: Vec<String>,
    /// What it found out about itself.
    pub abilities: Vec<AbilityView>,
}

/// Something a node found out about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbilityView {
    /// A stable word.
    pub name: String,
    /// Whether it works in full here.
    pub works: bool,
    /// A sentence.
    pub detail: String,
}

/// The body of `POST /v1/tokens`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenRequest {
    /// `viewer`, `member` or `admin`; `member` when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Whom it stands for; the caller when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The project it belongs to; the caller's when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// `person` (`fgp_…`) or `service` (`fgs_…`); `person` when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// How long it is valid; without an end when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<Quantity>,
}

impl Request for TokenRequest {
    const FIELDS: &'static [Field] = &[
        Field::plain::<Option<String>>("role", "\"viewer\", \"member\" or \"admin\""),
        Field::plain::<Option<String>>("owner", "a text"),
        Field::plain::<Option<String>>("project", "the name of a project"),
        Field::plain::<Option<String>>("kind", "\"person\" or \"service\""),
        Field::plain::<Option<Quantity>>("expires_in", "a time like \"30d\" or a number of milliseconds"),
    ];
}

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// The public part, by which it is listed and revoked.
    pub id: String,
    /// Whom it stands for.
    pub owner: String,
    /// The project it belongs to.
    pub project: String,
    /// `viewer`, `member` or `admin`.
    pub role: String,
    /// When it was made.
    pub created_at: WallTime,
    /// When it ends by itself.
    pub expires_at: Option<WallTime>,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
}

/// Whom a token stands for, as it learns of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhoAmI {
    /// The token's public part.
    pub token_id: String,
    /// Whom it stands for.
    pub owner: String,
    /// The project it belongs to.
    pub project: String,
    /// `viewer`, `member` or `admin`.
    pub role: String,
}

/// A new token. This answer is the only time its secret is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCreated {
    /// The secret, to be sent as `Authorization: Bearer …`.
    pub token: String,
    /// The rest.
    #[serde(flatten)]
    pub view: TokenView,
}

/// Which server this is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VersionView {
    /// The program's version.
    pub version: String,
    /// The version of the API.
    pub api: String,
}

/// Whether the server is well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthView {
    /// `ok`, or a word for what is missing.
    pub status: String,
}

/// One piece of a task's log, as the `data` of a server-sent event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written.
    pub at: WallTime,
    /// `stdout`, `stderr` or `note`.
    pub stream: String,
    /// What was written; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// What was written, exactly, where `text` could not say it: [`crate::base64`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

impl LogLine {
    /// A piece of a log, which may be cut anywhere: within a character, too.
    #[must_use]
    pub fn new(at: WallTime, stream: &str, bytes: Vec<u8>) -> Self {
        let (text, base64) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(other) => {
                let text = String::from_utf8_lossy(other.as_bytes()).into_owned();
                (text, Some(crate::base64::encode(other.as_bytes())))
            }
        };
        Self { at, stream: stream.to_owned(), text, base64 }
    }

    /// What was written, byte for byte; `None` when `base64` is malformed.
    #[must_use]
    pub fn bytes(&self) -> Option<Cow<'_, [u8]>> {
        match &self.base64 {
            None => Some(Cow::Borrowed(self.text.as_bytes())),
            Some(base64) => crate::base64::decode(base64).map(Cow::Owned),
        }
    }
}

/// The last event of a stream of logs or events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamEnd {
    /// The word of the task's state.
    pub state: String,
    /// The code its program ended with.
    pub exit_code: Option<u8>,
}

#[cfg(test)]
mod tests {
    use fastgpu_core::units::Timestamp;

    use super::*;

    #[test]
    fn a_piece_of_a_log_keeps_its_bytes_and_stays_readable() {
        let line = |bytes: &[u8]| LogLine::new(WallTime(Timestamp(0)), "stdout", bytes.to_vec());
        let (crab, all): (_, Vec<u8>) = ("🦀".as_bytes(), (0..=255).collect());
        for bytes in [b"plain\n\0", crab, &crab[..2], &crab[2..], &all] {
            let sent = serde_json::to_string(&line(bytes)).unwrap();
            let got: LogLine = serde_json::from_str(&sent).unwrap();
            assert_eq!(got.bytes().as_deref(), Some(bytes));
            assert_eq!(got.base64.is_none(), std::str::from_utf8(bytes).is_ok(), "{sent}");
        }
        assert_eq!(line(b"ok \xff").text, "ok \u{fffd}");
    }
}
