//! The flags of `fastgpu run`.

use clap::Args;

#[derive(Debug, Default, Args)]
pub(crate) struct RunArgs {
    /// How much GPU: `0.25` of one, `1`, `8`, or `none`
    #[arg(long, short = 'g', value_name = "AMOUNT", allow_hyphen_values = true, help_heading = "Resources")]
    pub(crate) gpu: Option<String>,
    /// Memory on each GPU (`12GiB`); without `--gpu`, the share that covers it
    #[arg(long, value_name = "SIZE", help_heading = "Resources")]
    pub(crate) gpu_memory: Option<String>,
    /// Only on GPUs whose name contains this (`a100`); may be given several times
    #[arg(long, value_name = "MODEL", value_delimiter = ',', help_heading = "Resources")]
    pub(crate) gpu_model: Vec<String>,
    /// Processor cores
    #[arg(long, short = 'c', value_name = "CORES", allow_hyphen_values = true, help_heading = "Resources")]
    pub(crate) cpu: Option<f64>,
    /// Host memory (`4GiB`)
    #[arg(long, visible_alias = "memory", value_name = "SIZE", help_heading = "Resources")]
    pub(crate) mem: Option<String>,
    /// Only on these machines; may be given several times
    #[arg(long, value_name = "NODE", value_delimiter = ',', help_heading = "Resources")]
    pub(crate) node: Vec<String>,
    /// Only on machines with this label (`rack=7`); may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',', help_heading = "Resources")]
    pub(crate) label: Vec<String>,
    /// The GPUs may be on several machines
    #[arg(long, help_heading = "Resources")]
    pub(crate) spread: bool,
    /// Accept the task even if no GPU known now can ever fit it
    #[arg(long, help_heading = "Resources")]
    pub(crate) wait_for_capacity: bool,

    /// End it after it has run this long (`90s`, `2h`)
    #[arg(
        long,
        short = 't',
        visible_alias = "time-limit",
        value_name = "TIME",
        help_heading = "Time and order"
    )]
    pub(crate) time: Option<String>,
    /// How long it will probably run (`2h`); ends nothing, but helps the queue
    #[arg(long, value_name = "TIME", help_heading = "Time and order")]
    pub(crate) expect: Option<String>,
    /// The queue to wait in [default: default]
    #[arg(long, value_name = "NAME", help_heading = "Time and order")]
    pub(crate) queue: Option<String>,
    /// Give up when it has waited this long
    #[arg(long, value_name = "TIME", help_heading = "Time and order")]
    pub(crate) queue_timeout: Option<String>,
    /// Time between SIGTERM and SIGKILL when it is stopped (`0s`, `30s`)
    #[arg(long, value_name = "TIME", help_heading = "Time and order")]
    pub(crate) grace: Option<String>,
    /// From -1000 to 1000; higher goes first
    #[arg(long, allow_negative_numbers = true, value_name = "NUMBER", help_heading = "Time and order")]
    pub(crate) priority: Option<i32>,
    /// Try again this many times when it fails
    #[arg(long, value_name = "TIMES", help_heading = "Time and order")]
    pub(crate) retry: Option<u32>,
    /// Pause before the first retry, doubled after each (`10s`)
    #[arg(long, value_name = "TIME", requires = "retry", help_heading = "Time and order")]
    pub(crate) retry_backoff: Option<String>,
    /// Hold it back until `fastgpu set --unhold`
    #[arg(long, help_heading = "Time and order")]
    pub(crate) held: bool,
    /// Hold GPUs for this long, without a command
    #[arg(long, value_name = "TIME", conflicts_with_all = ["command", "time"], help_heading = "Time and order")]
    pub(crate) reserve: Option<String>,

    /// A name to find it by
    #[arg(long, short = 'n', visible_short_alias = 'J', visible_alias = "job-name", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Set a variable (`LR=0.1`), or take it over from here (`HF_HOME`)
    #[arg(long, short = 'e', value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Folder to run in [default: the current one]
    #[arg(long, value_name = "FOLDER", conflicts_with = "scratch")]
    pub(crate) cwd: Option<String>,
    /// Run in a fresh folder of its own
    #[arg(long)]
    pub(crate) scratch: bool,
    /// Project to run in [default: the token's]
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Option<String>,
    /// Print the id and return
    #[arg(long, short = 'd')]
    pub(crate) detach: bool,
    /// Do not start a local server when there is none
    #[arg(long)]
    pub(crate) no_start: bool,

    /// The program and its arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND",
        required_unless_present = "reserve"
    )]
    pub(crate) command: Vec<String>,
}
