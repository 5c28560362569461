//! What can be typed: the verbs and their flags, for clap and for the generated reference.
//!
//! Here live names, help texts and shapes. What a missing flag means (environment, file, default) is
//! decided in [`crate::settings`], what a verb does in [`crate::commands`].

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use fault::{FaultVerb, SimulateFaultArgs};
pub(crate) use kernel::{DemoKernelArgs, KernelVerb};
pub(crate) use model::ModelArgs;
pub(crate) use queue::{QueueArgs, QueueSetArgs, QueueVerb};
pub(crate) use run::RunArgs;
pub(crate) use simulate::{
    Durations, HowArgs, OpenbArgs, PageArgs, PhillyArgs, ReplayArgs, SimulateTraceArgs, SimulateVerb,
    SyntheticArgs,
};
pub(crate) use up::{DemoArgs, DownArgs, UpArgs};

mod fault;
mod kernel;
mod model;
mod queue;
mod run;
mod simulate;
mod up;

/// FastGPU turns machines with GPUs into a GPU cloud.
#[derive(Debug, Parser)]
#[command(
    name = "fastgpu",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "Begin with `fastgpu up`, then `fastgpu run --gpu 0.5 -- python train.py`."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Flags that every verb knows.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CommonArgs {
    /// Address of the server [env: FASTGPU_URL] [default: the local server]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Folder of the local server [env: FASTGPU_DATA_DIR] [default: ~/.local/share/fastgpu]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,
    /// How to print results [env: FASTGPU_OUTPUT] [default: table]
    #[arg(long, short = 'o', global = true, value_name = "FORMAT")]
    pub(crate) output: Option<Format>,
    /// Short for `--output json`
    #[arg(long, global = true, conflicts_with = "output")]
    pub(crate) json: bool,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// One JSON document per line and item
    Jsonl,
    /// Only the ids, one per line
    Id,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Start FastGPU on this machine
    Up(UpArgs),
    /// Stop the FastGPU of this machine; tasks that run go on
    Down(DownArgs),
    /// Run a command on a part of a GPU, a GPU, or several
    #[command(visible_alias = "submit")]
    Run(Box<RunArgs>),
    /// List tasks: what waits and runs, or with `-a` everything
    #[command(visible_alias = "ls")]
    Ps(PsArgs),
    /// Show what a task has written
    Logs(LogsArgs),
    /// Explain why a task waits, or how it ended
    Why(WhyArgs),
    /// End tasks, with everything they started
    Cancel(CancelArgs),
    /// Run ended tasks again, as new tasks
    Retry(TasksArgs),
    /// Wait until tasks have ended; exits with the code of the first that failed
    Wait(WaitArgs),
    /// Change a waiting task: its priority, hold it back, let it go
    Set(SetArgs),
    /// List GPUs, what is free on them, and who holds the rest
    Gpus(WatchArgs),
    /// List queues, show one, change their rules
    Queue(QueueArgs),
    /// List machines; take them out of service and back
    Nodes(NodesArgs),
    /// Show what happened to a task, step by step
    Events(EventsArgs),
    /// Let people and programs in, and keep them out
    #[command(subcommand)]
    Token(TokenVerb),
    /// Check what this machine can do, and say how to repair what it cannot
    Doctor(DoctorArgs),
    /// Show what FastGPU does, live, in a folder of its own
    Demo(DemoArgs),
    /// Play traces through the scheduler in virtual time: what would have happened, what if
    #[command(subcommand)]
    Simulate(SimulateVerb),
    /// Reckon before anything runs: waits, utilization, GPUs needed, cost
    Model(Box<ModelArgs>),
    /// Run a small program on the GPU that this process may use
    DemoKernel(DemoKernelArgs),
    /// Break a software GPU of this machine, or mend it, to see what becomes of tasks
    SimulateFault(SimulateFaultArgs),
    /// Save the database of the running server to a file
    Backup(BackupArgs),
    /// Start from a saved database; the server must be stopped
    Restore(RestoreArgs),
    /// Print the completion script of a shell
    Completion(CompletionArgs),
    /// Print the version of this program and of the server
    Version,
    /// Print the reference of all verbs as Markdown
    #[command(name = "__cli-reference", hide = true)]
    CliReference,
}

const TASK_HELP: &str = "Id, beginning of an id, name, `@` (your last one) or `@~2` (two before it)";

#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// Also show tasks that are over
    #[arg(long, short = 'a')]
    pub(crate) all: bool,
    /// Only tasks in this state; may be given several times
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    pub(crate) state: Vec<String>,
    /// Only tasks of this owner
    #[arg(long, value_name = "OWNER")]
    pub(crate) user: Option<String>,
    /// Only tasks with this name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Only tasks of this queue
    #[arg(long, value_name = "NAME")]
    pub(crate) queue: Option<String>,
    /// Only tasks submitted at most this long ago (`2h`), or since a moment (RFC 3339)
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// At most this many
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) limit: u32,
    /// Go on where a listing ended
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
    /// Print again every second until Ctrl-C
    #[arg(long, short = 'w')]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Print again every second until Ctrl-C
    #[arg(long, short = 'w')]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    #[arg(help = TASK_HELP)]
    pub(crate) task: String,
    /// Go on until the task has ended, through its retries; exits with its code
    #[arg(long, short = 'f')]
    pub(crate) follow: bool,
    /// Only this attempt [default: the last one]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) attempt: Option<u32>,
    /// Only the last lines
    #[arg(long, short = 'n', value_name = "LINES")]
    pub(crate) tail: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    #[arg(help = TASK_HELP, default_value = "@")]
    pub(crate) task: String,
}

#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    #[arg(help = TASK_HELP, required_unless_present = "all")]
    pub(crate) tasks: Vec<String>,
    /// Every live task of yours
    #[arg(long, conflicts_with = "tasks")]
    pub(crate) all: bool,
    /// Time between SIGTERM and SIGKILL (`0s`, `30s`)
    #[arg(long, value_name = "TIME")]
    pub(crate) grace: Option<String>,
    /// Do not ask
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TasksArgs {
    #[arg(help = TASK_HELP, required = true)]
    pub(crate) tasks: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    #[arg(help = TASK_HELP, required = true)]
    pub(crate) tasks: Vec<String>,
    /// Give up after this long and exit with 75; the tasks go on
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(crate) struct SetArgs {
    #[arg(help = TASK_HELP)]
    pub(crate) task: String,
    /// From -1000 to 1000; higher goes first
    #[arg(long, group = "change", allow_negative_numbers = true, value_name = "NUMBER")]
    pub(crate) priority: Option<i32>,
    /// Hold it back
    #[arg(long, group = "change", conflicts_with = "unhold")]
    pub(crate) hold: bool,
    /// Let it go
    #[arg(long, group = "change")]
    pub(crate) unhold: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct NodesArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<NodesVerb>,
    #[command(flatten)]
    pub(crate) list: WatchArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodesVerb {
    /// Start no new tasks there; what runs goes on
    Drain {
        /// The node's id (`node-0`) or its name
        node: String,
    },
    /// Start tasks there again
    Resume {
        /// The node's id (`node-0`) or its name
        node: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    #[arg(help = TASK_HELP, default_value = "@")]
    pub(crate) task: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a token; it is shown once
    Create {
        /// What it may do
        #[arg(long, value_enum, default_value = "member")]
        role: RoleArg,
        /// Whom it stands for [default: you]
        #[arg(long, value_name = "NAME")]
        owner: Option<String>,
        /// The project it belongs to [default: yours]
        #[arg(long, value_name = "NAME")]
        project: Option<String>,
        /// Ends by itself after this long (`30d`) [default: never]
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// List tokens, without their secrets
    #[command(visible_alias = "ls")]
    List,
    /// End tokens, at once
    Revoke {
        /// The public part, as `token list` shows it
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleArg {
    /// Reads its project
    Viewer,
    /// Runs and changes tasks of its project
    Member,
    /// Everything, in every project
    Admin,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Where the driver's NVML library is [env: FASTGPU_NVML_PATH]
    #[arg(long, value_name = "FILE")]
    pub(crate) nvml_path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The file to write; it must not exist yet
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// A file that `fastgpu backup` has written
    pub(crate) file: PathBuf,
    /// Replace the database that is there
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// For which shell
    pub(crate) shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_verbs_and_flags_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_command_needs_no_dashes_and_keeps_its_own_flags() {
        let words = ["fastgpu", "run", "--gpu", "0.5", "python", "train.py", "--gpu", "3", "-o", "x"];
        let Verb::Run(run) = Cli::try_parse_from(words).unwrap().verb else { panic!("not run") };
        assert_eq!(run.command, ["python", "train.py", "--gpu", "3", "-o", "x"]);
        let words = ["fastgpu", "run", "-d", "--", "--odd-name", "--", "x"];
        let Verb::Run(run) = Cli::try_parse_from(words).unwrap().verb else { panic!("not run") };
        assert_eq!(run.command, ["--odd-name", "--", "x"]);
    }

    #[test]
    fn a_task_needs_a_command_or_a_time_to_reserve() {
        assert!(Cli::try_parse_from(["fastgpu", "run", "--gpu", "1"]).is_err());
        assert!(Cli::try_parse_from(["fastgpu", "run", "--reserve", "2h"]).is_ok());
        assert!(Cli::try_parse_from(["fastgpu", "run", "--reserve", "2h", "true"]).is_err());
    }
}
