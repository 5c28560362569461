//! The lines of a journal as JSON: our own serde structs, converted by hand.

use std::sync::Arc;

use fastgpu_core::change::{Actor, NodeRow as KnownNode};
use fastgpu_core::command::{Command, Submit, Update};
use fastgpu_core::decision::{Keep, KeepCause, Preempt, Start};
use fastgpu_core::ids::{DeviceIndex, NodeId, TaskId};
use fastgpu_core::predict::Run;
use fastgpu_core::spec::Spec;
use fastgpu_core::state::Beginning;
use fastgpu_core::units::{GpuMilli, MemoryMib, Millis, Timestamp};
use serde::{Deserialize, Serialize};

use super::node::ReportRow;
use super::{Batch, Round, task_id};
use crate::rows::ask::PartRow;
use crate::rows::config::ConfigRow;
use crate::rows::task::TaskRow;
use crate::rows::terms::TermsRow;
use crate::rows::{Shared, Wrong, hash_from_hex, hash_to_hex, is_default};

/// Stands for the program of a task, which is not told.
const SOME_PROGRAM: &str = "program";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Begin(BeginRow),
    Batch(BatchRow),
    /// The journal was full: what follows in time is not in it.
    Full {},
}

#[derive(Serialize, Deserialize)]
pub(super) struct BeginRow {
    pub(super) version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config: Option<ConfigRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_task: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    nodes: Vec<KnownNodeRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tasks: Vec<TaskRow>,
    #[serde(default, skip_serializing_if = "is_default")]
    runs: Vec<RunRow>,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct KnownNodeRow {
    id: u32,
    hostname: String,
    #[serde(default, skip_serializing_if = "is_default")]
    drained: bool,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct RunRow {
    project: String,
    owner: String,
    #[serde(default, skip_serializing_if = "is_default")]
    name: Option<String>,
    milli: u64,
    ran_ms: u64,
}

impl Line {
    pub(super) fn begin(version: u32, beginning: &Beginning) -> Self {
        let node = |node: &KnownNode| KnownNodeRow {
            id: node.id.0,
            hostname: node.hostname.to_string(),
            drained: node.drained,
        };
        let run = |run: &Run| RunRow {
            project: run.project.to_string(),
            owner: run.owner.to_string(),
            name: run.name.as_deref().map(str::to_owned),
            milli: run.milli,
            ran_ms: run.ran.0,
        };
        Self::Begin(BeginRow {
            version,
            config: beginning.config.as_ref().map(ConfigRow::of),
            last_task: beginning.last_task.map(TaskId::get),
            nodes: beginning.nodes.iter().map(node).collect(),
            tasks: beginning.tasks.iter().map(TaskRow::of).collect(),
            runs: beginning.runs.iter().map(run).collect(),
        })
    }

    pub(super) fn batch(batch: &Batch, told: &[&Command]) -> Self {
        Self::Batch(BatchRow {
            now: batch.now.0,
            commands: told.iter().filter_map(|command| CommandRow::of(command)).collect(),
            accepted: batch.accepted.iter().map(|id| id.get()).collect(),
            rounds: batch.rounds.iter().map(RoundRow::of).collect(),
        })
    }
}

impl BeginRow {
    pub(super) fn into_core(self, shared: &mut Shared) -> Result<Beginning, Wrong> {
        let node = |row: KnownNodeRow| KnownNode {
            id: NodeId(row.id),
            hostname: row.hostname.into(),
            drained: row.drained,
        };
        let tasks = self.tasks.into_iter().map(|row| row.into_core(shared)).collect::<Result<_, _>>()?;
        let mut runs = Vec::with_capacity(self.runs.len());
        for row in self.runs {
            runs.push(Run {
                project: shared.name(&row.project),
                owner: shared.name(&row.owner),
                name: row.name.map(|name| shared.name(&name)),
                milli: row.milli,
                ran: Millis(row.ran_ms),
            });
        }
        Ok(Beginning {
            tasks,
            nodes: self.nodes.into_iter().map(node).collect(),
            tokens: Vec::new(),
            config: self.config.map(ConfigRow::into_core).transpose()?,
            last_task: self.last_task.map(task_id).transpose()?,
            runs,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct BatchRow {
    now: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    commands: Vec<CommandRow>,
    #[serde(default, skip_serializing_if = "is_default")]
    accepted: Vec<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rounds: Vec<RoundRow>,
}

impl BatchRow {
    pub(super) fn into_core(self, shared: &mut Shared) -> Result<Batch, Wrong> {
        let mut commands = vec![Command::Tick];
        for row in self.commands {
            commands.push(row.into_core(shared)?);
        }
        Ok(Batch {
            now: Timestamp(self.now),
            commands,
            accepted: self.accepted.into_iter().map(task_id).collect::<Result<_, _>>()?,
            rounds: self.rounds.into_iter().map(RoundRow::into_core).collect::<Result<_, _>>()?,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CommandRow {
    Submit(Vec<SubmitRow>),
    Cancel {
        task: u64,
        #[serde(default, skip_serializing_if = "is_default")]
        grace_ms: Option<u64>,
    },
    Release {
        task: u64,
    },
    Update {
        task: u64,
        #[serde(default, skip_serializing_if = "is_default")]
        priority: Option<i32>,
        #[serde(default, skip_serializing_if = "is_default")]
        held: Option<bool>,
        #[serde(default, skip_serializing_if = "is_default")]
        share_milli: Option<u32>,
        #[serde(default, skip_serializing_if = "is_default")]
        memory_mib: Option<u64>,
    },
    Suspend {
        task: u64,
    },
    Resume {
        task: u64,
    },
    Report {
        node: u32,
        report: ReportRow,
    },
    Drain {
        node: u32,
        drain: bool,
    },
    Configure(ConfigRow),
}

impl CommandRow {
    /// `None` for what decides nothing.
    fn of(command: &Command) -> Option<Self> {
        Some(match command {
            Command::Submit { tasks, actor: _ } => Self::Submit(tasks.iter().map(SubmitRow::of).collect()),
            Command::Cancel { task, grace, actor: _ } => {
                Self::Cancel { task: task.get(), grace_ms: grace.map(|grace| grace.0) }
            }
            Command::Release { task, actor: _ } => Self::Release { task: task.get() },
            Command::Update { task, update, if_revision: _, actor: _ } => {
                let Update { priority, held, share, memory } = *update;
                Self::Update {
                    task: task.get(),
                    priority,
                    held,
                    share_milli: share.map(GpuMilli::get),
                    memory_mib: memory.map(|memory| memory.0),
                }
            }
            Command::Suspend { task, actor: _ } => Self::Suspend { task: task.get() },
            Command::Resume { task, actor: _ } => Self::Resume { task: task.get() },
            Command::Report { node, report } => Self::Report { node: node.0, report: ReportRow::of(report) },
            Command::Drain { node, drain, actor: _ } => Self::Drain { node: node.0, drain: *drain },
            Command::Configure { config, actor: _ } => Self::Configure(ConfigRow::of(config)),
            Command::TokenCreate { .. } | Command::TokenRevoke { .. } | Command::Tick => return None,
        })
    }

    fn into_core(self, shared: &mut Shared) -> Result<Command, Wrong> {
        let actor = Actor::Local;
        Ok(match self {
            Self::Submit(rows) => {
                let tasks = rows.into_iter().map(|row| row.into_core(shared)).collect::<Result<_, _>>()?;
                Command::Submit { tasks, actor }
            }
            Self::Cancel { task, grace_ms } => {
                Command::Cancel { task: task_id(task)?, grace: grace_ms.map(Millis), actor }
            }
            Self::Release { task } => Command::Release { task: task_id(task)?, actor },
            Self::Update { task, priority, held, share_milli, memory_mib } => {
                let share = share_milli.map(|raw| GpuMilli::new(raw).ok_or("a share above 1")).transpose()?;
                let update = Update { priority, held, share, memory: memory_mib.map(MemoryMib) };
                Command::Update { task: task_id(task)?, update, if_revision: None, actor }
            }
            Self::Suspend { task } => Command::Suspend { task: task_id(task)?, actor },
            Self::Resume { task } => Command::Resume { task: task_id(task)?, actor },
            Self::Report { node, report } => {
                Command::Report { node: NodeId(node), report: report.into_core(shared)? }
            }
            Self::Drain { node, drain } => Command::Drain { node: NodeId(node), drain, actor },
            Self::Configure(config) => Command::Configure { config: config.into_core()?, actor },
        })
    }
}

#[derive(Serialize, Deserialize)]
struct SubmitRow {
    project: String,
    owner: String,
    #[serde(flatten)]
    terms: TermsRow,
    spec: String,
    #[serde(default, skip_serializing_if = "is_default")]
    reservation: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    held: bool,
}

impl SubmitRow {
    fn of(submit: &Submit) -> Self {
        Self {
            project: submit.project.to_string(),
            owner: submit.owner.to_string(),
            terms: TermsRow::of(&submit.terms),
            spec: hash_to_hex(submit.spec_hash),
            reservation: submit.spec.command.is_empty(),
            held: submit.held,
        }
    }

    fn into_core(self, shared: &mut Shared) -> Result<Submit, Wrong> {
        let command = if self.reservation { Vec::new() } else { vec![SOME_PROGRAM.to_owned()] };
        Ok(Submit {
            project: shared.name(&self.project),
            owner: shared.name(&self.owner),
            terms: Arc::unwrap_or_clone(self.terms.into_core(shared)?),
            spec: Arc::new(Spec { command, ..Spec::default() }),
            spec_hash: hash_from_hex(&self.spec)?,
            held: self.held,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct RoundRow {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    starts: Vec<StartRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    preempts: Vec<PreemptRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keeps: Vec<KeepRow>,
}

#[derive(Serialize, Deserialize)]
struct StartRow {
    task: u64,
    parts: Vec<PartRow>,
}

#[derive(Serialize, Deserialize)]
struct PreemptRow {
    task: u64,
    for_task: u64,
}

#[derive(Serialize, Deserialize)]
struct KeepRow {
    task: u64,
    devices: Vec<(u32, u16)>,
    nodes: Vec<u32>,
    free_at: i64,
    cause: KeepCauseRow,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeepCauseRow {
    Overtaken,
    Preempting,
}

impl RoundRow {
    fn of(round: &Round) -> Self {
        let start = |start: &Start| StartRow { task: start.task.get(), parts: PartRow::all_of(&start.parts) };
        let preempt =
            |preempt: &Preempt| PreemptRow { task: preempt.task.get(), for_task: preempt.for_task.get() };
        Self {
            starts: round.starts.iter().map(start).collect(),
            preempts: round.preempts.iter().map(preempt).collect(),
            keeps: round.keeps.iter().map(KeepRow::of).collect(),
        }
    }

    fn into_core(self) -> Result<Round, Wrong> {
        let start =
            |row: StartRow| Ok(Start { task: task_id(row.task)?, parts: PartRow::all_into_core(row.parts)? });
        let preempt =
            |row: PreemptRow| Ok(Preempt { task: task_id(row.task)?, for_task: task_id(row.for_task)? });
        Ok(Round {
            starts: self.starts.into_iter().map(start).collect::<Result<_, Wrong>>()?,
            preempts: self.preempts.into_iter().map(preempt).collect::<Result<_, Wrong>>()?,
            keeps: self.keeps.into_iter().map(KeepRow::into_core).collect::<Result<_, _>>()?,
        })
    }
}

impl KeepRow {
    fn of(keep: &Keep) -> Self {
        Self {
            task: keep.task.get(),
            devices: keep.devices.iter().map(|(node, device)| (node.0, device.0)).collect(),
            nodes: keep.nodes.iter().map(|node| node.0).collect(),
            free_at: keep.free_at.0,
            cause: match keep.cause {
                KeepCause::Overtaken => KeepCauseRow::Overtaken,
                KeepCause::Preempting => KeepCauseRow::Preempting,
            },
        }
    }

    fn into_core(self) -> Result<Keep, Wrong> {
        let device = |(node, device)| (NodeId(node), DeviceIndex(device));
        Ok(Keep {
            task: task_id(self.task)?,
            devices: self.devices.into_iter().map(device).collect(),
            nodes: self.nodes.into_iter().map(NodeId).collect(),
            free_at: Timestamp(self.free_at),
            cause: match self.cause {
                KeepCauseRow::Overtaken => KeepCause::Overtaken,
                KeepCauseRow::Preempting => KeepCause::Preempting,
            },
        })
    }
}
