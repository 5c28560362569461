//! The last steps before a task's program begins: from the guardian's fork to `execve`.
//!
//! The process has one thread and borrows the guardian's memory while the guardian waits, so a step that
//! fails is told by returning it. It must not close what the guardian owns, and drops nothing of it.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::process::{Resource, Rlimit, Signal};

use crate::cgroup::AttemptGroups;
use crate::hide::View;
use crate::powers;
use crate::protocol::LaunchWords;
use crate::sys::{self, ExecList};

/// Where programs are looked for when the environment has no `PATH`.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";
/// A sentence must fit into a record and a pipe's atomic write, whatever the user's command looks like.
pub(crate) const SENTENCE_CHARS_MAX: usize = 800;

/// Whose part is wrong when a task does not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotStarted {
    /// The user's: no such program, no such folder.
    Spec(String),
    /// The machine's.
    Machine(String),
}

/// A program, ready to be exec'd.
#[derive(Debug)]
pub(crate) struct Program {
    argv: ExecList,
    env: ExecList,
    candidates: Vec<CString>,
    name: String,
    path: String,
    working_dir: String,
}

impl Program {
    pub(crate) fn prepare(words: &LaunchWords, working_dir: String) -> Result<Self, NotStarted> {
        let nul = |what: &str| NotStarted::Spec(format!("{what} has a NUL character in it"));
        let list = |strings: &[String]| ExecList::new(strings.iter().map(|s| s.clone().into_bytes()));
        let argv = list(&words.command).ok_or_else(|| nul("the command"))?;
        let env = list(&words.env).ok_or_else(|| nul("the environment"))?;
        let name = words.command.first().cloned().unwrap_or_default();
        let path = words.env.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or(PATH_DEFAULT);
        let candidates = if name.contains('/') {
            vec![argv.strings()[0].clone()]
        } else {
            let folders = path.split(':').map(|folder| if folder.is_empty() { "." } else { folder });
            let paths = folders.map(|folder| CString::new(format!("{folder}/{name}")));
            paths.collect::<Result<_, _>>().map_err(|_| nul("the PATH"))?
        };
        if name.is_empty() {
            return Err(NotStarted::Spec("the command is empty".to_owned()));
        }
        Ok(Self { argv, env, candidates, path: path.to_owned(), name, working_dir })
    }
}

/// What the child needs beside the program.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) groups: &'a AttemptGroups,
    /// Whether the process was born in its version 2 group.
    pub(crate) in_unified: bool,
    pub(crate) view: Option<&'a View>,
    pub(crate) guardian: i32,
}

/// The child's life after the fork: becomes the program, or says why not.
pub(crate) fn become_program(
    program: &Program,
    surroundings: &Surroundings<'_>,
    stdout: &OwnedFd,
    stderr: &OwnedFd,
) -> NotStarted {
    if let Err(failure) = confine(surroundings, program) {
        return failure;
    }
    match connect_output(stdout.as_fd(), stderr.as_fd()) {
        Ok(()) => exec(program),
        Err(error) => NotStarted::Machine(format!("could not connect the task's output: {error}")),
    }
}

fn confine(surroundings: &Surroundings<'_>, program: &Program) -> Result<(), NotStarted> {
    let machine = |what: &str, error: io::Error| NotStarted::Machine(format!("{what}: {error}"));
    if let (Some(folder), false) = (&surroundings.groups.unified, surroundings.in_unified) {
        std::fs::write(folder.join("cgroup.procs"), "0")
            .map_err(|error| machine("could not enter the control group", error))?;
    }
    for folder in &surroundings.groups.legacy {
        std::fs::write(folder.join("tasks"), "0")
            .map_err(|error| machine("could not enter the control group", error))?;
    }
    rustix::process::setsid().map_err(|error| machine("could not begin a session", error.into()))?;
    if let Some(view) = surroundings.view {
        view.enter().map_err(|error| machine("could not enter the mount namespace", error))?;
    }
    // Behind the mount namespace, which takes one of them to enter.
    if rustix::process::geteuid().is_root() {
        powers::give_up().map_err(|error| machine("could not give up root's powers", error))?;
    }
    let folder = &program.working_dir;
    std::env::set_current_dir(folder).map_err(|error| {
        NotStarted::Spec(match error.kind() {
            io::ErrorKind::NotFound => format!("the working folder `{folder}` does not exist"),
            io::ErrorKind::NotADirectory => format!("the working folder `{folder}` is not a folder"),
            _ => format!("the working folder `{folder}` cannot be entered: {error}"),
        })
    })?;
    // A core file of a training run is as large as its memory.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none)
        .map_err(|error| machine("could not forbid core files", error.into()))?;
    rustix::process::umask(rustix::fs::Mode::from_bits_retain(0o022));
    // A guardian that dies takes the program with it; the keeper ends what is left of the attempt. Last,
    // since entering a user namespace takes this back.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| machine("could not tie the task to its guardian", error.into()))?;
    if rustix::process::getppid().is_none_or(|parent| parent.as_raw_nonzero().get() != surroundings.guardian)
    {
        sys::exit_now(127);
    }
    Ok(())
}

/// Standard input is `/dev/null` already; everything above standard error is closed.
fn connect_output(stdout: BorrowedFd<'_>, stderr: BorrowedFd<'_>) -> io::Result<()> {
    sys::dup_onto(stdout, 1, false)?;
    sys::dup_onto(stderr, 2, false)?;
    sys::close_all_but(&mut [])?;
    sys::default_signal(libc::SIGPIPE);
    sys::block_exactly(&[])
}

fn exec(program: &Program) -> NotStarted {
    let name = &program.name;
    let mut denied = None;
    for candidate in &program.candidates {
        let error = sys::execve(candidate, &program.argv, &program.env);
        let path = OsStr::from_bytes(candidate.to_bytes());
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) if Path::new(path).exists() => {
                let path = path.display();
                return NotStarted::Spec(format!("`{path}` names an interpreter that does not exist"));
            }
            Some(libc::ENOENT | libc::ENOTDIR) => {}
            Some(libc::EACCES) => denied = Some(path.display().to_string()),
            Some(libc::ENOEXEC) => {
                let path = path.display();
                return NotStarted::Spec(format!("`{path}` is neither a binary nor begins with `#!`"));
            }
            Some(libc::E2BIG) => {
                return NotStarted::Spec("the command and its environment are too large".to_owned());
            }
            _ => return NotStarted::Machine(format!("could not start `{name}`: {error}")),
        }
    }
    NotStarted::Spec(match denied {
        Some(path) => format!("the command `{path}` is not executable"),
        None if name.contains('/') => {
            format!("the command `{name}` does not exist (working folder {})", program.working_dir)
        }
        None => format!("the command `{name}` does not exist; searched PATH {}", program.path),
    })
}
