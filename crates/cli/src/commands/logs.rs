//! `fastgpu logs`: what a task has written.

use fastgpu_client::logs::LogQuery;

use crate::args::LogsArgs;
use crate::connect::connect;
use crate::failure::{Failure, exit};
use crate::find;
use crate::follow::{Followed, exit_code, follow, print_log, say_end};
use crate::output::Output;
use crate::settings::Settings;

pub(super) async fn run(flags: &LogsArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let client = connect(settings).await?;
    let task = find::task(&client, &flags.task).await?;
    let which = LogQuery { attempt: flags.attempt, tail: flags.tail, follow: flags.follow };
    if !flags.follow {
        print_log(&client, &task.id, which, out).await?;
        return Ok(0);
    }
    match follow(&client, &task.id, which, out).await? {
        Followed::Ended(task) => {
            say_end(&task, out);
            Ok(exit_code(&task))
        }
        Followed::Interrupted => Ok(exit::INTERRUPTED),
    }
}
