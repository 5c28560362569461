//! A journal of what a control plane was told and what it decided, so that its decisions can be repeated.
//!
//! One JSON document per line. A [`Entry::Begin`] says what it began with: configuration, live tasks, nodes, run
//! times to learn from. Each [`Batch`] says the time, the commands that were done and what each round decided.
//! Whoever begins with the same, does the same commands at the same times and plans as many rounds must decide
//! the same. Left out is what decides nothing: commands and environments of tasks (there is only the hash of the
//! two), tokens, who asked, readings of devices, words about failures.
//!
//! Start with [`read`] and [`Writer`]; how each line is written is in [`mod@line`].

mod line;
mod node;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use fastgpu_core::command::Command;
use fastgpu_core::decision::{Keep, Plan, Preempt, Start};
use fastgpu_core::ids::{NodeId, TaskId};
use fastgpu_core::node::{Inventory, Report};
use fastgpu_core::state::Beginning;
use fastgpu_core::units::Timestamp;

use crate::rows::{Shared, Wrong, from_json, to_json};
use line::Line;

/// A journal ends when it is this long: weeks of a busy server, and no disk filled by what was forgotten.
pub const JOURNAL_BYTES_MAX: u64 = 4 << 30;
/// The longest line that is read: more live tasks than a server can have, or the largest batch.
const LINE_BYTES_MAX: u64 = 2 << 30;
/// The version of the lines; a reader refuses others.
const VERSION: u32 = 1;

/// One line.
#[derive(Debug)]
pub enum Entry {
    /// The control plane began, or began anew, with this; there are no tokens in it.
    Begin(Box<Beginning>),
    /// It did this.
    Batch(Batch),
}

/// What was done at one moment.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The moment.
    pub now: Timestamp,
    /// The commands that were done, in order; refused ones changed nothing and are not here. Begins with a
    /// [`Command::Tick`] when it was read.
    pub commands: Vec<Command>,
    /// The ids of tasks accepted, in order, to compare.
    pub accepted: Vec<TaskId>,
    /// What each round after the commands decided, in order, to compare.
    pub rounds: Vec<Round>,
}

/// What one round decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Round {
    /// Tasks that start.
    pub starts: Vec<Start>,
    /// Tasks that are stopped for others.
    pub preempts: Vec<Preempt>,
    /// Devices kept from then on.
    pub keeps: Vec<Keep>,
}

impl From<&Plan> for Round {
    fn from(plan: &Plan) -> Self {
        Self { starts: plan.starts.clone(), preempts: plan.preempts.clone(), keeps: plan.keeps.clone() }
    }
}

/// Why a journal cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read.
    #[error("the journal cannot be read")]
    Io(#[from] io::Error),
    /// A line makes no sense.
    #[error("line {line} of the journal is damaged: {wrong}")]
    Damaged {
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        wrong: String,
    },
    /// Another version of FastGPU wrote it.
    #[error("the journal has version {found}; this program reads version {VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
}

/// Reads a journal from its beginning. A last line without its end is what a crash leaves, and is passed over.
pub fn read(journal: impl BufRead) -> impl Iterator<Item = Result<Entry, JournalError>> {
    Reader { journal, line: 0, shared: Shared::default(), text: String::new(), over: false }
}

struct Reader<R> {
    journal: R,
    line: u64,
    shared: Shared,
    text: String,
    over: bool,
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Entry, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let entry = self.entry().transpose();
        // After a wrong line nothing can be believed: what follows builds on it.
        self.over = !matches!(entry, Some(Ok(_)));
        entry
    }
}

impl<R: BufRead> Reader<R> {
    fn entry(&mut self) -> Result<Option<Entry>, JournalError> {
        self.text.clear();
        self.line += 1;
        self.journal.by_ref().take(LINE_BYTES_MAX).read_line(&mut self.text)?;
        let Some(text) = self.text.strip_suffix('\n') else { return Ok(None) };
        let damaged = |wrong| JournalError::Damaged { line: self.line, wrong };
        match from_json::<Line>(text).map_err(damaged)? {
            Line::Begin(row) if row.version != VERSION => Err(JournalError::Version { found: row.version }),
            Line::Begin(row) => {
                let beginning = row.into_core(&mut self.shared).map_err(damaged)?;
                Ok(Some(Entry::Begin(Box::new(beginning))))
            }
            Line::Batch(row) => row.into_core(&mut self.shared).map(Entry::Batch).map(Some).map_err(damaged),
            Line::Full {} => Ok(None),
        }
    }
}

/// Writes a journal, up to [`JOURNAL_BYTES_MAX`]. An error ends it: a journal with a hole in it is none.
#[derive(Debug)]
pub struct Writer {
    /// `None` once it is full or broken.
    file: Option<File>,
    bytes: u64,
    bytes_max: u64,
    /// What each node said last, without what is left out: telemetry comes every second.
    inventories: BTreeMap<NodeId, Inventory>,
}

impl Writer {
    /// Opens a journal to go on with it; makes it, for its owner's eyes only, where there is none. What a crash
    /// left of a line is cut off.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_bounded(path, JOURNAL_BYTES_MAX)
    }

    /// The same with another bound than [`JOURNAL_BYTES_MAX`].
    ///
    /// # Errors
    /// What the system says.
    pub fn open_bounded(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let bytes = whole_lines(&mut file)?;
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        Ok(Self { file: Some(file), bytes, bytes_max, inventories: BTreeMap::new() })
    }

    /// Says what a control plane begins with.
    ///
    /// # Errors
    /// What the system says; nothing is written from then on.
    pub fn begin(&mut self, beginning: &Beginning) -> io::Result<()> {
        self.inventories.clear();
        self.line(|| Line::begin(VERSION, beginning))
    }

    /// Says what was done. A batch in which nothing happened is passed over.
    ///
    /// # Errors
    /// What the system says; nothing is written from then on.
    pub fn batch(&mut self, batch: &Batch) -> io::Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        let told: Vec<&Command> = batch.commands.iter().filter(|command| self.tells(command)).collect();
        if told.is_empty() && batch.rounds.is_empty() {
            return Ok(());
        }
        self.line(|| Line::batch(batch, &told))
    }

    /// Whether it still writes: it stops when it is full or broken.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Whether a command says anything that has not been said.
    fn tells(&mut self, command: &Command) -> bool {
        match command {
            Command::Report { node, report: Report::Inventory(inventory) } => {
                let told = node::without_readings(inventory);
                let old = self.inventories.get(node);
                let is_news = old != Some(&told);
                if is_news {
                    self.inventories.insert(*node, told);
                }
                is_news
            }
            Command::Report { node, report: Report::Hello { .. } | Report::Lost } => {
                self.inventories.remove(node);
                true
            }
            Command::TokenCreate { .. } | Command::TokenRevoke { .. } => false,
            _ => true,
        }
    }

    fn line(&mut self, line: impl FnOnce() -> Line) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut text = to_json(&line());
        let is_full = self.bytes + text.len() as u64 > self.bytes_max;
        if is_full {
            text = to_json(&Line::Full {});
        }
        text.push('\n');
        let written = file.write_all(text.as_bytes());
        self.bytes += text.len() as u64;
        if is_full || written.is_err() {
            self.file = None;
        }
        written
    }
}

/// How long a file is up to the end of its last whole line.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    const CHUNK: u64 = 64 * 1_024;
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut chunk = Vec::new();
    while end > 0 {
        let begin = end.saturating_sub(CHUNK);
        file.seek(SeekFrom::Start(begin))?;
        chunk.clear();
        Read::take(&mut *file, end - begin).read_to_end(&mut chunk)?;
        if let Some(place) = chunk.iter().rposition(|&byte| byte == b'\n') {
            return Ok(begin + place as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

fn task_id(raw: u64) -> Result<TaskId, Wrong> {
    TaskId::new(raw).ok_or_else(|| format!("{raw} is no task id"))
}
