//! `fastgpu set`: changes a waiting task.

use fastgpu_api::view::TaskPatch;

use crate::args::SetArgs;
use crate::connect::connect;
use crate::failure::Failure;
use crate::find;
use crate::output::Output;
use crate::settings::Settings;

pub(super) async fn run(flags: &SetArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let client = connect(settings).await?;
    let task = find::task(&client, &flags.task).await?;
    let held = match (flags.hold, flags.unhold) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    let patch = TaskPatch { priority: flags.priority.map(i64::from), held, ..TaskPatch::default() };
    let after = client.patch(&task.id, &patch, None).await?;
    out.one(&after, &after.id, |out| {
        let held = if after.held { ", held back" } else { "" };
        out.data(&format!("{} {}, priority {}{held}", after.id, after.state, after.priority))
    })?;
    Ok(0)
}
