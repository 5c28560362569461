//! The log that a server writes.

use crate::failure::Failure;

/// What an operator wants to read when nothing else is said.
const LOG_FILTER_DEFAULT: &str = "info";

/// Begins the log on stderr. In the background, stderr is `server.log`.
pub(super) fn begin(filter: Option<&str>) -> Result<(), Failure> {
    let filter =
        tracing_subscriber::EnvFilter::try_new(filter.unwrap_or(LOG_FILTER_DEFAULT)).map_err(|error| {
            Failure::usage(format!("FASTGPU_LOG: {error}")).help("write for example `FASTGPU_LOG=debug`")
        })?;
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .init();
    Ok(())
}
