//! What the demo tells: a slice, a whole GPU, a gang, one that waits, one that fails and is tried again,
//! and a reservation through the three calls of the original article.

use std::time::{Duration, Instant};

use fastgpu_api::article::SubmitTask;
use fastgpu_api::spec::{Gpu, Quantity, Retry, RetryParts, TaskSpec};
use fastgpu_api::view::{GpuView, TaskView};
use fastgpu_client::Client;

use super::stage::Stage;
use crate::commands::{show, why};
use crate::connect::fresh_key;
use crate::detach::Ready;
use crate::failure::Failure;
use crate::follow::words;
use crate::output::Tone;

/// How long the first tasks hold their GPUs: long enough to be seen.
const SEEN_S: &str = "4";
/// Their time limit, from which the one that waits can tell when it starts at the latest.
const LIMIT: &str = "10s";
/// No scene takes longer; a machine that does not get there has a fault that must be told.
const SCENE_MAX: Duration = Duration::from_secs(30);
/// How often the bars are drawn again.
const FRAME: Duration = Duration::from_millis(150);

/// Tells the whole story.
pub(super) async fn tell(
    client: &Client,
    ready: &Ready,
    simulated: bool,
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    let gpus = usable(client).await?;
    let kind =
        if simulated { "software GPUs: this shows queues and shares, not speed" } else { "real hardware" };
    stage.scene(&format!("A FastGPU of its own, ready in {} ms at {}", ready.ready_ms, ready.url))?;
    stage.says(&format!(
        "{} × {} ({kind})",
        gpus.len(),
        gpus.first().map_or("GPU", |gpu| gpu.model.as_str())
    ))?;

    let first = share(client, gpus.len(), stage).await?;
    wait_for_all(client, gpus.len(), &first, stage).await?;
    fail_and_retry(client, stage).await?;
    reserve(client, stage).await?;
    stage.settle();
    Ok(())
}

/// Tasks of three sizes, at the same time.
async fn share(client: &Client, count: usize, stage: &mut Stage<'_>) -> Result<Vec<TaskView>, Failure> {
    stage.scene("Three tasks at once: a slice of a GPU, a whole one, and a gang of two")?;
    let mut tasks = vec![start(client, stage, "slice", Gpu::Number(0.25), "0.25").await?];
    // Whole GPUs only where enough are left for the slice: a small machine shows smaller shares.
    if count >= 2 {
        tasks.push(start(client, stage, "whole", Gpu::Number(1.0), "1").await?);
    } else {
        tasks.push(start(client, stage, "half", Gpu::Number(0.5), "0.5").await?);
    }
    if count >= 4 {
        tasks.push(start(client, stage, "gang", Gpu::Number(2.0), "2").await?);
    } else {
        stage.says(&format!(
            "a gang of two needs more than the {count} GPUs of this machine; it is left out"
        ))?;
    }
    for task in &tasks {
        until(client, &task.id, stage, |task| task.state != "queued" && task.state != "starting").await?;
    }
    stage.bars(&usable(client).await?)?;
    stage.settle();
    Ok(tasks)
}

async fn start(
    client: &Client,
    stage: &mut Stage<'_>,
    name: &str,
    gpu: Gpu,
    amount: &str,
) -> Result<TaskView, Failure> {
    let task = submit(client, name, gpu, &["sleep", SEEN_S], None).await?;
    stage.typed(&format!("fastgpu run --gpu {amount} --time {LIMIT} --name {name} -- sleep {SEEN_S}"))?;
    stage.enters(&task);
    Ok(task)
}

/// One that needs every GPU, and says why it has to wait.
async fn wait_for_all(
    client: &Client,
    count: usize,
    first: &[TaskView],
    stage: &mut Stage<'_>,
) -> Result<(), Failure> {
    stage.scene("One that needs every GPU has to wait, and says why")?;
    #[expect(clippy::cast_precision_loss, reason = "a machine has far fewer than 2^53 GPUs")]
    let all = submit(client, "all", Gpu::Number(count as f64), &["true"], None).await?;
    stage.typed(&format!("fastgpu run --gpu {count} --name all -- true"))?;
    stage.enters(&all);
    stage.typed("fastgpu why all")?;
    let answer = client.explain(&all.id).await?;
    for line in why::lines(&answer, stage.output()) {
        stage.painted(&line)?;
    }
    let over = until(client, &all.id, stage, |task| task.ended_at.is_some()).await?;
    for task in first {
        until(client, &task.id, stage, |task| task.ended_at.is_some()).await?;
    }
    let waited = over.started_at.map_or(0, |at| at.0.0) - over.submitted_at.0.0;
    stage.says(&format!("it waited {} for the others, ran, and {}", show::span(waited), words(&over.state)))
}

/// One whose program fails at first.
async fn fail_and_retry(client: &Client, stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.scene("One fails, is tried again, and succeeds")?;
    let script = r#"echo "attempt $FASTGPU_ATTEMPT"; test "$FASTGPU_ATTEMPT" -gt 1"#;
    let retry = RetryParts { max: Some(2), backoff: Some(Quantity::Text("500ms".to_owned())) };
    let flaky =
        submit(client, "flaky", Gpu::Number(0.5), &["sh", "-c", script], Some(Retry::Parts(retry))).await?;
    stage.typed("fastgpu run --gpu 0.5 --retry 2 --retry-backoff 500ms --name flaky -- ./flaky.sh")?;
    stage.enters(&flaky);
    let over = until(client, &flaky.id, stage, |task| task.ended_at.is_some()).await?;
    for attempt in client.attempts(&flaky.id).await?.items {
        let how = match (&attempt.failure, attempt.exit_code) {
            (Some(failure), _) => failure.message.clone(),
            (None, Some(code)) => format!("the program ended with exit code {code}"),
            (None, None) => "it is not over".to_owned(),
        };
        stage.says(&format!("attempt {}: {how}", attempt.attempt))?;
    }
    let word = stage.output().paint(Tone::Good, words(&over.state));
    stage.painted(&format!("in the end it {word}"))
}

/// The three calls of the original article, as its client makes them.
async fn reserve(client: &Client, stage: &mut Stage<'_>) -> Result<(), Failure> {
    stage.scene("A reservation through the three original calls")?;
    let ask = SubmitTask {
        user_id: Some(Quantity::Text("demo".to_owned())),
        task_name: Some("reservation".to_owned()),
        resource_count: Some(Quantity::Number(1.0)),
        // Hours; it is given back long before.
        execute_time: Some(Quantity::Number(0.1)),
        command: None,
    };
    let made = client.submit_task(&ask).await?;
    stage.says(
        "POST   /submit_task {\"user_id\": \"demo\", \"resource_count\": 1, \"execute_time\": 0.1, …}",
    )?;
    stage.says(&format!("       -> {{\"task_id\": \"{}\"}}", made.task_id))?;
    stage.enters(&client.task(&made.task_id).await?);
    until(client, &made.task_id, stage, |task| task.state == "running").await?;
    stage.bars(&usable(client).await?)?;
    stage.settle();
    let status = client.query_task_status(&made.task_id).await?;
    stage.says(&format!("GET    /query_task_status -> {{\"status\": \"{}\"}}", status.status))?;
    client.release_resource(&made.task_id).await?;
    stage.says("DELETE /release_resource  -> released")?;
    until(client, &made.task_id, stage, |task| task.ended_at.is_some()).await?;
    let status = client.query_task_status(&made.task_id).await?;
    stage.says(&format!("GET    /query_task_status -> {{\"status\": \"{}\"}}", status.status))?;
    Ok(())
}

async fn submit(
    client: &Client,
    name: &str,
    gpu: Gpu,
    command: &[&str],
    retry: Option<Retry>,
) -> Result<TaskView, Failure> {
    let spec = TaskSpec {
        name: Some(name.to_owned()),
        command: Some(command.iter().map(|&word| word.to_owned()).collect()),
        gpu: Some(gpu),
        time_limit: Some(Quantity::Text(LIMIT.to_owned())),
        retry,
        ..TaskSpec::default()
    };
    Ok(client.submit(&spec, &fresh_key()?).await?)
}

/// Waits until a task is as wanted; in a terminal, the bars move meanwhile.
async fn until(
    client: &Client,
    id: &str,
    stage: &mut Stage<'_>,
    is_there: impl Fn(&TaskView) -> bool,
) -> Result<TaskView, Failure> {
    let deadline = Instant::now() + SCENE_MAX;
    loop {
        let task = client.task(id).await?;
        if is_there(&task) {
            return Ok(task);
        }
        if task.ended_at.is_some() || Instant::now() > deadline {
            let why = task.reason.map(|reason| reason.message).unwrap_or_default();
            return Err(Failure::new(format!("the task {id} of the demo {}: {why}", words(&task.state))));
        }
        if stage.is_live() {
            stage.bars(&usable(client).await?)?;
        }
        tokio::time::sleep(FRAME).await;
    }
}

async fn usable(client: &Client) -> Result<Vec<GpuView>, Failure> {
    Ok(client.gpus().await?.items.into_iter().filter(|gpu| gpu.unusable.is_none()).collect())
}
