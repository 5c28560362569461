//! The words of `fastgpu simulate-fault`.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct SimulateFaultArgs {
    /// Which software GPU (`gpu-3`, or its UUID), or `all`
    #[arg(value_name = "GPU")]
    pub(crate) gpu: String,
    #[command(subcommand)]
    pub(crate) fault: FaultVerb,
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum FaultVerb {
    /// Report an XID, with what it does to running programs (79: falls off the bus)
    Xid {
        /// Its number
        #[arg(value_parser = clap::value_parser!(u32).range(1..1_000))]
        number: u32,
    },
    /// Count memory errors
    Ecc {
        /// How many
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        count: u32,
        /// Errors that cannot be corrected: running programs fail with one
        #[arg(long)]
        uncorrected: bool,
    },
    /// Take work and never finish it
    Hang,
    /// Fall off the bus
    OffBus,
    /// Let allocations fail as if memory were full
    AllocFail {
        /// How many still succeed first
        #[arg(long, default_value_t = 0)]
        after: u64,
    },
    /// Let every call of the management library take this long (`500ms`, at most 60s); on `all` GPUs
    NvmlSlow {
        /// How long
        time: String,
    },
    /// Let calls of the management library never come back; on `all` GPUs
    NvmlHang,
    /// Claim another driver version, as after an update without a restart; on `all` GPUs
    DriverVersion {
        /// Such as 590.48.01
        #[arg(value_name = "VERSION")]
        claimed: String,
    },
    /// Mend everything, as a reset would
    Clear,
}
