//! `fastgpu queue`: the queues, who waits in them, and their rules.

use fastgpu_api::config::{ConfigView, PolicyView};
use fastgpu_api::queue::{QueueDetail, QueueView, WaitingView};
use fastgpu_client::{Client, ClientError};

use super::{show, watched};
use crate::args::{QueueArgs, QueueSetArgs, QueueVerb};
use crate::connect::connect;
use crate::failure::Failure;
use crate::output::{Output, Tone};
use crate::quantity::span_ms;
use crate::settings::Settings;
use crate::table::Table;
use crate::visible::visible;

/// How often a change is tried anew when somebody else changes the configuration at the same time.
const TRIES_MAX: usize = 5;
/// What is said of a task of another project in place of its name.
const HIDDEN: &str = "(another project)";

pub(super) async fn run(flags: &QueueArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    match (&flags.verb, &flags.name) {
        (Some(QueueVerb::Set(change)), _) => {
            set(change, &connect(settings).await?, out).await?;
            Ok(0)
        }
        (Some(QueueVerb::Rm { names }), _) => {
            remove(names, &connect(settings).await?, out).await?;
            Ok(0)
        }
        (None, Some(name)) => {
            let client = connect(settings).await?;
            watched(flags.list.watch, out, || async {
                let detail = client.queue(name).await?;
                out.one(&detail, name, |out| print(&detail, out))
            })
            .await
        }
        (None, None) => {
            let client = connect(settings).await?;
            watched(flags.list.watch, out, || async {
                let found = client.queues().await?;
                out.list(&found, &found.items, |queue| queue.name.clone(), |_| table(&found.items))
            })
            .await
        }
    }
}

async fn set(change: &QueueSetArgs, client: &Client, out: &Output) -> Result<(), Failure> {
    let wait_max_ms = change.wait_max.as_deref().map(|text| span_ms("--wait-max", text)).transpose()?;
    let mut made = false;
    replace(client, |config| {
        let queues = config.queues.get_or_insert_default();
        made = !queues.contains_key(&change.name);
        let policy = queues.entry(change.name.clone()).or_default();
        let PolicyView { priority, order, placement, preempt, wait_max_ms: wait_max } = policy;
        *priority = change.priority.unwrap_or(*priority);
        *wait_max = wait_max_ms.unwrap_or(*wait_max);
        for (now, then) in
            [(order, &change.order), (placement, &change.placement), (preempt, &change.preempt)]
        {
            if let Some(word) = then {
                now.clone_from(word);
            }
        }
        Ok(())
    })
    .await?;
    let detail = client.queue(&change.name).await?;
    out.one(&detail.queue, &change.name, |out| {
        let is_new = if made { "new queue" } else { "queue" };
        out.data(&format!("{is_new} {}: {}", detail.queue.name, rules(&detail.queue.policy)))
    })
}

async fn remove(names: &[String], client: &Client, out: &Output) -> Result<(), Failure> {
    replace(client, |config| {
        let queues = config.queues.get_or_insert_default();
        for name in names {
            queues.remove(name).ok_or_else(|| {
                Failure::new(format!("there is no queue `{}`", visible(name)))
                    .help("`fastgpu queue` lists the queues")
            })?;
        }
        Ok(())
    })
    .await?;
    let left = client.queues().await?.items;
    for name in names {
        let waiting = left.iter().find(|queue| queue.name == *name).map_or(0, |queue| queue.waiting);
        out.say(&match (name.as_str(), waiting) {
            ("default", _) => "queue default follows the usual rules again".to_owned(),
            (_, 0) => format!("queue {name} is gone"),
            (_, 1) => format!("queue {name} is gone; 1 task that waits there follows the rules of default"),
            _ => format!("queue {name} is gone; {waiting} tasks that wait there follow the rules of default"),
        });
    }
    Ok(())
}

/// Reads the configuration, changes it and puts it back, unless somebody else did meanwhile: then all over.
async fn replace(
    client: &Client,
    mut change: impl FnMut(&mut ConfigView) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for tries_left in (0..TRIES_MAX).rev() {
        let mut config = client.config().await?;
        change(&mut config)?;
        match client.configure(&config).await {
            Ok(_) => return Ok(()),
            Err(ClientError::Problem(problem)) if problem.code == "revision_mismatch" && tries_left > 0 => {}
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("the last try returns")
}

fn rules(policy: &PolicyView) -> String {
    let PolicyView { priority, order, placement, preempt, wait_max_ms } = policy;
    let wait_max = fastgpu_core::units::Millis(*wait_max_ms);
    format!(
        "priority {priority}, order {order}, placement {placement}, preempt {preempt}, wait max {wait_max}"
    )
}

fn table(queues: &[QueueView]) -> Table {
    let now = show::now_ms();
    let heading = [
        "QUEUE",
        "PRIORITY",
        "ORDER",
        "PLACEMENT",
        "PREEMPT",
        "WAITING",
        "RUNNING",
        "GPUS",
        "OLDEST",
        "STARTS",
        "HEAD",
    ];
    let mut table = Table::new(&heading);
    for queue in queues {
        let head = queue.head.as_ref();
        let gpus = format!(
            "{} of {}",
            show::gpus(queue.gpus_held_milli),
            show::gpus(queue.gpus_held_milli + queue.gpus_asked_milli)
        );
        let none = queue.waiting == 0 && queue.running == 0;
        table.row(vec![
            queue.name.as_str().into(),
            queue.policy.priority.to_string().into(),
            queue.policy.order.as_str().into(),
            queue.policy.placement.as_str().into(),
            queue.policy.preempt.as_str().into(),
            queue.waiting.to_string().into(),
            queue.running.to_string().into(),
            if none { String::new() } else { gpus }.into(),
            queue.oldest_wait_ms.map_or_else(String::new, wait).into(),
            show::starts(head.and_then(|head| head.expected_at.as_ref()), now).into(),
            head.map_or_else(String::new, head_words).into(),
        ]);
    }
    table
}

fn wait(ms: u64) -> String {
    show::span(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn head_words(head: &WaitingView) -> String {
    let id = head.id.as_deref().unwrap_or(HIDDEN);
    match head.gpus_kept {
        0 => id.to_owned(),
        1 => format!("{id}, 1 GPU is kept for it"),
        count => format!("{id}, {count} GPUs are kept for it"),
    }
}

fn print(detail: &QueueDetail, out: &Output) -> Result<(), Failure> {
    let queue = &detail.queue;
    out.data(&out.paint(Tone::Bold, &visible(&format!("{}: {}", queue.name, rules(&queue.policy)))))?;
    if !queue.configured {
        out.data("it was taken out of the configuration; its tasks follow the rules of default")?;
    }
    out.data(&format!(
        "{} wait for {} GPUs, {} run on {}",
        queue.waiting,
        show::gpus(queue.gpus_asked_milli),
        queue.running,
        show::gpus(queue.gpus_held_milli)
    ))?;
    if detail.first.is_empty() {
        return Ok(());
    }
    let now = show::now_ms();
    let mut table = Table::new(&["#", "ID", "NAME", "OWNER", "GPU", "WAITS", "STARTS", "KEPT"]);
    for task in &detail.first {
        table.row(vec![
            task.place.to_string().into(),
            task.id.as_deref().unwrap_or(HIDDEN).into(),
            task.name.as_deref().unwrap_or_default().into(),
            task.owner.as_deref().unwrap_or_default().into(),
            task.gpu.as_ref().map_or_else(String::new, show::gpu_ask).into(),
            wait(task.wait_ms).into(),
            show::starts(task.expected_at.as_ref(), now).into(),
            if task.gpus_kept == 0 { String::new() } else { task.gpus_kept.to_string() }.into(),
        ]);
    }
    out.table(&table)?;
    let more = queue.waiting.saturating_sub(detail.first.len());
    if more > 0 {
        out.say(&format!("and {more} more; `fastgpu ps --queue {}` lists them", visible(&queue.name)));
    }
    Ok(())
}
