//! The files of the experiment: the node list, a task list, and a given order of tasks.

use fastgpu_core::units::{CpuMilli, MemoryMib, PriceMicros};

use super::OpenbTask;
use crate::cluster::{Gpu, Machine, Machines, Power};
use crate::input::{Input, InputError, Row, Table, shown};

/// Memory of a GPU here. The experiment knows none: a multiple of 1,000 makes a share of compute exactly the same
/// share of memory, so that memory never decides.
const GPU_MEMORY: MemoryMib = MemoryMib(16_000);
/// More cores than any machine has, in thousandths.
const CPU_MILLI_MAX: u32 = 100_000_000;
/// More host memory than any machine has.
const MEMORY_MIB_MAX: u64 = 1 << 32;
/// The largest machine.
const GPUS_MAX: u16 = 64;

/// Machines and tasks.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// In the order of the file.
    pub machines: Machines,
    /// By name.
    pub tasks: Vec<OpenbTask>,
}

impl Experiment {
    /// Reads both files.
    ///
    /// # Errors
    /// The first value that makes no sense, with its place.
    pub fn read(nodes: &Input, tasks: &Input) -> Result<Self, InputError> {
        let machines = read_nodes(nodes)?;
        let mut named = Vec::new();
        let mut table = tasks.table()?;
        let name = table.column("name")?;
        let columns = Columns::of(&table)?;
        table.each(|row| {
            named.push((row.text(&name).to_owned(), columns.task(row)?));
            Ok(())
        })?;
        if named.is_empty() {
            return Err(InputError::of_file(&tasks.name, "it has no tasks"));
        }
        named.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self { machines, tasks: named.into_iter().map(|(_, task)| task).collect() })
    }

    /// All GPUs in thousandths.
    #[must_use]
    pub fn capacity_milli(&self) -> u64 {
        self.machines.gpus() as u64 * super::FULL
    }
}

/// Reads an order of tasks: the columns of a task list without names.
///
/// # Errors
/// The first value that makes no sense, with its place.
pub fn read_order(order: &Input) -> Result<Vec<OpenbTask>, InputError> {
    let mut tasks = Vec::new();
    let mut table = order.table()?;
    let columns = Columns::of(&table)?;
    table.each(|row| {
        tasks.push(columns.task(row)?);
        Ok(())
    })?;
    Ok(tasks)
}

fn read_nodes(nodes: &Input) -> Result<Machines, InputError> {
    let mut machines = Machines::default();
    let mut table = nodes.table()?;
    let [sn, cpu, memory, gpu, model] =
        ["sn", "cpu_milli", "memory_mib", "gpu", "model"].map(|name| table.column(name));
    let (sn, cpu, memory, gpu, model) = (sn?, cpu?, memory?, gpu?, model?);
    table.each(|row| {
        let count = row.number(&gpu, 0u16, GPUS_MAX)?;
        let kind = Gpu {
            model: exactly(row.text(&model)).into(),
            memory: GPU_MEMORY,
            price: PriceMicros(0),
            power: Power::default(),
        };
        machines.0.push(Machine {
            hostname: row.text(&sn).into(),
            cpu: CpuMilli(row.number(&cpu, 0, CPU_MILLI_MAX)?),
            host_memory: MemoryMib(row.number(&memory, 0, MEMORY_MIB_MAX)?),
            labels: Vec::new(),
            gpus: vec![kind; usize::from(count)],
        });
        Ok(())
    })?;
    if machines.gpus() == 0 {
        return Err(InputError::of_file(&nodes.name, "it has no GPUs"));
    }
    Ok(machines)
}

/// A constraint of the core accepts every model whose name contains it; with a mark on both sides it accepts only
/// the very same, so that `G2` is not `G20`.
pub(super) fn exactly(model: &str) -> String {
    format!("<{model}>")
}

struct Columns {
    cpu: crate::input::Column,
    memory: crate::input::Column,
    gpus: crate::input::Column,
    milli: crate::input::Column,
    types: Option<crate::input::Column>,
}

impl Columns {
    fn of(table: &Table<'_>) -> Result<Self, InputError> {
        Ok(Self {
            cpu: table.column("cpu_milli")?,
            memory: table.column("memory_mib")?,
            gpus: table.column("num_gpu")?,
            milli: table.column("gpu_milli")?,
            types: table.find("gpu_spec"),
        })
    }

    fn task(&self, row: &Row<'_>) -> Result<OpenbTask, InputError> {
        let gpus = row.number(&self.gpus, 0, GPUS_MAX)?;
        let milli = row.optional(Some(&self.milli), 0, u32::MAX)?.unwrap_or(0).min(1_000);
        if gpus > 1 && milli < 1_000 || gpus == 1 && milli == 0 {
            let what = format!("{gpus} GPUs with {milli} thousandths each are not part of this experiment");
            return Err(row.wrong(&self.milli, what).help("only a single GPU can be shared"));
        }
        let types = self.types.as_ref().filter(|_| gpus > 0).map(|types| row.text(types));
        if let Some(types) = types.filter(|types| types.len() > 256) {
            let what = format!("`{}` is no list of GPU types", shown(types));
            return Err(row.wrong(self.types.as_ref().expect("it was just read"), what));
        }
        let types: Vec<&str> = types.unwrap_or_default().split('|').filter(|name| !name.is_empty()).collect();
        Ok(OpenbTask {
            cpu_milli: row.number(&self.cpu, 0, CPU_MILLI_MAX)?,
            memory_mib: row.number(&self.memory, 0, MEMORY_MIB_MAX)?,
            gpus,
            gpu_milli: if gpus > 0 { milli } else { 0 },
            types: types.join("|"),
        })
    }
}
