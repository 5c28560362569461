//! `fastgpu up`: starts a server, here or in the background, and says how to use it.

use crate::args::{Format, UpArgs};
use crate::detach::{self, Announcer, Birth, Ready};
use crate::failure::{Failure, exit};
use crate::output::{Output, Tone};
use crate::serve::{self, Ending};
use crate::settings::{Settings, UpSettings};

pub(super) fn run(flags: &UpArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let up = settings.up(flags)?;
    let ending = if flags.ephemeral { Ending::EndEverything } else { Ending::LeaveTasks };
    if flags.detached {
        return Ok(in_background(&up, settings, out, ending));
    }
    if flags.detach {
        let started = detach::start(&up, if flags.ephemeral { &["--ephemeral"] } else { &[] })?;
        say_ready(&started.ready, settings, out)?;
        if out.format() == Format::Table {
            out.data(&format!("  stop     fastgpu{} down; tasks that run go on", named(settings)))?;
        }
        return Ok(0);
    }
    serve::run(&up, &settings.environment, ending, out, |ready| {
        say_ready(ready, settings, out)?;
        if out.format() == Format::Table {
            out.data("  stop     Ctrl-C; tasks that run go on, and are found again")?;
        }
        Ok(())
    })
}

/// The process that stays, started by `--detach`: speaks once to its parent, then only to the log.
fn in_background(up: &UpSettings, settings: &Settings, out: &Output, ending: Ending) -> u8 {
    let announcer = match Announcer::take_stdout() {
        Ok(announcer) => announcer,
        Err(error) => {
            out.say(&format!("error: stdout is no pipe to a parent: {error}"));
            return exit::USAGE;
        }
    };
    let mut announcer = Some(announcer);
    let ended = serve::run(up, &settings.environment, ending, out, |ready| {
        if let Some(announcer) = announcer.take() {
            announcer.announce(&Birth::Ready(ready.clone()));
        }
        Ok(())
    });
    match ended {
        Ok(code) => code,
        Err(failure) => {
            out.failed(&failure);
            let code = failure.exit;
            if let Some(announcer) = announcer {
                let Failure { message, help, notes, exit, .. } = failure;
                announcer.announce(&Birth::Failed { message, help, notes, exit });
            }
            code
        }
    }
}

/// Address, devices, and the next thing to type.
fn say_ready(ready: &Ready, settings: &Settings, out: &Output) -> Result<(), Failure> {
    out.one(ready, &ready.url, |out| {
        let title = format!("FastGPU {} ready in {:.2} s", ready.version, seconds(ready.ready_ms));
        out.data(&format!("  {}", out.paint(Tone::Bold, &title)))?;
        out.data(&format!("  address  {}", ready.url))?;
        for line in ready.device_lines() {
            out.data(&format!("  {line}"))?;
        }
        let (folder, named) = (ready.data_dir.display(), named(settings));
        out.data(&format!("  log in   you are in: your token is in {folder}/client.json"))?;
        out.data(&format!("           others get theirs by fastgpu{named} token create"))?;
        out.data(&format!("  try      fastgpu{named} run --gpu 0.5 -- echo hello"))?;
        Ok(())
    })
}

/// What a command must say to mean this server, where it is not the usual one.
fn named(settings: &Settings) -> String {
    match settings.data_dir_named {
        true => format!(" --data-dir {}", settings.data_dir.display()),
        false => String::new(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a start takes far less than 2^53 ms")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}
