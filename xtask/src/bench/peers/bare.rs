//! Nobody between us and the kernel: as many threads as slots, each starting and reaping. No side can be faster.

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::ensure;

use super::side::{PROGRAM, SLOTS, Side, Work, rate};
use crate::root::program;

pub(super) struct Bare;

impl Side for Bare {
    fn label(&self) -> String {
        format!("bare spawns, {SLOTS} at a time: no queue, no logs, nothing kept")
    }

    fn tasks_per_s(&self, work: &Work<'_>) -> anyhow::Result<f64> {
        let taken = AtomicUsize::new(0);
        let began = Instant::now();
        let succeeded: usize = std::thread::scope(|scope| {
            let spawn_all = || {
                let mut succeeded = 0;
                while taken.fetch_add(1, Ordering::Relaxed) < work.tasks {
                    let status = program(PROGRAM).stdin(Stdio::null()).status();
                    succeeded += usize::from(status.is_ok_and(|status| status.success()));
                }
                succeeded
            };
            let workers: Vec<_> = (0..SLOTS).map(|_| scope.spawn(spawn_all)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap_or(0)).sum()
        });
        ensure!(succeeded == work.tasks, "{succeeded} of {} programs succeeded", work.tasks);
        Ok(rate(work.tasks, began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_run_once() {
        let folder = tempfile::tempdir().unwrap();
        let work = Work { folder: folder.path(), tasks: 20 };
        assert!(Bare.tasks_per_s(&work).unwrap() > 0.0);
    }
}
