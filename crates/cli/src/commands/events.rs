//! `fastgpu events`: what happened to a task, step by step.

use fastgpu_api::view::{EventView, List};

use super::show;
use crate::args::EventsArgs;
use crate::connect::connect;
use crate::failure::Failure;
use crate::find;
use crate::follow::{tone, words};
use crate::output::Output;
use crate::settings::Settings;
use crate::table::{Cell, Table};

pub(super) async fn run(flags: &EventsArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let client = connect(settings).await?;
    let task = find::task(&client, &flags.task).await?;
    let mut all = List { items: Vec::new(), next_cursor: None };
    loop {
        let page = client.events(&task.id, all.next_cursor.as_deref()).await?;
        all.items.extend(page.items);
        all.next_cursor = page.next_cursor;
        if all.next_cursor.is_none() {
            break;
        }
    }
    out.list(&all, &all.items, |event| event.number.to_string(), |out| table(&all.items, out))?;
    Ok(0)
}

fn table(events: &[EventView], out: &Output) -> Table {
    let mut table =
        Table::new(&["TIME", "TRY", "STATE", "CAUSE", "BY", "DETAIL"]).or_say("nothing has happened yet");
    for event in events {
        table.row(vec![
            show::clock(&event.at).into(),
            if event.attempt == 0 { Cell::default() } else { event.attempt.to_string().into() },
            Cell::painted(words(&event.state), |text| out.paint(tone(&event.state), text)),
            event.cause.as_str().into(),
            event.actor.as_str().into(),
            event.detail.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}
