//! One file per verb. Here only: which verb is which, and what each needs to run.
//!
//! `up` and `demo` bring their own runtime; verbs that speak to a server share a small one; the rest need
//! none.

mod backup;
mod cancel;
mod completion;
mod demo;
mod demo_kernel;
mod doctor;
mod down;
mod events;
mod gpus;
mod logs;
mod model;
mod nodes;
mod ps;
mod queue;
mod restore;
mod retry;
mod run;
mod set;
mod show;
mod simulate;
mod simulate_fault;
mod token;
mod up;
mod version;
mod wait;
mod why;

use std::future::Future;
use std::time::Duration;

use crate::args::Verb;
use crate::failure::{Failure, exit};
use crate::output::Output;
use crate::settings::Settings;

/// How often a watched listing is printed again.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Does what was asked; the number is the exit code.
pub(crate) fn run(verb: Verb, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    match verb {
        Verb::Up(flags) => up::run(&flags, settings, out),
        Verb::Down(flags) => down::run(&flags, settings, out),
        Verb::Demo(flags) => demo::run(&flags, settings, out),
        Verb::Doctor(flags) => doctor::run(&flags, settings, out),
        Verb::Model(flags) => model::run(&flags, out),
        Verb::DemoKernel(flags) => demo_kernel::run(&flags, out),
        Verb::SimulateFault(flags) => simulate_fault::run(&flags, settings, out),
        Verb::Restore(flags) => restore::run(&flags, settings, out),
        Verb::Simulate(verb) => simulate::run(&verb, settings, out),
        Verb::Completion(flags) => completion::run(&flags, out),
        Verb::CliReference => out.data(crate::reference::markdown().trim_end()).map(|()| 0),
        Verb::Backup(flags) => backup::run(&flags, settings, out),
        online => block_on(speak(online, settings, out)),
    }
}

/// Verbs that speak to a server.
async fn speak(verb: Verb, settings: &Settings, out: &Output) -> Result<u8, Failure> {
    match verb {
        Verb::Run(flags) => run::run(&flags, settings, out).await,
        Verb::Ps(flags) => ps::run(&flags, settings, out).await,
        Verb::Logs(flags) => logs::run(&flags, settings, out).await,
        Verb::Why(flags) => why::run(&flags, settings, out).await,
        Verb::Cancel(flags) => cancel::run(&flags, settings, out).await,
        Verb::Retry(flags) => retry::run(&flags, settings, out).await,
        Verb::Wait(flags) => wait::run(&flags, settings, out).await,
        Verb::Set(flags) => set::run(&flags, settings, out).await,
        Verb::Gpus(flags) => gpus::run(&flags, settings, out).await,
        Verb::Queue(flags) => queue::run(&flags, settings, out).await,
        Verb::Nodes(flags) => nodes::run(&flags, settings, out).await,
        Verb::Events(flags) => events::run(&flags, settings, out).await,
        Verb::Token(verb) => token::run(&verb, settings, out).await,
        Verb::Version => version::run(settings, out).await,
        other => unreachable!("{other:?} speaks to no server"),
    }
}

/// One thread is enough to wait for one server, and it is there at once.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("the system gives no descriptors: {error}")))?
        .block_on(work)
}

/// Does `once`, and again and again until Ctrl-C where it is to be watched.
async fn watched<F: Future<Output = Result<(), Failure>>>(
    watch: bool,
    out: &Output,
    once: impl Fn() -> F,
) -> Result<u8, Failure> {
    if !watch {
        once().await?;
        return Ok(0);
    }
    loop {
        out.again()?;
        tokio::select! {
            printed = once() => printed?,
            _ = tokio::signal::ctrl_c() => return Ok(exit::INTERRUPTED),
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH_EVERY) => {}
            _ = tokio::signal::ctrl_c() => return Ok(exit::INTERRUPTED),
        }
    }
}
