//! The machines of a simulation: what they have, what they cost, what they draw.
//!
//! They are described by a few lines, by TOML or by CSV ([`read`](Machines::read)); what the models we know have by
//! default is in [`models`].

pub mod models;
mod read;

use fastgpu_core::ids::Name;
use fastgpu_core::node::{Device, Inventory};
use fastgpu_core::units::{CpuMilli, MemoryMib, PriceMicros};

/// More machines than this are not simulated.
pub const MACHINES_MAX: usize = 200_000;
/// More GPUs than this in one machine are not simulated.
pub const GPUS_PER_MACHINE_MAX: usize = 1_024;
/// A machine whose processor is not said has more than anybody asks for.
pub const CPU_UNCOUNTED: CpuMilli = CpuMilli(u32::MAX / 2);
/// A machine whose memory is not said has more than anybody asks for.
pub const HOST_MEMORY_UNCOUNTED: MemoryMib = MemoryMib(1 << 40);

/// What one GPU is, costs and draws.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// What tasks call it.
    pub model: Name,
    /// Memory for tasks.
    pub memory: MemoryMib,
    /// Price of one hour, used or not.
    pub price: PriceMicros,
    /// What it draws.
    pub power: Power,
}

/// What a GPU draws, in milliwatts: between the two in proportion to the share that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Power {
    /// When nobody holds any of it.
    pub idle_mw: u32,
    /// When all of it is held.
    pub busy_mw: u32,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub hostname: Name,
    /// Processor.
    pub cpu: CpuMilli,
    /// Host memory.
    pub host_memory: MemoryMib,
    /// As `key=value`, sorted.
    pub labels: Vec<Name>,
    /// Its GPUs, by index.
    pub gpus: Vec<Gpu>,
}

/// All machines, in the order in which the scheduler numbers them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machines(pub Vec<Machine>);

impl Machines {
    /// Machines of one kind.
    #[must_use]
    pub fn alike(count: usize, gpus: usize, gpu: &Gpu) -> Self {
        let machine = |number| Machine {
            hostname: format!("node-{number}").into(),
            cpu: CPU_UNCOUNTED,
            host_memory: HOST_MEMORY_UNCOUNTED,
            labels: Vec::new(),
            gpus: vec![gpu.clone(); gpus],
        };
        Self((0..count).map(machine).collect())
    }

    /// How many GPUs there are.
    #[must_use]
    pub fn gpus(&self) -> usize {
        self.0.iter().map(|machine| machine.gpus.len()).sum()
    }

    /// The most GPUs that one machine has.
    #[must_use]
    pub fn largest(&self) -> usize {
        self.0.iter().map(|machine| machine.gpus.len()).max().unwrap_or(0)
    }

    /// Gives GPUs that cost nothing yet a price for an hour.
    ///
    /// # Errors
    /// When it is no price.
    pub fn price(&mut self, price: f64) -> Result<(), String> {
        if !(0.0..=1e6).contains(&price) {
            return Err(format!("{price} is no price; it must be from 0 to 1000000"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked to be at most 1e12")]
        let price = PriceMicros((price * 1e6).round() as i64);
        let gpus = self.0.iter_mut().flat_map(|machine| &mut machine.gpus);
        gpus.filter(|gpu| gpu.price.0 == 0).for_each(|gpu| gpu.price = price);
        Ok(())
    }

    /// Adds machines under names of their own.
    pub fn add(&mut self, more: Self) {
        for mut machine in more.0 {
            machine.hostname = format!("added-{}", self.0.len()).into();
            self.0.push(machine);
        }
    }
}

impl Machine {
    /// What it says to a control plane.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        let devices = (0u16..).zip(&self.gpus).map(|(index, gpu)| self.device(index, gpu));
        Inventory {
            cpu: self.cpu,
            host_memory: self.host_memory,
            labels: self.labels.clone(),
            ..Inventory::of(self.hostname.clone(), devices)
        }
    }

    fn device(&self, index: u16, gpu: &Gpu) -> Device {
        Device {
            uuid: format!("SIM-{}-{index}", self.hostname).into(),
            ..Device::simulated(index, gpu.model.clone(), gpu.memory)
        }
    }
}
