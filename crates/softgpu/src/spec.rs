//! What `8xA100-80GB` means: the specification of software GPUs, as people type it.
//!
//! Here: the parser, and refusals that say what to type instead. What a model is stands in
//! [`crate::models`].

use std::fmt;
use std::str::FromStr;

use crate::models::{MODELS, Model, folded};

/// Most devices one machine can pretend to have: what a ledger has room for.
#[expect(clippy::cast_possible_truncation, reason = "it is 64")]
pub const DEVICES_MAX: u32 = crate::ledger::layout::DEVICES_MAX as u32;
/// Most memory one device can have; ten times the largest device there is.
const MEMORY_GB_MAX: u32 = 4_096;
/// Longest specification that is looked at; every device could have its own entry.
const SPEC_CHARS_MAX: usize = 16 * 1_024;
/// The name for "some device", which has no size of its own.
const GENERIC: &str = "GPU";
/// What such a device is like in everything but its memory.
const GENERIC_LIKE: &str = "L40";

/// Why a specification of software GPUs was refused. The message says what is wrong, [`help`] what to type
/// instead.
///
/// [`help`]: SpecError::help
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpecError {
    /// Nothing was named.
    Empty,
    /// Nothing stands before, between or behind commas.
    EmptyEntry,
    /// `x8`, `xA100`: no count before the `x`.
    NoCount {
        /// The entry as typed.
        entry: String,
    },
    /// The text is longer than anything a person writes.
    TooLong {
        /// How long it is.
        chars: usize,
    },
    /// `0xA100`, `-1xA100`, `99999999999xA100`.
    BadCount {
        /// The entry as typed.
        entry: String,
        /// The count as typed.
        count: String,
    },
    /// The entries together are too many.
    TooMany {
        /// The sum of the counts.
        total: u64,
    },
    /// `A100-0GB`, `A100-99999GB`.
    BadMemory {
        /// The entry as typed.
        entry: String,
        /// The size as typed.
        memory: String,
    },
    /// A model that is not in the table.
    UnknownModel {
        /// The model as typed.
        model: String,
        /// The closest model we know, if one is close.
        nearest: Option<&'static str>,
    },
    /// A model that is sold in several sizes, or in none.
    NoMemory {
        /// The model as typed.
        model: String,
        /// The sizes it is sold with.
        sizes_gb: Vec<u32>,
    },
}

impl std::error::Error for SpecError {}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the list of simulated devices is empty"),
            Self::EmptyEntry => write!(f, "the list of simulated devices has a comma with nothing beside it"),
            Self::NoCount { entry } => write!(f, "`{entry}` has no count before the `x`"),
            Self::TooLong { chars } => write!(
                f,
                "the list of simulated devices has {chars} characters; at most {SPEC_CHARS_MAX} are read"
            ),
            Self::BadCount { entry, count } => {
                write!(f, "`{entry}` asks for {count} devices; from 1 to {DEVICES_MAX} can be simulated")
            }
            Self::TooMany { total } => {
                write!(f, "the list asks for {total} devices; at most {DEVICES_MAX} can be simulated")
            }
            Self::BadMemory { entry, memory } => {
                write!(f, "`{entry}` has a memory size of {memory} GB; it must be from 1 to {MEMORY_GB_MAX}")
            }
            Self::UnknownModel { model, .. } => write!(f, "`{model}` is not a model that can be simulated"),
            Self::NoMemory { model, .. } => {
                write!(f, "`{model}` does not say how much memory the device has")
            }
        }
    }
}

impl SpecError {
    /// The next thing to type.
    #[must_use]
    pub fn help(&self) -> String {
        let example = "write for example `--simulate 8xA100-80GB` or `--simulate 4xH100,2xL40S`";
        match self {
            Self::UnknownModel { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::UnknownModel { nearest: None, .. } => {
                format!("known models are {}; `{GENERIC}-48GB` stands for any other", keys().join(", "))
            }
            Self::NoMemory { model, sizes_gb } if sizes_gb.is_empty() => {
                format!("add the size, as in `{model}-48GB`")
            }
            Self::NoMemory { model, sizes_gb } => {
                let choices: Vec<_> = sizes_gb.iter().map(|gb| format!("`{model}-{gb}GB`")).collect();
                format!("write {}", choices.join(" or "))
            }
            Self::TooMany { .. } | Self::TooLong { .. } => "ask for fewer devices".to_owned(),
            Self::EmptyEntry => "leave the comma out".to_owned(),
            Self::Empty | Self::NoCount { .. } | Self::BadCount { .. } | Self::BadMemory { .. } => {
                example.to_owned()
            }
        }
    }
}

/// Every key once, in the order of the table.
fn keys() -> Vec<&'static str> {
    let mut keys: Vec<_> = MODELS.iter().map(|model| model.key).collect();
    keys.dedup();
    keys
}

/// Several devices of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    count: u32,
    /// As typed by people, for printing the specification back.
    label: String,
    wanted: Wanted,
}

/// One device as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What it is like.
    pub model: &'static Model,
    /// What the driver calls it; not the model's own name where the memory is not the model's own.
    pub name: String,
    /// All its memory, in MiB.
    pub memory_total_mib: u64,
}

/// The software GPUs of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    groups: Vec<Group>,
}

impl Spec {
    /// How many devices there are in all.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.groups.iter().map(|group| group.count).sum()
    }

    /// Each device, in the order typed.
    pub fn devices(&self) -> impl Iterator<Item = Wanted> {
        self.groups.iter().flat_map(|group| (0..group.count).map(|_| group.wanted.clone()))
    }
}

impl fmt::Display for Spec {
    /// `8xA100-80GB,2xL4`: parses back to the same devices.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, group) in self.groups.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(f, "{comma}{}x{}", group.count, group.label)?;
        }
        Ok(())
    }
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        if text.len() > SPEC_CHARS_MAX {
            return Err(SpecError::TooLong { chars: text.chars().count() });
        }
        if text.trim().is_empty() {
            return Err(SpecError::Empty);
        }
        let entries = text.split(',').map(str::trim);
        let groups = entries
            .map(|entry| if entry.is_empty() { Err(SpecError::EmptyEntry) } else { parse_group(entry) })
            .collect::<Result<Vec<_>, _>>()?;
        let total = groups.iter().map(|group| u64::from(group.count)).sum();
        if total > u64::from(DEVICES_MAX) {
            return Err(SpecError::TooMany { total });
        }
        Ok(Self { groups })
    }
}

fn parse_group(entry: &str) -> Result<Group, SpecError> {
    let (count_text, kind) = split_count(entry);
    if count_text.is_empty() {
        return Err(SpecError::NoCount { entry: shown(entry) });
    }
    let count = count_text
        .parse()
        .ok()
        .filter(|count| (1..=DEVICES_MAX).contains(count))
        .ok_or_else(|| SpecError::BadCount { entry: shown(entry), count: shown(count_text) })?;
    let (typed, memory_gb) = split_memory(entry, kind)?;
    let sizes = find(typed)?;
    let exact = match memory_gb {
        Some(gb) => sizes.models.iter().copied().find(|model| model.nominal_gb == gb),
        None if sizes.models.len() == 1 && sizes.key != GENERIC => sizes.models.first().copied(),
        None => return Err(sizes.unsaid()),
    };
    let label = memory_gb.map_or_else(|| sizes.key.to_owned(), |gb| format!("{}-{gb}GB", sizes.key));
    let wanted = match (exact, memory_gb) {
        (Some(model), _) if sizes.key != GENERIC => {
            Wanted { model, name: model.name.to_owned(), memory_total_mib: model.memory.total_mib }
        }
        // A size the model is not sold with was asked for in words, so it is taken as binary.
        (_, gb) => Wanted {
            model: sizes.models[0],
            name: format!("NVIDIA {label}"),
            memory_total_mib: u64::from(gb.unwrap_or(0)) * 1_024,
        },
    };
    Ok(Group { count, label, wanted })
}

/// A key and what it comes as; never empty.
struct Sizes {
    key: &'static str,
    models: Vec<&'static Model>,
}

impl Sizes {
    fn unsaid(&self) -> SpecError {
        let sizes_gb = match self.key {
            GENERIC => Vec::new(),
            _ => self.models.iter().map(|model| model.nominal_gb).collect(),
        };
        SpecError::NoMemory { model: self.key.to_owned(), sizes_gb }
    }
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
fn split_memory<'a>(entry: &str, kind: &'a str) -> Result<(&'a str, Option<u32>), SpecError> {
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
        _ => Err(SpecError::BadMemory { entry: shown(entry), memory: shown(digits) }),
    }
}

fn find(typed: &str) -> Result<Sizes, SpecError> {
    let wanted = folded(typed);
    if wanted == GENERIC {
        return Ok(Sizes { key: GENERIC, models: Model::sizes(GENERIC_LIKE).collect() });
    }
    let models: Vec<_> = Model::sizes(typed).collect();
    if let Some(first) = models.first() {
        return Ok(Sizes { key: first.key, models });
    }
    let nearest = MODELS
        .iter()
        .map(|model| (distance(&wanted, &folded(model.key)), model.key))
        .min()
        .filter(|(edits, key)| *edits <= 1 || (*edits == 2 && key.len() > 4));
    Err(SpecError::UnknownModel { model: shown(typed), nearest: nearest.map(|(_, key)| key) })
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
        match spec.parse::<Spec>() {
            Ok(parsed) => {
                let shown = |g: &Group| {
                    format!("{} x {} ({} MiB)", g.count, g.wanted.name, g.wanted.memory_total_mib)
                };
                let kinds: Vec<_> = parsed.groups.iter().map(shown).collect();
                kinds.join(" + ")
            }
            Err(error) => format!("{error}; {}", error.help()),
        }
    }

    #[test]
    fn models_have_the_memory_their_driver_reports() {
        assert_eq!(check("8xA100-80GB"), "8 x NVIDIA A100-SXM4-80GB (81920 MiB)");
        assert_eq!(check("T4"), "1 x Tesla T4 (15360 MiB)");
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
            "2 x NVIDIA A100-SXM4-40GB (40960 MiB) + 1 x NVIDIA L4 (23034 MiB)"
        );
    }

    #[test]
    fn a_size_of_ones_own_overrides_the_table() {
        assert_eq!(check("H100-96GB"), "1 x NVIDIA H100-96GB (98304 MiB)");
        assert_eq!(check("2xGPU-48GB"), "2 x NVIDIA GPU-48GB (49152 MiB)");
    }

    #[test]
    fn refusals_say_what_is_wrong_and_what_to_type() {
        assert_eq!(check("H1000"), "`H1000` is not a model that can be simulated; did you mean `H100`?");
        assert_eq!(
            check("RTX4O9O"),
            "`RTX4O9O` is not a model that can be simulated; did you mean `RTX4090`?"
        );
        assert!(check("banana").contains("known models are P100, V100, T4"));
        assert_eq!(
            check("A100"),
            "`A100` does not say how much memory the device has; write `A100-40GB` or `A100-80GB`"
        );
        assert_eq!(
            check("GPU"),
            "`GPU` does not say how much memory the device has; add the size, as in `GPU-48GB`"
        );
        for bad in ["", " "] {
            assert!(check(bad).starts_with("the list of simulated devices is empty"), "{bad:?}");
        }
        for bad in ["T4,,T4", "T4,", ",T4", ","] {
            assert!(check(bad).contains("has a comma with nothing beside it"), "{bad:?}: {}", check(bad));
        }
        for bad in ["0xT4", "-1xT4", "65xT4", "99999999999999999999xT4", "1.5xT4"] {
            assert!(check(bad).contains("from 1 to 64 can be simulated"), "{bad}: {}", check(bad));
        }
        for bad in ["xT4", "x8", " x 8"] {
            assert!(check(bad).contains("has no count before the `x`"), "{bad}: {}", check(bad));
        }
        assert!(check("60xT4,5xT4").starts_with("the list asks for 65 devices"));
        for bad in ["T4-0GB", "T4-4097GB", "T4-99999999999999GB"] {
            assert!(check(bad).contains("it must be from 1 to 4096"), "{bad}");
        }
        assert!(check(&"T4,".repeat(10_000)).contains("characters; at most"));
        assert!(!check("T\u{1b}[31m4").contains('\u{1b}'), "a terminal is not told to change colour");
    }

    #[test]
    fn a_specification_prints_as_what_it_parses_to() {
        for spec in ["8xA100-80GB", "1xT4,2xGPU-48GB", "64xH200"] {
            let parsed: Spec = spec.parse().unwrap();
            assert_eq!(parsed.to_string(), spec);
        }
    }
}
