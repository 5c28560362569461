//! Stories about real tasks under a real keeper, started by a real agent.
//!
//! This binary is also the keeper: started as `keeper __keeper <folder>` it becomes one, which needs a
//! process with one thread, so the tests have a main function of their own. `keeper <part of a name>` runs
//! the stories whose name has that part.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test binary without the usual harness")]

#[cfg(feature = "failpoints")]
#[path = "keeper/crashes.rs"]
mod crashes;
#[path = "keeper/ends.rs"]
mod ends;
#[path = "keeper/limits.rs"]
mod limits;
#[path = "keeper/powers.rs"]
mod powers;
#[path = "keeper/restarts.rs"]
mod restarts;
#[path = "keeper/reuse.rs"]
mod reuse;
#[path = "keeper/support.rs"]
mod support;
#[path = "keeper/trees.rs"]
mod trees;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;

/// A name that says what is promised, and its proof.
type Story = (&'static str, fn());

/// At once: the stories mostly wait, but each has several processes.
const THREADS: usize = 4;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, folder] = &arguments[..]
        && word == "__keeper"
    {
        return fastgpu_node::keeper::main(Path::new(folder));
    }
    #[cfg(feature = "failpoints")]
    if let [word, warm_up, folder] = &arguments[..]
        && word == crashes::CONTROL
    {
        return crashes::control(warm_up, Path::new(folder));
    }
    let wanted = arguments.iter().find(|argument| !argument.starts_with('-')).cloned().unwrap_or_default();
    #[cfg_attr(not(feature = "failpoints"), expect(unused_mut, reason = "one chapter depends on a feature"))]
    let mut stories =
        [ends::STORIES, trees::STORIES, limits::STORIES, powers::STORIES, restarts::STORIES, reuse::STORIES]
            .concat();
    #[cfg(feature = "failpoints")]
    stories.extend(crashes::STORIES);
    if arguments.iter().any(|argument| argument == "--list") {
        stories.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let waiting: Mutex<Vec<Story>> =
        Mutex::new(stories.into_iter().filter(|(name, _)| name.contains(&wanted)).rev().collect());
    let failed = Mutex::new(Vec::new());
    let count = waiting.lock().unwrap().len();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((name, story)) = { waiting.lock().unwrap().pop() } {
                    let passed = std::panic::catch_unwind(story).is_ok();
                    println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
                    if !passed {
                        failed.lock().unwrap().push(name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    println!("\ntest result: {} passed; {} failed {failed:?}", count - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
