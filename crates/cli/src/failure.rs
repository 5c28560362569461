//! How a verb ends when it does not succeed: what went wrong, what to type next, and the exit code.

use std::fmt;

use fastgpu_client::ClientError;

/// Exit codes, as scripts rely on them. A task's own code is passed through where a verb follows one.
pub(crate) mod exit {
    /// Anything not named below.
    pub(crate) const FAILURE: u8 = 1;
    /// What was typed, or a setting, makes no sense.
    pub(crate) const USAGE: u8 = 2;
    /// The server cannot be reached (sysexits' EX_UNAVAILABLE).
    pub(crate) const UNREACHABLE: u8 = 69;
    /// Waiting took too long (sysexits' EX_TEMPFAIL).
    pub(crate) const GAVE_UP_WAITING: u8 = 75;
    /// The token does not allow it (sysexits' EX_NOPERM).
    pub(crate) const NO_PERMISSION: u8 = 77;
    /// The task ran into its time limit, as `timeout(1)` says it.
    pub(crate) const TIME_LIMIT: u8 = 124;
    /// Ctrl-C, as shells say it: 128 + SIGINT.
    pub(crate) const INTERRUPTED: u8 = 130;
    /// A signal ended the task: this plus its number, as shells say it.
    pub(crate) const SIGNAL_BASE: u8 = 128;
}

/// Why a verb did not succeed, for a person.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What went wrong: lower case, no full stop.
    pub(crate) message: String,
    /// The next thing to type or to look at.
    pub(crate) help: Option<String>,
    /// Further lines, each a fact.
    pub(crate) notes: Vec<String>,
    /// The exit code.
    pub(crate) exit: u8,
    /// Whether to end without a word: the reader of our output has gone away.
    pub(crate) silent: bool,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, notes: Vec::new(), exit: exit::FAILURE, silent: false }
    }

    /// A failure of what was typed or set.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(message).exit(exit::USAGE)
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub(crate) fn exit(mut self, exit: u8) -> Self {
        self.exit = exit;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Writing our own output failed. A reader that went away (`fastgpu ps | head -1`) is no failure to
/// speak of.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self { silent: true, exit: exit::SIGNAL_BASE + 13, ..Self::new("broken pipe") };
        }
        Self::new(format!("could not write the output: {error}"))
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Unreachable { .. } => Self::new(error.to_string())
                .help("start a server with `fastgpu up --detach`, or name another with `--url`")
                .exit(exit::UNREACHABLE),
            ClientError::Timeout { .. } => Self::new(error.to_string())
                .help(
                    "`fastgpu doctor` looks at this machine; the server's log is `server.log` in its folder",
                )
                .exit(exit::UNREACHABLE),
            ClientError::BadUrl { .. } => {
                Self::usage(error.to_string()).help("write for example `--url http://127.0.0.1:7070`")
            }
            ClientError::NotFastGpu { .. } => {
                Self::new(error.to_string()).help("check `--url` and FASTGPU_URL").exit(exit::UNREACHABLE)
            }
            ClientError::VersionMismatch { .. } => Self::new(error.to_string())
                .help("use the `fastgpu` that came with the server, or restart the server with this one"),
            ClientError::Protocol { .. } => Self::new(error.to_string())
                .help("`fastgpu version` shows whether program and server belong together"),
            ClientError::Problem(problem) => {
                let exit = match problem.status {
                    401 | 403 => exit::NO_PERMISSION,
                    _ => exit::FAILURE,
                };
                let mut failure = Self::new(problem.detail.clone()).exit(exit);
                failure.help = problem.hint.clone();
                for error in problem.errors.iter().filter(|error| error.detail != problem.detail) {
                    failure = failure.note(format!("{}: {}", error.pointer, error.detail));
                }
                if let Some(request) = problem.request_id.filter(|_| problem.status >= 500) {
                    failure = failure.note(format!("request {request}"));
                }
                failure
            }
        }
    }
}
