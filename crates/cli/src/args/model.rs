//! The flags of `fastgpu model`.

use std::path::PathBuf;

use clap::Args;

const LIST: &str = "Tasks that are known";
const STREAM: &str = "Tasks that keep arriving";
const GOAL: &str = "A goal";
const CHECK: &str = "A check";

#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// How many GPUs there are, all alike
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) gpus: Option<u32>,
    /// How many GPUs a task holds
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) gpus_per_task: u32,
    /// Set the original article's figures beside the true ones; without tasks, for its own example
    #[arg(long, conflicts_with = "arrivals")]
    pub(crate) article: bool,

    /// So many tasks, all submitted at once, each for `--duration`
    #[arg(long, value_name = "COUNT", requires = "duration", help_heading = LIST,
        value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) tasks: Option<u32>,
    /// How long each of the `--tasks` runs (`2h`)
    #[arg(long, value_name = "TIME", requires = "tasks", help_heading = LIST)]
    pub(crate) duration: Option<String>,
    /// A task as GPUs and time (`4x30m`), submitted after those before it; may be given several times
    #[arg(long, value_name = "GPUSxTIME", help_heading = LIST)]
    pub(crate) task: Vec<String>,
    /// Tasks from a CSV file with the columns `duration` and, if wanted, `gpus` and `arrival` (`2h`, or seconds)
    #[arg(long, value_name = "FILE", help_heading = LIST)]
    pub(crate) file: Option<PathBuf>,
    /// Also give the utilization over this time from the first arrival on
    #[arg(long, value_name = "TIME", conflicts_with = "arrivals", help_heading = LIST)]
    pub(crate) horizon: Option<String>,

    /// How many tasks arrive, at random (`12/h`, `0.5/min`, `200/d`)
    #[arg(long, value_name = "RATE", requires = "service", conflicts_with_all = ["tasks", "task", "file"],
        help_heading = STREAM)]
    pub(crate) arrivals: Option<String>,
    /// How long they run: `exp:2h`, `fixed:2h`, `lognormal:2h,1.5` (mean, deviation over mean), `gamma:…`, `hyperexp:…`,
    /// or `csv:FILE` with a column `duration`
    #[arg(long, value_name = "TIMES", requires = "arrivals", help_heading = STREAM)]
    pub(crate) service: Option<String>,

    /// Find the fewest GPUs that keep the wait within this time
    #[arg(long, value_name = "TIME", requires = "arrivals", help_heading = GOAL)]
    pub(crate) wait_goal: Option<String>,
    /// Which wait: `mean`, or the one that so many percent do not exceed (`p95`)
    #[arg(long, value_name = "WHICH", default_value = "p95", help_heading = GOAL)]
    pub(crate) quantile: String,
    /// What a GPU costs per hour, in any currency
    #[arg(long, value_name = "MONEY", requires = "arrivals", help_heading = GOAL)]
    pub(crate) price: Option<f64>,

    /// Simulate the same system and set its figures beside the theory
    #[arg(long, requires = "arrivals", help_heading = CHECK)]
    pub(crate) check: bool,
    /// The seed of the simulation: the same seed gives the same figures
    #[arg(long, value_name = "NUMBER", default_value_t = 1, help_heading = CHECK)]
    pub(crate) seed: u64,
    /// How many tasks the simulation counts
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000, help_heading = CHECK,
        value_parser = clap::value_parser!(u64).range(3_200..=50_000_000))]
    pub(crate) check_tasks: u64,
}
