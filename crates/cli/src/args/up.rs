//! The flags of `fastgpu up`, of `fastgpu demo`, which starts the same server, and of `fastgpu down`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct UpArgs {
    /// Address to listen on; port 0 takes a free one [env: FASTGPU_LISTEN] [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// Allow an address that other machines reach, without encryption
    #[arg(long)]
    pub(crate) insecure_http: bool,
    /// Have software GPUs (`8xA100-80GB`, `4xH100,2xL40S`) [env: FASTGPU_SIMULATE]
    #[arg(long, value_name = "DEVICES")]
    pub(crate) simulate: Option<String>,
    /// Where the driver's NVML library is [env: FASTGPU_NVML_PATH] [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub(crate) nvml_path: Option<PathBuf>,
    /// What this machine is like (`rack=7`); may be given several times [env: FASTGPU_LABELS]
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    pub(crate) label: Vec<String>,
    /// Write down all that is decided, for `fastgpu simulate replay` [env: FASTGPU_RECORD]
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Go on in the background; returns when the server is ready
    #[arg(long, short = 'd')]
    pub(crate) detach: bool,
    /// Set by `--detach` for the process that stays: report on stdout, then let go of it
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
    /// At the end, also end everything that runs, for demonstrations and tests
    #[arg(long, hide = true)]
    pub(crate) ephemeral: bool,
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DownArgs {
    /// Cancel every live task first, those that wait too, and leave nothing of FastGPU running
    #[arg(long)]
    pub(crate) tasks: bool,
}

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DemoArgs {
    /// Leave the server running at the end
    #[arg(long)]
    pub(crate) stay: bool,
    /// Have these software GPUs, even if there are real ones
    #[arg(long, value_name = "DEVICES")]
    pub(crate) simulate: Option<String>,
}
