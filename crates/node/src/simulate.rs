//! Devices that are no hardware: what `--simulate 8xA100-80GB` means.
//!
//! Here live the models we know by name and the parser of the specification. What a simulated device
//! *does* lives nowhere: it is an entry in the inventory that says `simulated` in every answer.

use std::fmt;
use std::str::FromStr;

use fastgpu_core::ids::DeviceIndex;
use fastgpu_core::node::{Closeness, Device, Telemetry};
use fastgpu_core::units::MemoryMib;

/// Machines with eight devices have four at each of two processors.
const DEVICES_PER_NUMA_NODE: u16 = 4;
/// Models whose machines have all of their devices on one NVLink switch.
const SWITCHED: [&str; 4] = ["A100", "H100", "H200", "B200"];
/// Most devices one node can pretend to have: the largest real machines have 16, and a specification is
/// typed by hand, so this is far beyond any honest use and small enough to list.
pub const SIMULATED_DEVICES_MAX: u32 = 1_024;
/// Most memory one simulated device can have; ten times the largest device there is.
const MEMORY_GB_MAX: u32 = 4_096;
/// Longest specification that is looked at; every device could have its own entry.
const SPEC_CHARS_MAX: usize = 16 * 1_024;

/// One memory size a model is sold with.
struct Variant {
    /// The number on the box.
    nominal_gb: u32,
    /// What the driver reports as the whole.
    total: MemoryMib,
    /// What the driver calls it.
    model: &'static str,
}

/// A model as people type it, and the sizes it comes in.
struct Known {
    key: &'static str,
    variants: &'static [Variant],
}

const fn variant(nominal_gb: u32, total_mib: u64, model: &'static str) -> Variant {
    Variant { nominal_gb, total: MemoryMib(total_mib), model }
}

/// The name for "some device", which has no size of its own.
const GENERIC: &str = "GPU";

/// Sizes are what `nvidia-smi` shows as total, not the number on the box.
const KNOWN: &[Known] = &[
    Known { key: "T4", variants: &[variant(16, 15_360, "Tesla T4")] },
    Known { key: "P100", variants: &[variant(16, 16_384, "Tesla P100-PCIE-16GB")] },
    Known {
        key: "V100",
        variants: &[variant(16, 16_384, "Tesla V100-SXM2-16GB"), variant(32, 32_768, "Tesla V100-SXM2-32GB")],
    },
    Known { key: "A2", variants: &[variant(16, 15_356, "NVIDIA A2")] },
    Known { key: "A10", variants: &[variant(24, 23_028, "NVIDIA A10")] },
    Known { key: "A16", variants: &[variant(16, 15_356, "NVIDIA A16")] },
    Known { key: "A30", variants: &[variant(24, 24_576, "NVIDIA A30")] },
    Known { key: "A40", variants: &[variant(48, 46_068, "NVIDIA A40")] },
    Known {
        key: "A100",
        variants: &[
            variant(40, 40_960, "NVIDIA A100-SXM4-40GB"),
            variant(80, 81_920, "NVIDIA A100-SXM4-80GB"),
        ],
    },
    Known { key: "A6000", variants: &[variant(48, 49_140, "NVIDIA RTX A6000")] },
    Known { key: "L4", variants: &[variant(24, 23_034, "NVIDIA L4")] },
    Known { key: "L40", variants: &[variant(48, 46_068, "NVIDIA L40")] },
    Known { key: "L40S", variants: &[variant(48, 46_068, "NVIDIA L40S")] },
    Known { key: "H100", variants: &[variant(80, 81_559, "NVIDIA H100 80GB HBM3")] },
    Known { key: "H200", variants: &[variant(141, 143_771, "NVIDIA H200")] },
    Known { key: "GH200", variants: &[variant(96, 97_871, "NVIDIA GH200 480GB")] },
    Known { key: "B200", variants: &[variant(192, 183_359, "NVIDIA B200")] },
    Known { key: "RTX3080", variants: &[variant(10, 10_240, "NVIDIA GeForce RTX 3080")] },
    Known { key: "RTX3090", variants: &[variant(24, 24_576, "NVIDIA GeForce RTX 3090")] },
    Known { key: "RTX4080", variants: &[variant(16, 16_376, "NVIDIA GeForce RTX 4080")] },
    Known { key: "RTX4090", variants: &[variant(24, 24_564, "NVIDIA GeForce RTX 4090")] },
    Known { key: "RTX5090", variants: &[variant(32, 32_607, "NVIDIA GeForce RTX 5090")] },
    Known { key: GENERIC, variants: &[] },
];

/// Why a specification of simulated devices was refused. The message says what is wrong, [`help`] what
/// to type instead.
///
/// [`help`]: SimulateError::help
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SimulateError {
    /// Nothing was named.
    #[error("the list of simulated devices is empty")]
    Empty,
    /// The text is longer than anything a person writes.
    #[error("the list of simulated devices has {chars} characters; at most {SPEC_CHARS_MAX} are read")]
    TooLong {
        /// How long it is.
        chars: usize,
    },
    /// `0xA100`, `-1xA100`, `99999999999xA100`.
    #[error("`{entry}` asks for {count} devices; from 1 to {SIMULATED_DEVICES_MAX} can be simulated")]
    BadCount {
        /// The entry as typed.
        entry: String,
        /// The count as typed.
        count: String,
    },
    /// The entries together are too many.
    #[error("the list asks for {total} devices; at most {SIMULATED_DEVICES_MAX} can be simulated")]
    TooMany {
        /// The sum of the counts.
        total: u64,
    },
    /// `A100-0GB`, `A100-99999GB`.
    #[error("`{entry}` has a memory size of {memory} GB; it must be from 1 to {MEMORY_GB_MAX}")]
    BadMemory {
        /// The entry as typed.
        entry: String,
        /// The size as typed.
        memory: String,
    },
    /// A model that is not in the table.
    #[error("`{model}` is not a model that can be simulated")]
    UnknownModel {
        /// The model as typed.
        model: String,
        /// The closest model we know, if one is close.
        nearest: Option<&'static str>,
    },
    /// A model that is sold in several sizes, or in none.
    #[error("`{model}` does not say how much memory the device has")]
    NoMemory {
        /// The model as typed.
        model: String,
        /// The sizes it is sold with.
        sizes_gb: Vec<u32>,
    },
}

impl SimulateError {
    /// The next thing to type.
    #[must_use]
    pub fn help(&self) -> String {
        let example = "write for example `--simulate 8xA100-80GB` or `--simulate 4xH100,2xL40S`";
        match self {
            Self::UnknownModel { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::UnknownModel { nearest: None, .. } => {
                let keys: Vec<_> = KNOWN.iter().map(|known| known.key).collect();
                format!("known models are {}; `{GENERIC}-48GB` stands for any other", keys.join(", "))
            }
            Self::NoMemory { model, sizes_gb } if sizes_gb.is_empty() => {
                format!("add the size, as in `{model}-48GB`")
            }
            Self::NoMemory { model, sizes_gb } => {
                let choices: Vec<_> = sizes_gb.iter().map(|gb| format!("`{model}-{gb}GB`")).collect();
                format!("write {}", choices.join(" or "))
            }
            Self::TooMany { .. } | Self::TooLong { .. } => "ask for fewer devices".to_owned(),
            Self::Empty | Self::BadCount { .. } | Self::BadMemory { .. } => example.to_owned(),
        }
    }
}

/// Several devices of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    count: u32,
    /// As typed by people, for printing the specification back.
    label: String,
    model: String,
    memory: MemoryMib,
}

/// The devices a node pretends to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulateSpec {
    groups: Vec<Group>,
}

impl SimulateSpec {
    /// How many devices there are in all.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.groups.iter().map(|group| group.count).sum()
    }

    /// The devices, by rising index. `seed` belongs to the node: the same seed gives the same UUIDs, so
    /// grants survive a restart.
    #[must_use]
    pub fn devices(&self, seed: u64) -> Vec<Device> {
        let kinds = (0u16..).zip(&self.groups).flat_map(|kind| (0..kind.1.count).map(move |_| kind));
        let device = |(index, (number, group)): (u16, (u16, &Group))| {
            let nvlink = group.is_switched().then_some(number);
            let closeness = Closeness { nvlink, numa: Some(index / DEVICES_PER_NUMA_NODE) };
            simulated(index, group, seed, closeness)
        };
        (0u16..).zip(kinds).map(device).collect()
    }
}

impl Group {
    /// Whether machines of this kind have all of their devices on one NVLink switch.
    fn is_switched(&self) -> bool {
        let key = self.label.split('-').next().unwrap_or_default();
        SWITCHED.contains(&key)
    }
}

fn simulated(index: u16, group: &Group, seed: u64, closeness: Closeness) -> Device {
    Device {
        index: DeviceIndex(index),
        uuid: format!("SIM-GPU-{seed:016x}-{index:04x}").into(),
        model: group.model.as_str().into(),
        memory: group.memory,
        simulated: true,
        pci: None,
        driver: None,
        mig: None,
        closeness,
        unusable: None,
        // No readings: a device that is not there draws no power, and a zero would look measured.
        telemetry: Telemetry::default(),
    }
}

impl fmt::Display for SimulateSpec {
    /// `8xA100-80GB,2xL4`: parses back to the same devices.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, group) in self.groups.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(f, "{comma}{}x{}", group.count, group.label)?;
        }
        Ok(())
    }
}

impl FromStr for SimulateSpec {
    type Err = SimulateError;

    fn from_str(text: &str) -> Result<Self, SimulateError> {
        if text.len() > SPEC_CHARS_MAX {
            return Err(SimulateError::TooLong { chars: text.chars().count() });
        }
        let entries = text.split(',').map(str::trim);
        let groups = entries
            .map(|entry| if entry.is_empty() { Err(SimulateError::Empty) } else { parse_group(entry) })
            .collect::<Result<Vec<_>, _>>()?;
        let total = groups.iter().map(|group| u64::from(group.count)).sum();
        if total > u64::from(SIMULATED_DEVICES_MAX) {
            return Err(SimulateError::TooMany { total });
        }
        Ok(Self { groups })
    }
}

fn parse_group(entry: &str) -> Result<Group, SimulateError> {
    let (count_text, kind) = split_count(entry);
    let count = count_text
        .parse()
        .ok()
        .filter(|count| (1..=SIMULATED_DEVICES_MAX).contains(count))
        .ok_or_else(|| SimulateError::BadCount { entry: shown(entry), count: shown(count_text) })?;
    let (typed, memory_gb) = split_memory(entry, kind)?;
    let known = find(typed)?;
    let variant = match memory_gb {
        Some(gb) => known.variants.iter().find(|variant| variant.nominal_gb == gb),
        None if known.variants.len() == 1 => known.variants.first(),
        None => {
            let sizes_gb = known.variants.iter().map(|variant| variant.nominal_gb).collect();
            return Err(SimulateError::NoMemory { model: known.key.to_owned(), sizes_gb });
        }
    };
    let label = memory_gb.map_or_else(|| known.key.to_owned(), |gb| format!("{}-{gb}GB", known.key));
    Ok(match (variant, memory_gb) {
        (Some(variant), _) => Group { count, label, model: variant.model.to_owned(), memory: variant.total },
        (None, gb) => {
            // A size the model is not sold with was asked for in words, so it is taken as binary.
            let memory = MemoryMib(u64::from(gb.unwrap_or(0)) * 1_024);
            Group { count, model: format!("NVIDIA {label}"), label, memory }
        }
    })
}

/// `8xA100` is eight; without digits (or a sign) before an `x` there is one.
fn split_count(entry: &str) -> (&str, &str) {
    match entry.split_once(['x', 'X']) {
        Some((count, kind)) if count.bytes().all(|b| b.is_ascii_digit() || b"+-. ".contains(&b)) => {
            (count.trim(), kind.trim())
        }
        _ => ("1", entry),
    }
}

/// Takes a trailing `-80GB`, `-80G` or `-80GiB` off.
fn split_memory<'a>(entry: &str, kind: &'a str) -> Result<(&'a str, Option<u32>), SimulateError> {
    let Some((model, size)) = kind.rsplit_once('-') else { return Ok((kind, None)) };
    let lower = size.to_ascii_lowercase();
    let Some(digits) = ["gib", "gb", "g"].iter().find_map(|unit| lower.strip_suffix(unit)) else {
        return Ok((kind, None));
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok((kind, None));
    }
    match digits.parse() {
        Ok(gb) if (1..=MEMORY_GB_MAX).contains(&gb) => Ok((model, Some(gb))),
        _ => Err(SimulateError::BadMemory { entry: shown(entry), memory: shown(digits) }),
    }
}

/// `a100`, `NVIDIA A100`, `RTX 4090` and `rtx-4090` all name what one expects.
fn folded(name: &str) -> String {
    let upper: String =
        name.chars().filter(|c| !matches!(c, ' ' | '-' | '_')).collect::<String>().to_uppercase();
    let plain = ["NVIDIA", "GEFORCE", "TESLA"].iter().fold(upper.as_str(), |rest, maker| {
        rest.strip_prefix(maker).filter(|rest| !rest.is_empty()).unwrap_or(rest)
    });
    plain.to_owned()
}

fn find(typed: &str) -> Result<&'static Known, SimulateError> {
    let wanted = folded(typed);
    let same = |known: &&Known| known.key == wanted || format!("RTX{}", known.key) == wanted;
    KNOWN.iter().find(same).ok_or_else(|| {
        let nearest = KNOWN
            .iter()
            .map(|known| (distance(&wanted, known.key), known.key))
            .min()
            .filter(|(edits, key)| *edits <= 1 || (*edits == 2 && key.len() > 4));
        SimulateError::UnknownModel { model: shown(typed), nearest: nearest.map(|(_, key)| key) }
    })
}

/// What was typed, safe to print: control characters shown as such, cut where it gets silly.
fn shown(typed: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    typed.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect()
}

/// Edits between two short names (insert, delete, replace). `wanted` is cut: beyond this length nothing
/// is near anyway, and the work stays bounded.
fn distance(wanted: &str, known: &str) -> usize {
    const CHARS_MAX: usize = 24;
    let wanted: Vec<char> = wanted.chars().take(CHARS_MAX).collect();
    let mut row: Vec<usize> = (0..=wanted.len()).collect();
    for (line, known_char) in known.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, wanted_char) in wanted.iter().enumerate() {
            let replaced = diagonal + usize::from(*wanted_char != known_char);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[wanted.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Model, memory and number of each kind, or the error with its help.
    fn check(spec: &str) -> String {
        match spec.parse::<SimulateSpec>() {
            Ok(parsed) => {
                let kinds: Vec<_> = parsed
                    .groups
                    .iter()
                    .map(|g| format!("{} x {} ({})", g.count, g.model, g.memory))
                    .collect();
                kinds.join(" + ")
            }
            Err(error) => format!("{error}; {}", error.help()),
        }
    }

    #[test]
    fn models_have_the_memory_their_driver_reports() {
        assert_eq!(check("8xA100-80GB"), "8 x NVIDIA A100-SXM4-80GB (80 GiB)");
        assert_eq!(check("T4"), "1 x Tesla T4 (15 GiB)");
        assert_eq!(
            check("4xH100-80GB,2xL40S-48GB"),
            "4 x NVIDIA H100 80GB HBM3 (81559 MiB) + 2 x NVIDIA L40S (46068 MiB)"
        );
        assert_eq!(check("B200-192GB"), "1 x NVIDIA B200 (183359 MiB)");
    }

    #[test]
    fn names_are_taken_as_people_write_them() {
        for same in
            ["rtx4090", "RTX 4090", "rtx-4090", "NVIDIA GeForce RTX 4090", "1xRTX4090-24GB", "RTX4090-24G"]
        {
            assert_eq!(check(same), "1 x NVIDIA GeForce RTX 4090 (24564 MiB)", "{same}");
        }
        assert_eq!(
            check(" 2xa100-40gb , l4 "),
            "2 x NVIDIA A100-SXM4-40GB (40 GiB) + 1 x NVIDIA L4 (23034 MiB)"
        );
    }

    #[test]
    fn a_size_of_ones_own_overrides_the_table() {
        assert_eq!(check("H100-96GB"), "1 x NVIDIA H100-96GB (96 GiB)");
        assert_eq!(check("2xGPU-48GB"), "2 x NVIDIA GPU-48GB (48 GiB)");
    }

    #[test]
    fn refusals_say_what_is_wrong_and_what_to_type() {
        assert_eq!(check("H1000"), "`H1000` is not a model that can be simulated; did you mean `H100`?");
        assert_eq!(
            check("RTX4O9O"),
            "`RTX4O9O` is not a model that can be simulated; did you mean `RTX4090`?"
        );
        assert!(check("banana").contains("known models are T4"));
        assert_eq!(
            check("A100"),
            "`A100` does not say how much memory the device has; write `A100-40GB` or `A100-80GB`"
        );
        assert_eq!(
            check("GPU"),
            "`GPU` does not say how much memory the device has; add the size, as in `GPU-48GB`"
        );
        for bad in ["", " ", "T4,,T4", "T4,"] {
            assert!(check(bad).starts_with("the list of simulated devices is empty"), "{bad:?}");
        }
        for bad in ["0xT4", "-1xT4", "1025xT4", "99999999999999999999xT4", "1.5xT4", "xT4"] {
            assert!(check(bad).contains("from 1 to 1024 can be simulated"), "{bad}: {}", check(bad));
        }
        assert!(check("1000xT4,25xT4").starts_with("the list asks for 1025 devices"));
        for bad in ["T4-0GB", "T4-4097GB", "T4-99999999999999GB"] {
            assert!(check(bad).contains("it must be from 1 to 4096"), "{bad}");
        }
        assert!(check(&"T4,".repeat(10_000)).contains("characters; at most"));
        assert!(!check("T\u{1b}[31m4").contains('\u{1b}'), "a terminal is not told to change colour");
    }

    #[test]
    fn uuids_are_stable_distinct_and_say_that_nothing_is_there() {
        let spec: SimulateSpec = "2xT4,A100-80GB".parse().unwrap();
        let devices = spec.devices(0xab);
        let uuids: Vec<_> = devices.iter().map(|d| d.uuid.to_string()).collect();
        assert_eq!(
            uuids,
            [
                "SIM-GPU-00000000000000ab-0000",
                "SIM-GPU-00000000000000ab-0001",
                "SIM-GPU-00000000000000ab-0002"
            ]
        );
        assert!(devices.iter().all(|d| d.simulated && d.unusable.is_none()));
        assert_eq!(spec.devices(0xab), devices);
        assert_ne!(spec.devices(0xac)[0].uuid, devices[0].uuid);
    }

    #[test]
    fn a_specification_prints_as_what_it_parses_to() {
        for spec in ["8xA100-80GB", "1xT4,2xGPU-48GB", "1024xH200"] {
            let parsed: SimulateSpec = spec.parse().unwrap();
            assert_eq!(parsed.to_string(), spec);
        }
    }

    #[test]
    fn devices_are_close_to_each_other_as_in_machines_one_can_buy() {
        let spec: SimulateSpec = "4xH100,2xL40S".parse().unwrap();
        let close: Vec<_> =
            spec.devices(1).iter().map(|one| (one.closeness.nvlink, one.closeness.numa)).collect();
        let (switched, alone) = ((Some(0), Some(0)), (None, Some(1)));
        assert_eq!(close, [switched, switched, switched, switched, alone, alone]);
    }
}
