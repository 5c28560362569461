//! What this machine can do at best, measured in the same run as what is held against it.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::http::Address;
use super::load::Load;
use crate::root::program;

const SPAN: Duration = Duration::from_secs(2);

/// Starting and reaping `/bin/true` with a thread per core: no task can be cheaper than its own process.
pub(super) fn spawns_per_s() -> anyhow::Result<f64> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let began = Instant::now();
    let spawned: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(move || spawn_until(began + SPAN))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or(0)).sum()
    });
    ensure!(spawned > 0, "`/bin/true` could not be started");
    Ok(spawned as f64 / began.elapsed().as_secs_f64())
}

fn spawn_until(end: Instant) -> usize {
    let mut spawned = 0;
    while Instant::now() < end && program("/bin/true").stdin(Stdio::null()).status().is_ok() {
        spawned += 1;
    }
    spawned
}

/// Appending 200 bytes and making them durable, one after the other: the pace of commits that are not shared.
pub(super) fn syncs_per_s(folder: &Path) -> anyhow::Result<f64> {
    let mut file = tempfile::tempfile_in(folder)?;
    let (began, mut synced) = (Instant::now(), 0);
    while began.elapsed() < SPAN {
        file.write_all(&[7; 200])?;
        file.sync_data()?;
        synced += 1;
    }
    Ok(f64::from(synced) / began.elapsed().as_secs_f64())
}

/// The same server and the same connections with nothing to do: what HTTP alone allows.
pub(super) fn answers_per_s(address: &Address, connections: usize) -> anyhow::Result<f64> {
    let requests = [address.request("GET", "/healthz", "")];
    Ok(Load { connections, count: 50_000, requests: &requests }.run(address)?.per_s)
}
