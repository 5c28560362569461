//! The words of `fastgpu demo-kernel`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct DemoKernelArgs {
    #[command(subcommand)]
    pub(crate) kernel: KernelVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KernelVerb {
    /// Draw the Mandelbrot set, and check every point of it
    Mandelbrot {
        /// Columns of the picture
        #[arg(long, default_value_t = 960, value_parser = clap::value_parser!(u32).range(2..=8_192))]
        width: u32,
        /// Rows of the picture
        #[arg(long, default_value_t = 720, value_parser = clap::value_parser!(u32).range(2..=8_192))]
        height: u32,
        /// Also write the picture to a file (`.ppm`)
        #[arg(long, value_name = "FILE")]
        picture: Option<PathBuf>,
    },
    /// Keep the GPU busy
    Burn {
        /// How long (`10s`, `5m`)
        #[arg(default_value = "10s")]
        time: String,
    },
    /// Add a multiple of one array to another, and check every number of it
    Saxpy {
        /// Numbers in each array
        #[arg(default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=1_073_741_824))]
        count: u32,
    },
}
