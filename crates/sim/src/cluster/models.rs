//! GPU models by the names people type: memory, and what a board draws.
//!
//! Busy is the board's limit as its data sheet has it. Idle is what such a board typically draws with nothing on
//! it; both are starting points that a description of machines overrides. Prices differ from place to place, so
//! there are none here.

use fastgpu_core::units::{MemoryMib, PriceMicros};

use super::{Gpu, Power};

struct Known {
    /// As typed, without a memory size.
    key: &'static str,
    /// The sizes it is sold with, in GB; the first is meant if none is said.
    sizes_gb: &'static [u32],
    idle_w: u32,
    busy_w: u32,
}

const fn known(key: &'static str, sizes_gb: &'static [u32], idle_w: u32, busy_w: u32) -> Known {
    Known { key, sizes_gb, idle_w, busy_w }
}

const KNOWN: &[Known] = &[
    known("T4", &[16], 10, 70),
    known("P100", &[16], 30, 250),
    known("V100", &[16, 32], 40, 300),
    known("A2", &[16], 8, 60),
    known("A10", &[24], 15, 150),
    known("A30", &[24], 28, 165),
    known("A40", &[48], 30, 300),
    known("A100", &[80, 40], 55, 400),
    known("A6000", &[48], 25, 300),
    known("L4", &[24], 12, 72),
    known("L40", &[48], 30, 300),
    known("L40S", &[48], 33, 350),
    known("H100", &[80], 70, 700),
    known("H200", &[141], 75, 700),
    known("B200", &[192], 140, 1_000),
    known("RTX3090", &[24], 20, 350),
    known("RTX4090", &[24], 20, 450),
    known("RTX5090", &[32], 25, 575),
];

/// What a model that nobody knows draws: as an accelerator of middle size.
const UNKNOWN_POWER: Power = Power { idle_mw: 40_000, busy_mw: 300_000 };
/// More memory than any GPU has.
const MEMORY_GB_MAX: u32 = 4_096;

/// `H100`, `A100-80GB`, `GPU-48GB` (any model with its size).
///
/// # Errors
/// A sentence that names what is missing.
pub fn parse(text: &str) -> Result<Gpu, String> {
    let (name, size) = match text.rsplit_once('-') {
        Some((name, size)) if size.ends_with("GB") && size.starts_with(|c: char| c.is_ascii_digit()) => {
            (name, Some(size.trim_end_matches("GB")))
        }
        _ => (text, None),
    };
    let size = size.map(|size| size.parse::<u32>().ok().filter(|&gb| (1..=MEMORY_GB_MAX).contains(&gb)));
    let plain_name =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let known = KNOWN.iter().find(|known| known.key.eq_ignore_ascii_case(name));
    let size = match (size, known) {
        (Some(None), _) => {
            return Err(format!("the memory of `{text}` is not from 1 to {MEMORY_GB_MAX} GB"));
        }
        _ if !plain_name => return Err(format!("`{text}` is no GPU model")),
        (Some(Some(size)), _) => size,
        (None, Some(known)) => known.sizes_gb[0],
        (None, None) => {
            let keys: Vec<&str> = KNOWN.iter().map(|known| known.key).collect();
            return Err(format!(
                "`{text}` does not say how much memory it has (`{text}-48GB`); models with a size of their own \
                 are {}",
                keys.join(", ")
            ));
        }
    };
    Ok(Gpu {
        model: format!("{name}-{size}GB").into(),
        memory: MemoryMib(u64::from(size) * 1_024),
        price: PriceMicros(0),
        power: power_of(name),
    })
}

/// What a board draws whose name contains one that we know: the longest such name counts.
#[must_use]
pub fn power_of(model: &str) -> Power {
    let model = model.to_ascii_uppercase().replace(' ', "");
    let fitting = KNOWN.iter().filter(|known| model.contains(known.key));
    fitting
        .max_by_key(|known| known.key.len())
        .map_or(UNKNOWN_POWER, |known| Power { idle_mw: known.idle_w * 1_000, busy_mw: known.busy_w * 1_000 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_brings_its_memory_and_power_or_says_what_is_missing() {
        let gpu = parse("A100-40GB").unwrap();
        assert_eq!((&*gpu.model, gpu.memory, gpu.power.busy_mw), ("A100-40GB", MemoryMib(40_960), 400_000));
        assert_eq!(&*parse("h100").unwrap().model, "h100-80GB");
        assert_eq!(parse("NPU-64GB").unwrap().power, UNKNOWN_POWER);
        assert!(parse("NPU").unwrap_err().contains("does not say how much memory"));
        assert!(parse("A100-0GB").unwrap_err().contains("not from 1 to"));
        assert!(parse("A 100").is_err() && parse("").is_err());
        assert_eq!(power_of("NVIDIA A100-SXM4-80GB").busy_mw, 400_000);
        assert_eq!(power_of("NVIDIA L40S").busy_mw, 350_000);
        assert_eq!(power_of("NVIDIA GeForce RTX 4090").busy_mw, 450_000);
    }
}
