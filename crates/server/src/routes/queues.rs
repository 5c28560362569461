//! Queues: their rules, how full they are, and who is first. Tasks of other projects are counted, never named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use fastgpu_api::answer::{expected_start, gpu_ask};
use fastgpu_api::config::policy_view;
use fastgpu_api::queue::{QueueDetail, QueueView, WaitingView};
use fastgpu_api::units::shown;
use fastgpu_api::view::List;
use fastgpu_core::forecast::Forecast;
use fastgpu_core::ids::TaskId;
use fastgpu_core::queue::Rank;
use fastgpu_core::state::State as Live;
use fastgpu_core::task::{Task, TaskState};
use fastgpu_core::units::Timestamp;

use crate::app::App;
use crate::auth::Caller;
use crate::extract::Segment;
use crate::forecasts::Found;
use crate::refuse::{Answer, Refusal};

/// Waiting tasks shown of one queue: a page of a terminal.
const FIRST_MAX: usize = 20;

/// `GET /v1/queues`
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller) -> Answer {
    let found = app.forecasts.get(&app.handle).await?;
    let items = app.handle.query(move |live, now| Look { live, now, caller: &caller, found: &found }.all());
    Ok(app.json(StatusCode::OK, &List { items: items.await?, next_cursor: None }))
}

/// `GET /v1/queues/{name}`
pub(crate) async fn one(State(app): State<Arc<App>>, caller: Caller, Segment(name): Segment) -> Answer {
    let found = app.forecasts.get(&app.handle).await?;
    let wanted = name.clone();
    let detail = app.handle.query(move |live, now| {
        let look = Look { live, now, caller: &caller, found: &found };
        let queue = look.all().into_iter().find(|queue| queue.name == wanted)?;
        let first = look.first(&wanted, FIRST_MAX);
        Some(QueueDetail { queue, first })
    });
    let missing = || {
        Refusal::not_found(format!("there is no queue `{}`", shown(&name)))
            .hint("`fastgpu queue` lists the queues, `fastgpu queue set` makes one")
    };
    Ok(app.json(StatusCode::OK, &detail.await?.ok_or_else(missing)?))
}

/// The queues of a moment, as somebody may see them.
struct Look<'a> {
    live: &'a Live,
    now: Timestamp,
    caller: &'a Caller,
    found: &'a Found,
}

/// What adds up over the tasks of a queue.
#[derive(Default)]
struct Sum {
    waiting: usize,
    running: usize,
    asked_milli: u64,
    held_milli: u64,
    /// Ids sort by submission.
    oldest: Option<TaskId>,
}

impl Look<'_> {
    /// Every queue of the configuration, and those that tasks are still in.
    fn all(&self) -> Vec<QueueView> {
        let mut sums: BTreeMap<String, Sum> =
            self.live.config().queue_names().map(|name| (name.to_owned(), Sum::default())).collect();
        self.add_waiting(&mut sums);
        self.add_running(&mut sums);
        sums.into_iter().map(|(name, sum)| self.view(name, &sum)).collect()
    }

    fn add_waiting(&self, sums: &mut BTreeMap<String, Sum>) {
        for (_, lane) in self.live.queue().lanes() {
            let sum = sums.entry(lane.queue.to_string()).or_default();
            let mut count = 0;
            for rank in lane.ranks() {
                count += 1;
                sum.oldest = Some(sum.oldest.map_or(rank.task(), |oldest| oldest.min(rank.task())));
            }
            let each = lane
                .ranks()
                .next()
                .and_then(|rank| self.live.task(rank.task()))
                .map_or(0, |task| task.terms.ask.milli());
            sum.waiting += count;
            sum.asked_milli += each * count as u64;
        }
    }

    fn add_running(&self, sums: &mut BTreeMap<String, Sum>) {
        // A task that spans nodes is held on each of them.
        let mut counted = BTreeSet::new();
        for (id, part) in self.live.cluster().nodes().flat_map(|node| node.held()) {
            let Some(task) = self.live.task(id) else { continue };
            let sum = sums.entry(task.terms.queue.to_string()).or_default();
            sum.running += usize::from(counted.insert(id));
            sum.held_milli += part.slices.iter().map(|slice| u64::from(slice.milli.get())).sum::<u64>();
        }
    }

    fn view(&self, name: String, sum: &Sum) -> QueueView {
        let policy = self.live.config().queue(&name);
        QueueView {
            configured: policy.is_some(),
            policy: policy_view(policy.or_else(|| self.live.config().queue("default")).unwrap_or_default()),
            waiting: sum.waiting,
            running: sum.running,
            gpus_asked_milli: sum.asked_milli,
            gpus_held_milli: sum.held_milli,
            oldest_wait_ms: sum.oldest.and_then(|id| self.live.task(id)).map(|task| self.wait_ms(task)),
            head: self.first(&name, 1).pop(),
            name,
        }
    }

    /// The first tasks that wait in a queue, in order.
    fn first(&self, name: &str, count: usize) -> Vec<WaitingView> {
        let lanes = self.live.queue().lanes().map(|(_, lane)| lane).filter(|lane| *lane.queue == *name);
        let mut ranks: Vec<Rank> = lanes.flat_map(|lane| lane.ranks().take(count)).collect();
        ranks.sort_unstable();
        let tasks = ranks.into_iter().take(count).filter_map(|rank| self.live.task(rank.task()));
        (1..).zip(tasks).map(|(place, task)| self.waiting(place, task)).collect()
    }

    fn waiting(&self, place: usize, task: &Task) -> WaitingView {
        let may_see = self.caller.sees(&task.project);
        let forecast: Option<&Forecast> = self.found.get(&task.id);
        let (expected_at, expected_basis) = expected_start(forecast);
        let kept = self.live.keeps().iter().filter(|keep| keep.task == task.id);
        WaitingView {
            place,
            id: may_see.then(|| task.id.to_string()),
            name: task.terms.name.as_deref().filter(|_| may_see).map(str::to_owned),
            owner: may_see.then(|| task.owner.to_string()),
            gpu: may_see.then(|| gpu_ask(&task.terms.ask)),
            wait_ms: self.wait_ms(task),
            expected_at,
            expected_basis,
            gpus_kept: kept.map(|keep| keep.devices.len()).sum(),
        }
    }

    fn wait_ms(&self, task: &Task) -> u64 {
        match task.state {
            TaskState::Queued { since, .. } => self.now.since(since).0,
            _ => 0,
        }
    }
}
