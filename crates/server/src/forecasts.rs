//! When waiting tasks will probably start. Working that out keeps the loop busy for a moment, so it is done at
//! most once a second, however many people watch their tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastgpu_api::answer::expected_start;
use fastgpu_api::view::TaskView;
use fastgpu_control::{CommandError, Handle};
use fastgpu_core::forecast::{Forecast, forecast};
use fastgpu_core::ids::TaskId;
use tokio::sync::Mutex;

/// Tasks whose start is worked out: further back in the queue nobody can tell.
pub(crate) const TASKS_MAX: usize = 256;
/// A forecast is in minutes; a second makes no difference.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// Forecasts by task, of the first in the queue.
pub(crate) type Found = Arc<BTreeMap<TaskId, Forecast>>;

/// The latest forecasts.
#[derive(Debug, Default)]
pub(crate) struct Forecasts(Mutex<Option<(Instant, Found)>>);

impl Forecasts {
    /// Forecasts that are at most a second old. Who asks meanwhile waits for the same answer.
    pub(crate) async fn get(&self, handle: &Handle) -> Result<Found, CommandError> {
        let mut latest = self.0.lock().await;
        if let Some((at, found)) = &*latest
            && at.elapsed() < FRESH_FOR
        {
            return Ok(found.clone());
        }
        let found = Arc::new(handle.query(|state, now| forecast(state, now, TASKS_MAX)).await?);
        *latest = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    /// Says of tasks that wait when they will probably start.
    pub(crate) async fn add_to(&self, tasks: &mut [TaskView], handle: &Handle) -> Result<(), CommandError> {
        let waits = |task: &&mut TaskView| task.state == "queued";
        let mut waiting = tasks.iter_mut().filter(waits).peekable();
        if waiting.peek().is_none() {
            return Ok(());
        }
        let found = self.get(handle).await?;
        for task in waiting {
            let forecast = task.id.parse().ok().and_then(|id: TaskId| found.get(&id));
            (task.expected_at, task.expected_basis) = expected_start(forecast);
        }
        Ok(())
    }
}
