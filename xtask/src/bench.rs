//! `cargo xtask bench`: the numbers that FastGPU claims, measured against real servers in release.
//!
//! One table, and a file per row in `target/bench`, each with the machine it was measured on. A published figure
//! needs its limit or peer in the same run; what could not be measured says so. A bench reports, it never decides.
//! Start at [`ROWS`]; how fast others are at the same work is asked with `--peers`, see [`peers`].

mod build;
mod http;
mod limits;
mod load;
mod machine;
mod peers;
mod process;
mod resident;
mod row;
mod run;
mod server;
mod software;
mod submit;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use peers::PeerWishes;
use row::{Measured, Row};

/// As many slots as the peers were measured with.
const DEVICES: usize = 8;

const ROWS: [Row; 14] = [
    Row {
        name: "submit",
        what: "durable submits, 64 connections, one task each",
        measure: submit::one_by_one,
    },
    Row { name: "batch", what: "durable submits by batch", measure: submit::by_batch },
    Row { name: "true", what: "`/bin/true` as a process, 8 slots", measure: run::true_on_8_slots },
    Row { name: "latency", what: "submit to the first instruction, idle", measure: run::first_instruction },
    Row { name: "cancel", what: "cancel to nothing left", measure: run::cancel_to_nothing },
    Row { name: "memory", what: "memory", measure: resident::memory },
    Row { name: "idle", what: "CPU when idle", measure: resident::idle_cpu },
    Row { name: "guardian", what: "memory of a guardian", measure: resident::guardian },
    Row { name: "restart", what: "restart after kill -9", measure: resident::restart },
    Row { name: "adoption", what: "adoption after kill -9", measure: resident::adoption },
    Row { name: "round", what: "a round of planning when one task ends", measure: build::round },
    Row { name: "softgpu", what: "calls of the software GPU", measure: software::calls },
    Row { name: "switch", what: "lost when two processes share a software GPU", measure: software::switches },
    Row { name: "binary", what: "the binary", measure: build::binary_size },
];
/// Not among the rows above: it is asked for on its own.
const COLD: Row = Row { name: "cold", what: "cold release build", measure: build::cold_build };

const KNOWN_WORDS: &str = "--quick --cold --list --only NAME, or --peers [--quick] [--only PEER] [--hq PATH] [--install] [--write-readme]";

/// Where things are and how much is wanted.
struct Context {
    root: PathBuf,
    /// On the disk that is measured; gone when the bench ends.
    work: PathBuf,
    binary: PathBuf,
    quick: bool,
    cold: bool,
    /// What the store's example measured, once it was asked.
    commit_rates: OnceCell<Value>,
}

impl Context {
    /// A tenth when in a hurry; the table says how many there were.
    fn count(&self, full: usize) -> usize {
        if self.quick { full / 10 } else { full }
    }
}

#[derive(Default)]
struct Wishes {
    quick: bool,
    cold: bool,
    list: bool,
    only: Vec<String>,
    peers: bool,
    peer_wishes: PeerWishes,
}

pub(crate) fn run(words: &[String]) -> anyhow::Result<bool> {
    let wishes = read_wishes(words)?;
    let results = crate::root::target_dir()?.join("bench");
    std::fs::create_dir_all(&results)?;
    let work = tempfile::Builder::new().prefix("work-").tempdir_in(&results)?;
    let context = Context {
        root: crate::root::project_root()?,
        work: work.path().to_owned(),
        binary: crate::root::target_dir()?.join("release/fastgpu"),
        quick: wishes.quick,
        cold: wishes.cold,
        commit_rates: OnceCell::new(),
    };
    if wishes.peers {
        return peers::run(&context, &PeerWishes { only: wishes.only, ..wishes.peer_wishes });
    }
    run_rows(&context, &wishes, &results)
}

fn run_rows(context: &Context, wishes: &Wishes, results: &Path) -> anyhow::Result<bool> {
    let rows: Vec<&Row> = ROWS.iter().chain([&COLD]).collect();
    if wishes.list {
        rows.iter().for_each(|row| println!("{:<10} {}", row.name, row.what));
        return Ok(true);
    }
    if let Some(unknown) = wishes.only.iter().find(|name| !rows.iter().any(|row| row.name == **name)) {
        bail!("there is no row `{unknown}`; `--list` shows them");
    }
    build::release()?;
    let wanted = rows.into_iter().filter(|row| match wishes.only.as_slice() {
        [] => row.name != COLD.name || wishes.cold,
        only => only.iter().any(|name| name == row.name),
    });
    let mut table = Table::default();
    for row in wanted {
        println!("measuring {}: {}", row.name, row.what);
        let load_before = machine::load();
        let measured = (row.measure)(context);
        save(context, results, row, &measured, load_before)?;
        table.add(row, measured);
    }
    table.print(context);
    Ok(true)
}

fn read_wishes(words: &[String]) -> anyhow::Result<Wishes> {
    let mut wishes = Wishes::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut next = |what: &str| words.next().cloned().with_context(|| format!("{word} needs {what}"));
        match word.as_str() {
            "--quick" => wishes.quick = true,
            "--cold" => wishes.cold = true,
            "--list" => wishes.list = true,
            "--only" => wishes.only.push(next("the name of a row or a peer")?),
            "--peers" => wishes.peers = true,
            "--hq" => wishes.peer_wishes.hq = Some(next("the path of an `hq` binary")?.into()),
            "--install" => wishes.peer_wishes.install = true,
            "--write-readme" => wishes.peer_wishes.write_readme = true,
            _ => bail!("`{word}` is not known here; known: {KNOWN_WORDS}"),
        }
    }
    let for_peers =
        wishes.peer_wishes.hq.is_some() || wishes.peer_wishes.install || wishes.peer_wishes.write_readme;
    ensure!(wishes.peers || !for_peers, "--hq, --install and --write-readme go with --peers");
    Ok(wishes)
}

fn save(
    context: &Context,
    results: &Path,
    row: &Row,
    measured: &anyhow::Result<Measured>,
    load_before: f64,
) -> anyhow::Result<()> {
    let (figures, notes, missing) = match measured {
        Ok(measured) => {
            (measured.figures.iter().map(row::Figure::to_json).collect(), measured.notes.clone(), None)
        }
        Err(error) => (Vec::new(), Vec::new(), Some(format!("{error:#}"))),
    };
    let document = json!({
        "name": row.name,
        "what": row.what,
        "figures": figures,
        "notes": notes,
        "not_measured": missing,
        "quick": context.quick,
        "load_before": load_before,
        "machine": machine::describe(&context.work),
    });
    let text = serde_json::to_string_pretty(&document)?;
    std::fs::write(results.join(format!("{}.json", row.name)), text + "\n")?;
    Ok(())
}

/// What is printed at the end, all at once: columns as wide as their widest cell.
#[derive(Default)]
struct Table {
    lines: Vec<[String; 7]>,
    notes: Vec<String>,
}

impl Table {
    fn add(&mut self, row: &Row, measured: anyhow::Result<Measured>) {
        let blank = || std::array::from_fn(|_| String::new());
        match measured {
            Err(error) => {
                let mut line: [String; 7] = blank();
                line[0] = row.what.to_owned();
                line[2] = "not measured".to_owned();
                self.lines.push(line);
                self.notes.push(format!("{}: not measured: {error:#}", row.name));
            }
            Ok(measured) => {
                for (index, figure) in measured.figures.iter().enumerate() {
                    let mut line: [String; 7] = blank();
                    line[0] = if index == 0 { row.what.to_owned() } else { String::new() };
                    line[1..].clone_from_slice(&figure.cells());
                    self.lines.push(line);
                }
                self.notes.extend(measured.notes.iter().map(|note| format!("{}: {note}", row.name)));
            }
        }
    }

    fn print(&self, context: &Context) {
        let head =
            ["what", "", "measured", "reach", "reached", "limit in the same run", "ratio"].map(str::to_owned);
        let lines: Vec<&[String; 7]> = std::iter::once(&head).chain(&self.lines).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        println!();
        for line in &lines {
            let cells = line
                .iter()
                .enumerate()
                .map(|(column, cell)| format!("{cell:<width$}", width = width(column)));
            println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        println!();
        self.notes.iter().for_each(|note| println!("{note}"));
        println!("machine: {}", machine::describe(&context.work));
        if context.quick {
            println!("--quick: a tenth of the work; not for publication");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn wishes_are_read_and_typing_errors_refused() {
        let wishes = read_wishes(&words("--quick --only true --only submit")).unwrap();
        assert!(wishes.quick && !wishes.cold && !wishes.list);
        assert_eq!(wishes.only, ["true", "submit"]);
        assert!(read_wishes(&words("--quik")).is_err());
        assert!(read_wishes(&words("--only")).is_err());
        let wishes = read_wishes(&words("--peers --hq a/hq --install")).unwrap();
        assert!(wishes.peers && wishes.peer_wishes.install && !wishes.peer_wishes.write_readme);
        assert_eq!(wishes.peer_wishes.hq.as_deref(), Some(Path::new("a/hq")));
        assert!(read_wishes(&words("--write-readme")).is_err(), "it is the table of peers that it writes");
    }

    #[test]
    fn every_row_has_a_name_of_its_own() {
        let mut names: Vec<_> = ROWS.iter().chain([&COLD]).map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len() + 1);
    }

    #[test]
    fn what_was_not_measured_says_so() {
        let mut table = Table::default();
        table.add(&COLD, Err(anyhow::anyhow!("it rains")));
        assert_eq!(table.lines[0][2], "not measured");
        assert_eq!(table.notes, ["cold: not measured: it rains"]);
    }
}
