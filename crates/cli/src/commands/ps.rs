//! `fastgpu ps`: which tasks there are.

use fastgpu_api::view::{List, TaskView};
use fastgpu_client::{Client, TaskQuery};
use fastgpu_core::policy::DEFAULT_QUEUE;

use super::{show, watched};
use crate::args::PsArgs;
use crate::connect::connect;
use crate::failure::Failure;
use crate::follow::{tone, words};
use crate::output::Output;
use crate::quantity::span_ms;
use crate::settings::Settings;
use crate::table::{Cell, Table};

/// The server's own limit for one page.
const PAGE_MAX: u32 = 1_000;

pub(super) async fn run(flags: &PsArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let client = connect(settings).await?;
    let which = TaskQuery {
        states: flags.state.clone(),
        owner: flags.user.clone(),
        name: flags.name.clone(),
        queue: flags.queue.clone(),
        since: flags.since.as_deref().map(since).transpose()?,
        live: !flags.all && flags.state.is_empty(),
        cursor: flags.cursor.clone(),
        ..TaskQuery::default()
    };
    watched(flags.watch, out, || async {
        let found = pages(&client, which.clone(), flags.limit).await?;
        out.list(&found, &found.items, |task| task.id.clone(), |out| table(&found.items, flags.all, out))?;
        if found.next_cursor.is_some() && out.format() == crate::args::Format::Table {
            out.say(&format!("only the newest {} are shown; `--limit` shows more", found.items.len()));
        }
        Ok(())
    })
    .await
}

/// As many pages as it takes for `limit` tasks.
async fn pages(client: &Client, mut which: TaskQuery, limit: u32) -> Result<List<TaskView>, Failure> {
    let mut all = List { items: Vec::new(), next_cursor: None };
    loop {
        let left = limit.saturating_sub(u32::try_from(all.items.len()).unwrap_or(u32::MAX));
        which.limit = Some(left.min(PAGE_MAX));
        let page = client.tasks(&which).await?;
        all.items.extend(page.items);
        all.next_cursor = page.next_cursor;
        if all.next_cursor.is_none() || all.items.len() >= limit as usize {
            return Ok(all);
        }
        which.cursor.clone_from(&all.next_cursor);
    }
}

/// A span back from now, or a moment; the wire knows moments only.
pub(super) fn since(text: &str) -> Result<String, Failure> {
    if text.parse::<fastgpu_api::time::Time>().is_ok() {
        return Ok(text.to_owned());
    }
    let ms = span_ms("--since", text)?;
    let from = show::now_ms().saturating_sub_unsigned(ms).max(0);
    Ok(fastgpu_api::time::Time(fastgpu_core::units::Timestamp(from)).to_string())
}

fn table(tasks: &[TaskView], all: bool, out: &Output) -> Table {
    let now = show::now_ms();
    let mut table =
        Table::new(&["ID", "NAME", "QUEUE", "STATE", "GPU", "WHERE", "AGE", "STARTS", "EXIT", "REASON"])
            .or_say(if all {
                "no tasks yet"
            } else {
                "no live tasks; `fastgpu ps -a` shows those that are over"
            });
    for task in tasks {
        let reason = match (&task.reason, task.state.as_str()) {
            (Some(reason), _) => reason.message.as_str(),
            (None, _) => "",
        };
        table.row(vec![
            task.id.as_str().into(),
            task.name.as_deref().unwrap_or_default().into(),
            if task.queue == DEFAULT_QUEUE { Cell::default() } else { task.queue.as_str().into() },
            Cell::painted(words(&task.state), |text| out.paint(tone(&task.state), text)),
            show::gpu_ask(&task.gpu).into(),
            show::place(task).into(),
            show::age(task, now).into(),
            show::starts(task.expected_at.as_ref(), now).into(),
            if all { show::exit(task).into() } else { Cell::default() },
            reason.into(),
        ]);
    }
    table
}
