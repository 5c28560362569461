//! `fastgpu backup`: a copy of the database, while the server runs or not.

use fastgpu_store::sqlite::{self, BackupError, FILE_NAME};

use crate::args::BackupArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;

pub(super) fn run(flags: &BackupArgs, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    let database = settings.data_dir.join(FILE_NAME);
    if !database.exists() {
        return Err(Failure::new(format!("there is no database in {}", settings.data_dir.display()))
            .help("name the server's folder with `--data-dir`"));
    }
    sqlite::backup(&settings.data_dir, &flags.file).map_err(explain)?;
    out.say(&format!("saved {} to {}", database.display(), flags.file.display()));
    out.say("  put it back  fastgpu restore, while the server is stopped; logs of tasks are not in it");
    Ok(0)
}

fn explain(error: BackupError) -> Failure {
    let failure = crate::serve::failure_of(&error);
    match error {
        BackupError::Exists { .. } => failure.help("name another file; an older backup is never overwritten"),
        _ => failure,
    }
}
