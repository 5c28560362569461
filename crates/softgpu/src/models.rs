//! The models a software GPU can be: what the driver says of each of them.
//!
//! Here: the shape of an entry and how one is found by the name people type. The entries themselves are in
//! [`table`]. It is the one such table of the product: what `fastgpu up --simulate` accepts, what the node
//! lists and what both libraries answer come from it. Nothing here does anything.

mod table;

pub use table::MODELS;

/// The driver whose libraries these are like, unless a ledger says otherwise.
pub const DRIVER_VERSION: &str = "580.159.04";

/// Bytes in a MiB.
const MIB: u64 = 1 << 20;

/// What the driver says of one model in one memory size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// As people type it: `H100`, `A100-PCIe`, `RTX4090`.
    pub key: &'static str,
    /// The memory size on the box, in GB; tells the sizes of one key apart.
    pub nominal_gb: u32,
    /// What the driver calls it.
    pub name: &'static str,
    /// The generation of its chip.
    pub architecture: Architecture,
    /// Compute capability, major and minor.
    pub compute_capability: (u32, u32),
    /// The driver's word for the product line.
    pub brand: Brand,
    /// How many multiprocessors work.
    pub multiprocessors: u32,
    /// Memory and what leads to it.
    pub memory: Memory,
    /// Clock rates.
    pub clocks: Clocks,
    /// Power draw and its limits.
    pub power: Power,
    /// Where it sits.
    pub pci: Pci,
    /// Links to other devices; zero where it has none.
    pub nvlinks: u32,
    /// How many fans its board has; boards of servers have none.
    pub fans: u32,
    /// Whether its memory corrects errors.
    pub ecc: bool,
    /// Whether it knows MIG mode (which stays off).
    pub mig: bool,
}

/// The memory of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// What `nvidia-smi` shows as total, in MiB.
    pub total_mib: u64,
    /// What the driver keeps for itself of that, in MiB.
    pub reserved_mib: u64,
    /// Width of the bus in bits.
    pub bus_bits: u32,
    /// Second-level cache in KiB.
    pub l2_kib: u32,
    /// The window through which the host sees the memory, in MiB.
    pub bar1_mib: u64,
}

/// Clock rates of a model, in MHz.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// Multiprocessors at rest.
    pub idle: u32,
    /// Multiprocessors at most.
    pub max: u32,
    /// Memory at rest.
    pub memory_idle: u32,
    /// Memory at most.
    pub memory_max: u32,
}

/// Power of a model, in milliwatts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Power {
    /// Drawn at rest.
    pub idle: u32,
    /// Lowest limit that can be set.
    pub min: u32,
    /// The limit it comes with.
    pub limit: u32,
    /// Highest limit that can be set.
    pub max: u32,
}

/// A model on its bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pci {
    /// The device part of its id; the vendor is always 0x10de.
    pub device: u16,
    /// The subsystem id of a common board, subsystem first.
    pub subsystem: u32,
    /// Generation of PCI Express it speaks.
    pub generation: u32,
}

/// The generations of chips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Architecture {
    /// 2016.
    Pascal,
    /// 2017.
    Volta,
    /// 2018.
    Turing,
    /// 2020.
    Ampere,
    /// 2022, without wide memory.
    Ada,
    /// 2022.
    Hopper,
    /// 2024.
    Blackwell,
}

/// The driver's words for product lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brand {
    /// Servers up to 2019.
    Tesla,
    /// Games.
    GeForce,
    /// Workstations.
    NvidiaRtx,
    /// Servers since 2020.
    Nvidia,
}

/// What a kernel may use of one multiprocessor; depends on the compute capability alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Threads at once.
    pub threads: u32,
    /// Blocks at once.
    pub blocks: u32,
    /// Shared memory in bytes.
    pub shared_bytes: u32,
    /// Shared memory one block may opt in to, in bytes.
    pub shared_block_optin_bytes: u32,
    /// Cores, for a figure of speed.
    pub cores: u32,
}

impl Model {
    /// The fewest multiprocessors that can be set apart, and what their number is a multiple of: as documented for each
    /// compute capability.
    #[must_use]
    pub const fn multiprocessor_partition(&self) -> (u32, u32) {
        match self.compute_capability.0 {
            ..=7 => (2, 2),
            8 => (4, 2),
            _ => (8, 8),
        }
    }

    /// The entry whose key is `typed`, in whatever way it is written, and that comes with `gb` of memory.
    /// `gb` may be left out where there is only one size.
    #[must_use]
    pub fn find(typed: &str, gb: Option<u32>) -> Option<&'static Self> {
        let mut sizes = Self::sizes(typed).filter(|model| gb.is_none_or(|gb| model.nominal_gb == gb));
        let first = sizes.next()?;
        sizes.next().is_none().then_some(first)
    }

    /// All sizes of the model that `typed` names.
    pub fn sizes(typed: &str) -> impl Iterator<Item = &'static Self> {
        let wanted = folded(typed);
        MODELS.iter().filter(move |model| {
            let key = folded(model.key);
            key == wanted || wanted.strip_prefix("RTX") == Some(&key) || folded(model.name) == wanted
        })
    }

    /// All its memory, in bytes.
    #[must_use]
    pub const fn memory_total_bytes(&self) -> u64 {
        self.memory.total_mib * MIB
    }

    /// What the driver keeps for itself, in bytes.
    #[must_use]
    pub const fn memory_reserved_bytes(&self) -> u64 {
        self.memory.reserved_mib * MIB
    }

    /// What programs can use when nobody does, in bytes.
    #[must_use]
    pub const fn memory_usable_bytes(&self) -> u64 {
        self.memory_total_bytes() - self.memory_reserved_bytes()
    }

    /// What a kernel may use of one multiprocessor.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        limits(self.compute_capability)
    }

    /// Bytes the memory moves per second at its highest clock.
    #[must_use]
    pub const fn memory_bytes_per_second(&self) -> u64 {
        self.clocks.memory_max as u64 * 1_000_000 * 2 * (self.memory.bus_bits as u64 / 8)
    }
}

const fn limits(capability: (u32, u32)) -> Limits {
    let (threads, blocks, shared_kib, cores) = match capability {
        (6, 0) => (2_048, 32, 64, 64),
        (7, 0) => (2_048, 32, 96, 64),
        (7, _) => (1_024, 16, 64, 64),
        (8, 0) => (2_048, 32, 164, 64),
        (8, 6) => (1_536, 16, 100, 128),
        (8, _) => (1_536, 24, 100, 128),
        (9 | 10, _) => (2_048, 32, 228, 128),
        _ => (1_536, 24, 100, 128),
    };
    let optin_kib = match capability {
        (6, _) => 48,
        (7, _) => shared_kib,
        _ => shared_kib - 1,
    };
    let (shared_bytes, shared_block_optin_bytes) = (shared_kib * 1_024, optin_kib * 1_024);
    Limits { threads, blocks, shared_bytes, shared_block_optin_bytes, cores }
}

/// `a100`, `NVIDIA A100`, `RTX 4090` and `rtx-4090` all name what one expects.
#[must_use]
pub fn folded(name: &str) -> String {
    let upper: String =
        name.chars().filter(|c| !matches!(c, ' ' | '-' | '_')).collect::<String>().to_uppercase();
    let plain = ["NVIDIA", "GEFORCE", "TESLA"].iter().fold(upper.as_str(), |rest, maker| {
        rest.strip_prefix(maker).filter(|rest| !rest.is_empty()).unwrap_or(rest)
    });
    plain.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_found_as_people_write_them() {
        for typed in ["H100", "h100", "NVIDIA H100", "nvidia h100 80gb hbm3"] {
            assert_eq!(Model::find(typed, None).unwrap().name, "NVIDIA H100 80GB HBM3", "{typed}");
        }
        for typed in ["RTX4090", "rtx 4090", "GeForce RTX 4090"] {
            assert_eq!(Model::find(typed, Some(24)).unwrap().name, "NVIDIA GeForce RTX 4090", "{typed}");
        }
        assert_eq!(Model::find("a100-pcie", Some(80)).unwrap().name, "NVIDIA A100 80GB PCIe");
        assert_eq!(Model::find("RTX A6000", None).unwrap().key, "A6000");
    }

    #[test]
    fn a_model_of_several_sizes_needs_one_and_a_strange_size_is_none() {
        assert_eq!(Model::find("A100", None), None);
        assert_eq!(Model::sizes("A100").map(|model| model.nominal_gb).collect::<Vec<_>>(), [40, 80]);
        assert_eq!(Model::find("H100", Some(96)), None);
        assert_eq!(Model::find("banana", None), None);
    }

    #[test]
    fn every_entry_is_sound() {
        for model in MODELS {
            let name = model.name;
            let Power { idle, min, limit, max } = model.power;
            assert!(idle < min && min <= limit && limit <= max, "{name}: power");
            assert!(model.clocks.idle < model.clocks.max, "{name}: clocks");
            assert!(model.clocks.memory_idle <= model.clocks.memory_max, "{name}: memory clocks");
            assert!(model.memory.reserved_mib * 50 < model.memory.total_mib * 2, "{name}: reserve");
            let boxed = u64::from(model.nominal_gb) * 1_024;
            assert!(model.memory.total_mib.abs_diff(boxed) * 10 <= boxed, "{name}: size");
            assert!(model.limits().cores >= 64, "{name}: limits");
            let same = MODELS.iter().filter(|one| (one.key, one.nominal_gb) == (model.key, model.nominal_gb));
            assert_eq!(same.count(), 1, "{name}: found twice");
        }
    }

    #[test]
    fn the_bandwidth_is_what_the_data_sheet_says() {
        let speed = |key, gb| Model::find(key, gb).unwrap().memory_bytes_per_second() / 1_000_000_000;
        assert_eq!(
            (speed("H100", None), speed("A100", Some(80)), speed("B200", None)),
            (3_352, 2_039, 7_672)
        );
        assert_eq!((speed("T4", None), speed("L4", None)), (320, 300));
    }
}
