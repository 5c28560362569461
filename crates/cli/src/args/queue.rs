//! The flags of `fastgpu queue`.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use fastgpu_core::policy::{Order, Placement, Preempt};

use super::WatchArgs;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct QueueArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<QueueVerb>,
    /// Show only this one, with the first of its waiting tasks
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) list: WatchArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueVerb {
    /// Change the rules of a queue; makes it if there is none of this name
    Set(QueueSetArgs),
    /// Take queues out of the configuration; what waits there follows the rules of `default`
    #[command(visible_alias = "remove")]
    Rm {
        /// Their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

#[derive(Debug, Default, Args)]
pub(crate) struct QueueSetArgs {
    /// Its name: a-z, 0-9, `-` and `_`
    pub(crate) name: String,
    /// Added to the priority of each of its tasks
    #[arg(long, allow_negative_numbers = true, value_name = "NUMBER")]
    pub(crate) priority: Option<i32>,
    /// Who goes first among tasks of equal priority
    #[arg(long, value_name = "WORD", value_parser = PossibleValuesParser::new(Order::ALL.iter().map(|one| one.code())))]
    pub(crate) order: Option<String>,
    /// Which of the places that fit is taken
    #[arg(long, value_name = "WORD", value_parser = PossibleValuesParser::new(Placement::ALL.iter().map(|one| one.code())))]
    pub(crate) placement: Option<String>,
    /// Who may be stopped to make room
    #[arg(long, value_name = "WORD", value_parser = PossibleValuesParser::new(Preempt::ALL.iter().map(|one| one.code())))]
    pub(crate) preempt: Option<String>,
    /// Who has waited this long goes before all others of equal priority (`2d`)
    #[arg(long, value_name = "TIME")]
    pub(crate) wait_max: Option<String>,
}
