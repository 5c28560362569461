//! `fastgpu retry`: runs ended tasks again, as new ones.

use crate::args::TasksArgs;
use crate::connect::{connect, fresh_key};
use crate::failure::Failure;
use crate::find;
use crate::output::Output;
use crate::settings::Settings;

pub(super) async fn run(flags: &TasksArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let client = connect(settings).await?;
    let mut tasks = Vec::new();
    for text in &flags.tasks {
        tasks.push(find::task(&client, text).await?);
    }
    for task in &tasks {
        let again = client.retry(&task.id, &fresh_key()?).await?;
        out.one(&again, &again.id, |out| out.data(&format!("{} runs {} again", again.id, task.id)))?;
    }
    Ok(0)
}
