//! `fastgpu restore`: puts a backup in the place of the database of a stopped server.

use fastgpu_store::OpenError;
use fastgpu_store::sqlite::{Existing, RestoreError, restore};

use crate::args::RestoreArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::serve::failure_of;
use crate::settings::Settings;

pub(super) fn run(flags: &RestoreArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let existing = if flags.yes { Existing::Replace } else { Existing::Keep };
    restore(&flags.file, &settings.data_dir, existing).map_err(explain)?;
    out.say(&format!("{} is now the database in {}", flags.file.display(), settings.data_dir.display()));
    out.say("  start it     fastgpu up");
    Ok(0)
}

fn explain(error: RestoreError) -> Failure {
    let failure = failure_of(&error);
    match error {
        RestoreError::Exists { .. } => failure
            .help("`fastgpu backup` saves what is there; then add `--yes` to replace it with the backup"),
        RestoreError::Refused(OpenError::InUse { .. }) => failure.help("stop the server first"),
        _ => failure,
    }
}
