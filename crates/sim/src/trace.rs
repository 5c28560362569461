//! Plain traces: a table with a row per task.
//!
//! | column | what | missing |
//! |---|---|---|
//! | `submit_s` | when it is submitted, in seconds from any moment on | must be there |
//! | `duration_s` | how long it runs undisturbed, in seconds | must be there |
//! | `gpus` | how many GPUs, 0 to 4096 | must be there |
//! | `share` | the part of each GPU, above 0 up to 1 | whole GPUs, or what `memory_gib` needs |
//! | `memory_gib` | GPU memory of each | its share of it |
//! | `cpu`, `host_memory_gib` | processor cores and memory, on each machine | not counted |
//! | `model` | GPU models it accepts, `\|` between them | any |
//! | `owner`, `project`, `queue`, `name` | names | `somebody`, `default`, `default`, none |
//! | `priority` | from -1000 to 1000; higher goes first | 0 |
//! | `class` | `guaranteed`, `standard` or `spot` | `standard` |
//! | `spread` | `yes` or `no`: whether it may span machines | only if no machine has enough GPUs |
//! | `expected_s` | what the user says of its duration; `known` uses `duration_s` | nothing is said |
//! | `retries`, `exit_code` | tries after a failure of its own; how its program ends | 0 |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fastgpu_core::ask::{Ask, Class, Constraints, DeviceCount, Isolation, Share, Spread};
use fastgpu_core::ids::Name;
use fastgpu_core::units::{CpuMilli, GpuMilli, MemoryMib, Millis};

use crate::input::{Column, Input, InputError, Row, Table};
use crate::task::Task;

/// Known columns.
const COLUMNS: [&str; 18] = [
    "submit_s",
    "duration_s",
    "gpus",
    "share",
    "memory_gib",
    "cpu",
    "host_memory_gib",
    "model",
    "owner",
    "project",
    "queue",
    "name",
    "priority",
    "class",
    "spread",
    "expected_s",
    "retries",
    "exit_code",
];
/// The year 2100 in Unix seconds: a trace may count from 1970.
const SUBMIT_S_MAX: f64 = 4_102_444_800.0;
/// Ten years.
const DURATION_S_MAX: f64 = 10.0 * 365.0 * 86_400.0;
/// More GPUs than a task has anywhere.
const GPUS_MAX: u16 = 4_096;
/// The longest name.
const NAME_BYTES_MAX: usize = 256;

/// Reads a trace; tasks come back by time of submission, the first at 0. Tasks of more than `largest_machine` GPUs may
/// span machines unless they say otherwise.
///
/// # Errors
/// The first value that makes no sense, with its place.
pub fn read(input: &Input, largest_machine: usize) -> Result<Vec<Task>, InputError> {
    let mut table = input.table()?;
    table.only(&COLUMNS)?;
    let columns = Columns::of(&table)?;
    let mut shared = Shared::default();
    let mut tasks = Vec::new();
    table.each(|row| {
        tasks.push(columns.task(row, largest_machine, &mut shared)?);
        Ok(())
    })?;
    if tasks.is_empty() {
        return Err(InputError::of_file(&input.name, "it has no tasks"));
    }
    tasks.sort_by_key(|task: &Task| task.submit);
    let first = tasks[0].submit;
    for task in &mut tasks {
        task.submit.0 -= first.0;
    }
    Ok(tasks)
}

/// Lets tasks that no machine alone can hold span machines.
pub fn spread_where_needed(tasks: &mut [Task], largest_machine: usize) {
    for task in tasks {
        let is_large = usize::from(task.ask.devices.min) > largest_machine;
        if is_large && task.ask.constraints.spread == Spread::OneNode {
            let mut ask = Ask::clone(&task.ask);
            ask.constraints.spread = Spread::AnyNodes;
            task.ask = Arc::new(ask);
        }
    }
}

/// Equal asks and names are kept once.
#[derive(Debug, Default)]
pub struct Shared {
    asks: BTreeMap<Ask, Arc<Ask>>,
    names: BTreeSet<Name>,
}

impl Shared {
    /// The one copy of an ask.
    pub fn ask(&mut self, ask: Ask) -> Arc<Ask> {
        if let Some(known) = self.asks.get(&ask) {
            return known.clone();
        }
        let shared = Arc::new(ask.clone());
        self.asks.insert(ask, shared.clone());
        shared
    }

    /// The one copy of a name.
    pub fn name(&mut self, name: &str) -> Name {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let shared = Name::from(name);
        self.names.insert(shared.clone());
        shared
    }
}

struct Columns {
    submit: Column,
    duration: Column,
    gpus: Column,
    by_name: BTreeMap<&'static str, Column>,
}

impl Columns {
    fn of(table: &Table<'_>) -> Result<Self, InputError> {
        let find = |name| table.find(name).map(|column| (name, column));
        Ok(Self {
            submit: table.column("submit_s")?,
            duration: table.column("duration_s")?,
            gpus: table.column("gpus")?,
            by_name: COLUMNS.into_iter().filter_map(find).collect(),
        })
    }

    fn get(&self, name: &str) -> Option<&Column> {
        self.by_name.get(name)
    }

    fn task(&self, row: &Row<'_>, largest: usize, shared: &mut Shared) -> Result<Task, InputError> {
        let duration = span(row.number(&self.duration, 0.0, DURATION_S_MAX)?);
        let name = |column: &str, default: &str| -> Result<String, InputError> {
            match self.get(column).map(|column| (column, row.text(column))) {
                Some((column, text)) if text.len() > NAME_BYTES_MAX => {
                    Err(row.wrong(column, format!("a name has at most {NAME_BYTES_MAX} bytes")))
                }
                Some((_, text)) if !text.is_empty() => Ok(text.to_owned()),
                _ => Ok(default.to_owned()),
            }
        };
        let own_name = name("name", "")?;
        Ok(Task {
            submit: span(row.number(&self.submit, 0.0, SUBMIT_S_MAX)?),
            duration,
            ask: shared.ask(self.ask(row, largest)?),
            project: shared.name(&name("project", "default")?),
            owner: shared.name(&name("owner", "somebody")?),
            queue: shared.name(&self.queue(row, name("queue", "default")?)?),
            name: (!own_name.is_empty()).then(|| shared.name(&own_name)),
            priority: row.optional(self.get("priority"), -1_000, 1_000)?.unwrap_or(0),
            expected: self.expected(row, duration)?,
            retries: row.optional(self.get("retries"), 0, 100)?.unwrap_or(0),
            exit_code: row.optional(self.get("exit_code"), 0, 255)?.unwrap_or(0),
        })
    }

    fn queue(&self, row: &Row<'_>, name: String) -> Result<String, InputError> {
        let plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        match self.get("queue") {
            Some(column) if name.len() > 63 || !name.bytes().all(plain) => {
                Err(row.wrong(column, "the name of a queue has 1 to 63 of a-z, 0-9, `-` and `_`"))
            }
            _ => Ok(name),
        }
    }

    fn expected(&self, row: &Row<'_>, duration: Millis) -> Result<Option<Millis>, InputError> {
        match self.get("expected_s") {
            Some(column) if row.text(column) == "known" => Ok(Some(duration)),
            column => Ok(row.optional(column, 0.0, DURATION_S_MAX)?.map(span)),
        }
    }

    fn ask(&self, row: &Row<'_>, largest: usize) -> Result<Ask, InputError> {
        let gpus = row.number(&self.gpus, 0, GPUS_MAX)?;
        let share = row.optional(self.get("share"), 0.001, 1.0)?;
        let share = share.map(|share| GpuMilli::new(whole(share * 1e3)).expect("at most 1"));
        let memory = row.optional(self.get("memory_gib"), 0.001, 65_536.0)?;
        let memory = memory.map(|gib| MemoryMib(u64::from(whole(gib * 1_024.0)).max(1)));
        let class = |word: &str| match word {
            "guaranteed" => Some(Class::Guaranteed),
            "standard" => Some(Class::Standard),
            "spot" => Some(Class::Spot),
            _ => None,
        };
        let yes_or_no = |word: &str| match word {
            "yes" | "true" | "1" => Some(true),
            "no" | "false" | "0" => Some(false),
            _ => None,
        };
        let spread = row.word(self.get("spread"), yes_or_no, "yes, no")?;
        let models = self.get("model").map(|column| row.text(column)).unwrap_or_default();
        Ok(Ask {
            devices: DeviceCount::exactly(gpus),
            share: match (share, memory) {
                (Some(share), Some(memory)) => Share::Both(share, memory),
                (None, Some(memory)) => Share::Cap(memory),
                (share, None) => Share::Milli(share.unwrap_or(GpuMilli::FULL)),
            },
            constraints: Constraints {
                models: models.split('|').filter(|model| !model.is_empty()).map(Name::from).collect(),
                spread: match spread.unwrap_or(usize::from(gpus) > largest) {
                    true => Spread::AnyNodes,
                    false => Spread::OneNode,
                },
                ..Constraints::default()
            },
            class: row
                .word(self.get("class"), class, "guaranteed, standard, spot")?
                .unwrap_or(Class::Standard),
            isolation: Isolation::Soft,
            cpu: CpuMilli(whole(row.optional(self.get("cpu"), 0.0, 1e6)?.unwrap_or(0.0) * 1e3)),
            host_memory: MemoryMib(u64::from(whole(
                row.optional(self.get("host_memory_gib"), 0.0, 1e6)?.unwrap_or(0.0) * 1_024.0,
            ))),
        })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "read as at most ten years")]
fn span(seconds: f64) -> Millis {
    Millis((seconds * 1e3).round() as u64)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "read as at most 1.1e9")]
fn whole(number: f64) -> u32 {
    number.round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(text: &str) -> Result<Vec<Task>, String> {
        read(&Input::of_text("trace.csv", text), 8).map_err(|error| error.to_string())
    }

    #[test]
    fn three_columns_are_enough_and_times_count_from_the_first_task() {
        let tasks = tasks("submit_s,duration_s,gpus\n1700000060.5,10,16\n1700000000,0.25,1\n").unwrap();
        assert_eq!((tasks[0].submit, tasks[0].duration), (Millis(0), Millis(250)));
        assert_eq!(tasks[1].submit, Millis(60_500));
        assert_eq!(tasks[1].ask.constraints.spread, Spread::AnyNodes);
        assert_eq!(tasks[0].ask.share, Share::Milli(GpuMilli::FULL));
        assert_eq!((&*tasks[0].queue, &*tasks[0].owner), ("default", "somebody"));
    }

    #[test]
    fn every_column_means_what_the_documentation_says() {
        let text = "submit_s,duration_s,gpus,share,memory_gib,cpu,host_memory_gib,model,owner,project,queue,name,\
                    priority,class,spread,expected_s,retries,exit_code\n\
                    0,100,1,0.25,10,4,32,A100|H100,ann,vision,batch,train,5,spot,no,known,2,3\n";
        let task = &tasks(text).unwrap()[0];
        assert_eq!(task.ask.share, Share::Both(GpuMilli::new(250).unwrap(), MemoryMib(10_240)));
        assert_eq!((task.ask.cpu, task.ask.host_memory), (CpuMilli(4_000), MemoryMib(32_768)));
        assert_eq!(task.ask.constraints.models, [Name::from("A100"), Name::from("H100")]);
        assert_eq!((task.ask.class, task.priority), (Class::Spot, 5));
        assert_eq!((task.expected, task.retries, task.exit_code), (Some(Millis(100_000)), 2, 3));
        assert_eq!((task.milli(), &*task.queue), (250, "batch"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        let error = |text: &str| tasks(text).unwrap_err();
        assert_eq!(error("submit_s,duration_s,gpus\n"), "trace.csv: it has no tasks");
        assert_eq!(
            error("submit_s,duration_s,gpus,class\n0,1,1,gold\n"),
            "trace.csv, line 2, column 4 (class): `gold` is not one of guaranteed, standard, spot"
        );
        assert_eq!(
            error("submit_s,duration_s,gpus,colour\n0,1,1,red\n"),
            "trace.csv, line 1, column 4 (colour): `colour` is no column of ours"
        );
        assert_eq!(
            error("submit_s,duration_s,gpus\n0,-1,1\n"),
            "trace.csv, line 2, column 2 (duration_s): `-1` is not from 0 to 315360000"
        );
        assert!(error("submit_s,duration_s,gpus\n0,nan,1\n").contains("`nan` is not from 0"));
    }
}
