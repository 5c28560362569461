//! `fastgpu cancel`: ends tasks with everything they started.

use std::io::{BufRead, IsTerminal};

use fastgpu_api::view::{CancelRequest, TaskView};
use fastgpu_client::{Client, TaskQuery};

use crate::args::CancelArgs;
use crate::connect::connect;
use crate::failure::Failure;
use crate::find;
use crate::output::Output;
use crate::quantity::grace;
use crate::settings::Settings;

/// Tasks in one page while all are collected.
const PAGE: u32 = 1_000;

pub(super) async fn run(flags: &CancelArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let request = CancelRequest { grace: grace(flags.grace.as_ref())? };
    let client = connect(settings).await?;
    let mut tasks = Vec::new();
    if flags.all {
        tasks = live(&client, Some(client.whoami().await?.owner)).await?;
        if tasks.is_empty() {
            out.say("you have no live tasks");
            return Ok(0);
        }
        if !flags.yes && !agreed(tasks.len(), out)? {
            return Err(Failure::new("nothing was cancelled"));
        }
    }
    // All are looked up before the first is ended: a slip in the third name must not half do it.
    for text in &flags.tasks {
        tasks.push(find::task(&client, text).await?);
    }
    for task in &tasks {
        let after = client.cancel(&task.id, &request).await?;
        let said = match after.state.as_str() {
            "cancelled" if is_over(&task.state) => "was cancelled before",
            "cancelled" => "is cancelled",
            state if is_over(state) => "had ended already",
            _ => "is being stopped",
        };
        out.one(&after, &after.id, |out| out.data(&format!("{} {said}", after.id)))?;
    }
    Ok(0)
}

fn is_over(state: &str) -> bool {
    matches!(state, "succeeded" | "failed" | "cancelled" | "timed_out")
}

/// Every live task of an owner, or of all.
pub(super) async fn live(client: &Client, owner: Option<String>) -> Result<Vec<TaskView>, Failure> {
    let mut which = TaskQuery { owner, live: true, limit: Some(PAGE), ..TaskQuery::default() };
    let mut all = Vec::new();
    loop {
        let page = client.tasks(&which).await?;
        all.extend(page.items);
        if page.next_cursor.is_none() {
            return Ok(all);
        }
        which.cursor = page.next_cursor;
    }
}

/// Says what will happen and asks; a script must have said `--yes`.
fn agreed(count: usize, out: &Output) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!("this would cancel {count} tasks"))
            .help("add `--yes` to cancel them without being asked"));
    }
    out.say(&format!(
        "this cancels {count} live tasks of yours; what they have not saved is lost. Go on? [y/N]"
    ));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
