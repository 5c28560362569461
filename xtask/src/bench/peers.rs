//! `cargo xtask bench --peers`: FastGPU beside what a user could take instead, in the same run on the same machine.
//!
//! Each peer runs the same work as we do, pair by pair, so that whatever else the machine does meets both. Absolute
//! figures differ from machine to machine; the ratio within a pair travels. Whoever is not here to be measured is
//! listed as not measured. Start at [`run`]; each side is a file.

mod bare;
mod hyperqueue;
mod ours;
mod pairs;
mod pueue;
mod readme;
mod report;
mod side;
mod task_spooler;

use std::path::PathBuf;

use anyhow::ensure;
use serde_json::json;

use super::{Context, build, machine};
use pairs::Pairs;
use report::Line;
use side::{Side, Work};

/// Programs in one run of a peer that takes thousands; a slower one says how many it gets.
const TASKS: usize = 3_000;
/// Pairs of runs, first one side first, then the other.
const PAIRS: usize = 7;
const PAIRS_IN_A_HURRY: usize = 3;

/// What the peers' bench wants to know besides the usual.
#[derive(Debug, Default)]
pub(super) struct PeerWishes {
    /// An `hq` binary: HyperQueue is in no registry under its name, and its Python package has no program.
    pub(super) hq: Option<PathBuf>,
    /// Fetch what can be fetched by name.
    pub(super) install: bool,
    /// Put the result into the README.
    pub(super) write_readme: bool,
    /// Only these peers.
    pub(super) only: Vec<String>,
}

/// A peer that may or may not be on this machine.
struct Candidate {
    name: &'static str,
    find: fn(&PeerWishes) -> anyhow::Result<Box<dyn Side>>,
}

const CANDIDATES: [Candidate; 5] = [
    Candidate { name: "HyperQueue", find: |wishes| hyperqueue::find(wishes, hyperqueue::Logs::Files) },
    Candidate {
        name: "HyperQueue without logs",
        find: |wishes| hyperqueue::find(wishes, hyperqueue::Logs::None),
    },
    Candidate { name: "task-spooler", find: task_spooler::find },
    Candidate { name: "pueue", find: pueue::find },
    Candidate { name: "bare spawns", find: |_| Ok(Box::new(bare::Bare)) },
];

pub(super) fn run(context: &Context, wishes: &PeerWishes) -> anyhow::Result<bool> {
    let unknown = wishes.only.iter().find(|name| !CANDIDATES.iter().any(|peer| peer.name == **name));
    let names: Vec<&str> = CANDIDATES.iter().map(|peer| peer.name).collect();
    ensure!(
        unknown.is_none(),
        "there is no peer `{}`; there are: {}",
        unknown.map_or("", |n| n),
        names.join(", ")
    );
    // Before the build, which is work of our own.
    let load_before = machine::load();
    build::release()?;
    let wanted = CANDIDATES
        .iter()
        .filter(|peer| wishes.only.is_empty() || wishes.only.iter().any(|name| name == peer.name));
    let mut lines = Vec::new();
    for peer in wanted {
        println!("measuring beside {}", peer.name);
        let measured = (peer.find)(wishes).and_then(|side| {
            let label = side.label();
            Ok((label, measure(context, side.as_ref())?))
        });
        lines.push(match measured {
            Ok((label, pairs)) => Line::of_pairs(label, &pairs),
            Err(error) => Line::not_measured(peer.name, &error),
        });
    }
    let machine = machine::describe(&context.work);
    let table = format!("{}\n\n{}", report::markdown(&lines), report::caption(&machine, load_before));
    println!("\n{table}\n\nmachine: {machine}");
    let document = json!({
        "name": "peers",
        "lines": lines.iter().map(Line::to_json).collect::<Vec<_>>(),
        "quick": context.quick,
        "load_before": load_before,
        "machine": machine,
    });
    let results = crate::root::target_dir()?.join("bench/peers.json");
    std::fs::write(results, serde_json::to_string_pretty(&document)? + "\n")?;
    if context.quick {
        println!("--quick: a tenth of the work; not for publication");
    } else if wishes.write_readme {
        readme::write(&context.root.join("README.md"), &table)?;
    }
    Ok(true)
}

fn measure(context: &Context, peer: &dyn Side) -> anyhow::Result<Pairs> {
    let tasks = context.count(peer.tasks_max().min(TASKS));
    let pairs_wanted = if context.quick { PAIRS_IN_A_HURRY } else { PAIRS };
    let ours = ours::Ours { context };
    let mut pairs = Pairs::default();
    for number in 0..pairs_wanted {
        let run = |side: &dyn Side| {
            let folder = tempfile::Builder::new().prefix("peer-").tempdir_in(&context.work)?;
            side.tasks_per_s(&Work { folder: folder.path(), tasks })
        };
        let (our_rate, their_rate) = if number.is_multiple_of(2) {
            let first = run(&ours)?;
            (first, run(peer)?)
        } else {
            let first = run(peer)?;
            (run(&ours)?, first)
        };
        println!("  pair {}: FastGPU {our_rate:.0}/s, beside it {their_rate:.0}/s", number + 1);
        pairs.add(our_rate, their_rate);
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_here_is_a_reason_and_no_crash() {
        let nowhere = PeerWishes { hq: Some("no/such/hq".into()), ..PeerWishes::default() };
        let error = (CANDIDATES[0].find)(&nowhere).map(|_| ()).expect_err("there is no such program");
        assert!(error.to_string().contains("no/such/hq"), "{error}");
    }
}
