//! Devices that are no hardware: what `--simulate 8xA100-80GB` means.
//!
//! The table of models and the parser belong to the software GPU; here is only the type that the rest of
//! the product passes around. How such devices are made is in [`crate::software`].

use std::fmt;
use std::str::FromStr;

use fastgpu_core::node::Closeness;
use fastgpu_softgpu::models::MODELS;
use fastgpu_softgpu::spec::{Spec, SpecError};

/// The software GPUs of a node, as they were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulateSpec(Spec);

/// Why a specification was refused. The message says what is wrong, [`help`] what to type instead.
///
/// [`help`]: SimulateError::help
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct SimulateError(#[from] SpecError);

impl SimulateError {
    /// The next thing to type.
    #[must_use]
    pub fn help(&self) -> String {
        self.0.help()
    }
}

impl SimulateSpec {
    /// How many devices there are in all.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.count()
    }

    pub(crate) fn as_software(&self) -> &Spec {
        &self.0
    }
}

impl fmt::Display for SimulateSpec {
    /// `8xA100-80GB,2xL4`: parses back to the same devices.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SimulateSpec {
    type Err = SimulateError;

    fn from_str(text: &str) -> Result<Self, SimulateError> {
        Ok(Self(text.parse()?))
    }
}

/// Machines with eight devices have four at each of two processors.
const DEVICES_PER_NUMA_NODE: u16 = 4;
/// Models with this many NVLinks stand in machines that have all of their devices on one switch.
const NVLINKS_OF_SWITCHED: u32 = 12;

/// What a software GPU is close to, as in machines one can buy.
pub(crate) fn closeness(index: u16, model: &str) -> Closeness {
    let known = MODELS.iter().find(|known| known.name == model);
    let is_switched = known.is_some_and(|known| known.nvlinks >= NVLINKS_OF_SWITCHED);
    Closeness { nvlink: is_switched.then_some(0), numa: Some(index / DEVICES_PER_NUMA_NODE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_no_more_devices_than_its_ledger() {
        assert_eq!("64xT4".parse::<SimulateSpec>().unwrap().to_string(), "64xT4");
        let error = "60xT4,5xL4".parse::<SimulateSpec>().unwrap_err();
        assert!(error.to_string().contains("asks for 65 devices; at most 64"), "{error}");
        let error = "1024xH100".parse::<SimulateSpec>().unwrap_err();
        assert!(error.to_string().contains("from 1 to 64 can be simulated"), "{error}");
    }

    #[test]
    fn devices_are_close_to_each_other_as_in_machines_one_can_buy() {
        let close = [
            (0, "NVIDIA H100 80GB HBM3"),
            (5, "NVIDIA H100 80GB HBM3"),
            (5, "NVIDIA L40S"),
            (0, "unheard of"),
        ]
        .map(|(index, model)| closeness(index, model))
        .map(|found| (found.nvlink, found.numa));
        assert_eq!(close, [(Some(0), Some(0)), (Some(0), Some(1)), (None, Some(1)), (None, Some(0))]);
    }
}
