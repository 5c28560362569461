//! What can be typed after `fastgpu simulate`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum SimulateVerb {
    /// Play a trace, or the history of a server, on a cluster, with one policy or several side by side
    Trace(Box<SimulateTraceArgs>),
    /// Play tasks that are made up by rule
    Synthetic(SyntheticArgs),
    /// Decide again what a server has decided, from its recording, and compare
    Replay(ReplayArgs),
    /// Packing experiment on Alibaba's openb trace: tasks come and none leaves
    Openb(OpenbArgs),
    /// Completion times on Microsoft's Philly trace
    Philly(PhillyArgs),
}

const POLICY_HELP: &str =
    "A policy by name, or as settings: `sjf-bf,placement=packing`; may be given several times";

/// What every simulation knows.
#[derive(Debug, Args)]
pub(crate) struct PageArgs {
    /// Write a page with tables and pictures to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct OpenbArgs {
    /// The list of nodes (CSV, may be gzip)
    #[arg(long, value_name = "FILE")]
    pub(crate) nodes: PathBuf,
    /// The list of tasks (CSV, may be gzip)
    #[arg(long, value_name = "FILE")]
    pub(crate) tasks: PathBuf,
    #[arg(long, value_name = "POLICY", help = POLICY_HELP, default_value = "default")]
    pub(crate) policy: Vec<String>,
    /// Seeds of the orders of tasks and nodes: `42..51`, or `42,43`
    #[arg(long, value_name = "SEEDS", default_value = "42..51")]
    pub(crate) seeds: String,
    /// How much is asked for in all, in percent of all GPUs
    #[arg(long, value_name = "PERCENT", default_value_t = 130, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) arrived: u64,
    /// Take the tasks in the order of this file (CSV) instead of shuffling them
    #[arg(long, value_name = "FILE")]
    pub(crate) order: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) page: PageArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PhillyArgs {
    /// The tasks (CSV with submit_s, duration_s, num_gpus, vc; may be gzip)
    #[arg(long, value_name = "FILE")]
    pub(crate) tasks: PathBuf,
    #[arg(long, value_name = "POLICY", help = POLICY_HELP, default_value = "default")]
    pub(crate) policy: Vec<String>,
    /// Give each virtual cluster so many machines that this part of them is asked for on average (0.6) [default: the
    /// machines it had]
    #[arg(long, value_name = "PART")]
    pub(crate) load: Option<f64>,
    /// Which virtual clusters [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) vc: Vec<String>,
    /// Whether users say how long their tasks run
    #[arg(long, value_enum, default_value = "unknown")]
    pub(crate) durations: Durations,
    #[command(flatten)]
    pub(crate) page: PageArgs,
}

/// Whether users say how long their tasks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durations {
    /// They do, and they are right
    Known,
    /// They do not
    Unknown,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["file", "from_server"]))]
pub(crate) struct SimulateTraceArgs {
    /// The tasks (CSV with submit_s, duration_s, gpus and more, see docs/simulator.md; may be gzip)
    pub(crate) file: Option<PathBuf>,
    /// Play what the server has run so far, on its own machines
    #[arg(long)]
    pub(crate) from_server: bool,
    /// Of the server's tasks only those submitted at most this long ago (`30d`)
    #[arg(long, value_name = "TIME", requires = "from_server")]
    pub(crate) since: Option<String>,
    /// The machines: a file, or as text: `4x 8xH100-80GB cpu=128 price=2.5`
    #[arg(long, value_name = "FILE", required_unless_present = "from_server")]
    pub(crate) cluster: Option<String>,
    /// More machines: `4xA100-80GB` is one with four GPUs; may be given several times
    #[arg(long, value_name = "MACHINES")]
    pub(crate) add: Vec<String>,
    /// Price of a GPU for an hour, for those whose description says none
    #[arg(long, value_name = "PRICE", default_value_t = 0.0)]
    pub(crate) price: f64,
    #[command(flatten)]
    pub(crate) how: HowArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SyntheticArgs {
    /// How many tasks
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) tasks: u32,
    /// How many GPUs, eight in a machine
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(8..=1_000_000))]
    pub(crate) gpus: u32,
    /// The part of all GPUs that is asked for on average
    #[arg(long, value_name = "PART", default_value_t = 0.9)]
    pub(crate) load: f64,
    #[command(flatten)]
    pub(crate) how: HowArgs,
}

/// How a trace is played.
#[derive(Debug, Args)]
pub(crate) struct HowArgs {
    #[arg(long, value_name = "POLICY", help = POLICY_HELP, default_value = "default")]
    pub(crate) policy: Vec<String>,
    /// What goes wrong: `nodes-mtbf=30d,gpu-mtbf=200d,repair=4h,task-failure=0.02,checkpoint=1h`
    #[arg(long, value_name = "FAULTS")]
    pub(crate) faults: Option<String>,
    /// Of everything that chance decides
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Price of a kilowatt-hour
    #[arg(long, value_name = "PRICE", default_value_t = 0.0)]
    pub(crate) electricity: f64,
    /// Also tell what happened over time (JSON)
    #[arg(long)]
    pub(crate) series: bool,
    /// Also tell how long decisions took; the answer then differs from run to run
    #[arg(long)]
    pub(crate) timing: bool,
    #[command(flatten)]
    pub(crate) page: PageArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// What `fastgpu up --record FILE` has written
    pub(crate) file: PathBuf,
    /// Go on from what the server decided after a difference, and count the differences by kind
    #[arg(long)]
    pub(crate) go_on: bool,
}
