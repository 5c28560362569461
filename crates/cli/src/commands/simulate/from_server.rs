//! The history of a live server as a trace, and its machines as a cluster.

use std::collections::BTreeMap;

use fastgpu_api::view::{GpuView, NodeView, TaskView};
use fastgpu_client::TaskQuery;
use fastgpu_core::ask::{Ask, Class, Constraints, DeviceCount, Isolation, Share, Spread};
use fastgpu_core::ids::Name;
use fastgpu_core::policy::DEFAULT_QUEUE;
use fastgpu_core::units::{CpuMilli, GpuMilli, MemoryMib, PriceMicros};
use fastgpu_sim::cluster::{Gpu, Machine, Machines, models};
use fastgpu_sim::task::Task;
use fastgpu_sim::trace::Shared;

use crate::connect::connect;
use crate::failure::Failure;
use crate::settings::Settings;

/// Tasks of one page; the server's own limit.
const PAGE: u32 = 1_000;
/// More tasks than this are not fetched; `--since` takes the latest.
const TASKS_MAX: usize = 5_000_000;

/// What a server has run.
pub(super) struct History {
    /// Its machines, as they are now.
    pub(super) machines: Machines,
    /// Its tasks, by time of submission.
    pub(super) tasks: Vec<Task>,
    /// Tasks that never ran, or still do.
    pub(super) left_out: usize,
}

pub(super) async fn history(since: Option<&str>, settings: &Settings) -> Result<History, Failure> {
    let client = connect(settings).await?;
    let mut which = TaskQuery {
        since: since.map(super::super::ps::since).transpose()?,
        limit: Some(PAGE),
        ..TaskQuery::default()
    };
    let mut shared = Shared::default();
    let mut history = History {
        machines: machines(&client.nodes().await?.items, &client.gpus().await?.items),
        tasks: Vec::new(),
        left_out: 0,
    };
    loop {
        let page = client.tasks(&which).await?;
        for view in &page.items {
            match task(view, &mut shared) {
                Some(task) => history.tasks.push(task),
                None => history.left_out += 1,
            }
        }
        if page.next_cursor.is_none() || history.tasks.len() >= TASKS_MAX {
            break;
        }
        which.cursor = page.next_cursor;
    }
    history.tasks.sort_by_key(|task| task.submit);
    let first = history.tasks.first().map_or(0, |task| task.submit.0);
    history.tasks.iter_mut().for_each(|task| task.submit.0 -= first);
    Ok(history)
}

/// A task that ran to its end: it ran from its first start on, as if nothing had interrupted it.
fn task(view: &TaskView, shared: &mut Shared) -> Option<Task> {
    let (started, ended) = (view.started_at?.0, view.ended_at?.0);
    let submitted = view.submitted_at.0.since(fastgpu_core::units::Timestamp(0));
    let share = view.gpu.share_milli.and_then(GpuMilli::new);
    let ask = Ask {
        devices: DeviceCount { min: view.gpu.count_min, max: view.gpu.count_max },
        share: match (share, view.gpu.memory_mib.map(MemoryMib)) {
            (Some(share), Some(memory)) => Share::Both(share, memory),
            (None, Some(memory)) => Share::Cap(memory),
            (share, None) => Share::Milli(share.unwrap_or(GpuMilli::FULL)),
        },
        constraints: Constraints {
            models: view.gpu.models.iter().map(|model| Name::from(model.as_str())).collect(),
            spread: Spread::OneNode,
            ..Constraints::default()
        },
        class: match view.class.as_str() {
            "guaranteed" => Class::Guaranteed,
            "spot" => Class::Spot,
            _ => Class::Standard,
        },
        isolation: Isolation::Soft,
        cpu: CpuMilli(view.cpu_milli),
        host_memory: MemoryMib(view.memory_mib),
    };
    Some(Task {
        submit: submitted,
        duration: ended.since(started),
        ask: shared.ask(ask),
        project: shared.name(&view.project),
        owner: shared.name(&view.owner),
        queue: shared.name(DEFAULT_QUEUE),
        name: view.name.as_deref().map(|name| shared.name(name)),
        priority: view.priority,
        expected: None,
        retries: 0,
        exit_code: view.exit_code.unwrap_or(0),
    })
}

fn machines(nodes: &[NodeView], gpus: &[GpuView]) -> Machines {
    let mut by_node: BTreeMap<&str, Vec<&GpuView>> = BTreeMap::new();
    for gpu in gpus {
        by_node.entry(&gpu.node).or_default().push(gpu);
    }
    let gpu = |view: &&GpuView| Gpu {
        model: view.model.as_str().into(),
        memory: MemoryMib(view.memory_mib),
        price: PriceMicros(0),
        power: models::power_of(&view.model),
    };
    let machine = |node: &NodeView| Machine {
        hostname: node.hostname.as_str().into(),
        cpu: CpuMilli(node.cpu_milli),
        host_memory: MemoryMib(node.memory_mib),
        labels: Vec::new(),
        gpus: by_node.get(node.id.as_str()).map(|gpus| gpus.iter().map(gpu).collect()).unwrap_or_default(),
    };
    Machines(nodes.iter().map(machine).collect())
}
