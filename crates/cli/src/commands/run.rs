//! `fastgpu run`: submits a task, follows it, and ends as it ends.

use fastgpu_api::view::TaskView;
use fastgpu_client::Client;
use fastgpu_client::logs::LogQuery;

use super::show;
use crate::args::RunArgs;
use crate::connect::{connect, connect_or_start, fresh_key};
use crate::failure::{Failure, exit};
use crate::follow::{Followed, exit_code, follow, say_end};
use crate::output::{Output, Tone};
use crate::settings::Settings;
use crate::task_spec::task_spec;
use crate::visible::visible;

pub(super) async fn run(flags: &RunArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let spec = task_spec(flags, &settings.environment, here)?;
    let client =
        if flags.no_start { connect(settings).await? } else { connect_or_start(settings, out).await? };
    let task = client.submit(&spec, &fresh_key()?).await?;
    if flags.detach {
        out.one(&task, &task.id, |out| out.data(&task.id))?;
        return Ok(0);
    }
    say_begin(&task, out);
    attend(&client, &task, out).await
}

/// Follows a task to its end; Ctrl-C leaves it running.
async fn attend(client: &Client, task: &TaskView, out: &Output) -> Result<u8, Failure> {
    let which = LogQuery { follow: true, ..LogQuery::default() };
    match follow(client, &task.id, which, out).await? {
        Followed::Ended(task) => {
            say_end(&task, out);
            Ok(exit_code(&task))
        }
        Followed::Interrupted => {
            out.say(&format!("\n{} goes on without you", task.id));
            out.say(&format!("  follow it again  fastgpu logs -f {}", task.id));
            out.say(&format!("  end it           fastgpu cancel {}", task.id));
            Ok(exit::INTERRUPTED)
        }
    }
}

fn say_begin(task: &TaskView, out: &Output) {
    let name = task.name.as_deref().map(|name| format!(" ({})", visible(name))).unwrap_or_default();
    let gpus = match show::gpu_ask(&task.gpu).as_str() {
        "-" => "no GPU".to_owned(),
        "1" => "1 GPU".to_owned(),
        ask if ask.contains("GiB") || ask.contains("MiB") => format!("{ask} of a GPU"),
        ask => format!("{ask} GPU"),
    };
    out.tell(Tone::Bold, &format!("{}{name}", task.id), &format!("{}, {gpus}", task.state));
}

fn here() -> Result<String, Failure> {
    let folder = std::env::current_dir().map_err(|error| {
        Failure::new(format!("the current folder cannot be named: {error}"))
            .help("name one with `--cwd`, or use `--scratch` for a fresh one")
    })?;
    folder.into_os_string().into_string().map_err(|folder| {
        Failure::usage(format!(
            "the current folder `{}` has a name that is not UTF-8",
            folder.to_string_lossy()
        ))
        .help("name another with `--cwd`, or use `--scratch` for a fresh one")
    })
}
