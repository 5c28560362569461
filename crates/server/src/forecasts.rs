//! When waiting tasks will probably start, and which of them never will. Working that out keeps the loop busy for a
//! moment, so it is done at most once a second, however many people watch their tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastgpu_api::answer::expected_start;
use fastgpu_api::view::TaskView;
use fastgpu_control::{CommandError, Handle};
use fastgpu_core::capacity::TooBig;
use fastgpu_core::forecast::{Forecast, forecast, hopeless};
use fastgpu_core::ids::TaskId;
use fastgpu_core::state::State;
use tokio::sync::Mutex;

/// Tasks whose start is worked out: further back in the queue nobody can tell.
pub(crate) const TASKS_MAX: usize = 256;
/// A forecast is in minutes; a second makes no difference.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// Forecasts by task, of the first in the queue.
pub(crate) type Found = Arc<BTreeMap<TaskId, Forecast>>;

/// The latest forecasts.
#[derive(Debug, Default)]
pub(crate) struct Forecasts(Mutex<Option<(Instant, Latest)>>);

/// What was worked out at one moment.
#[derive(Debug, Clone)]
struct Latest {
    found: Found,
    /// Tasks that nothing here could ever run, and why.
    hopeless: Arc<BTreeMap<TaskId, TooBig>>,
}

impl Forecasts {
    /// Forecasts that are at most a second old.
    pub(crate) async fn get(&self, handle: &Handle) -> Result<Found, CommandError> {
        Ok(self.latest(handle).await?.found)
    }

    /// Who asks while the answer is being worked out waits for the same one.
    async fn latest(&self, handle: &Handle) -> Result<Latest, CommandError> {
        let mut latest = self.0.lock().await;
        if let Some((at, found)) = &*latest
            && at.elapsed() < FRESH_FOR
        {
            return Ok(found.clone());
        }
        let work_out = |state: &State, now| (forecast(state, now, TASKS_MAX), hopeless(state, TASKS_MAX));
        let (found, hopeless) = handle.query(work_out).await?;
        let found = Latest { found: Arc::new(found), hopeless: Arc::new(hopeless) };
        *latest = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    /// Says of tasks that wait when they will probably start, or that nothing here can run them.
    pub(crate) async fn add_to(&self, tasks: &mut [TaskView], handle: &Handle) -> Result<(), CommandError> {
        let waits = |task: &&mut TaskView| task.state == "queued";
        let mut waiting = tasks.iter_mut().filter(waits).peekable();
        if waiting.peek().is_none() {
            return Ok(());
        }
        let Latest { found, hopeless } = self.latest(handle).await?;
        for task in waiting {
            let Ok(id) = task.id.parse::<TaskId>() else { continue };
            (task.expected_at, task.expected_basis) = expected_start(found.get(&id));
            if let (Some(reason), Some(why)) = (&mut task.reason, hopeless.get(&id)) {
                reason.message = format!("nothing here can run it: {why}");
            }
        }
        Ok(())
    }
}
