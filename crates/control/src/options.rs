//! What the operator of a control plane chooses.

use fastgpu_core::units::Millis;

use crate::record::Recorder;

/// Settings of the loop that do not change while it runs.
#[derive(Debug)]
pub struct Options {
    /// How long ended tasks are kept.
    pub history: Millis,
    /// How many ended tasks are kept at most.
    pub history_tasks_max: u64,
    /// How long answers are remembered under their keys.
    pub keys: Millis,
    /// Who writes down what the loop does, if anybody.
    pub recorder: Option<Box<dyn Recorder>>,
}

impl Default for Options {
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self {
            history: Millis::from_secs(90 * DAY),
            history_tasks_max: 5_000_000,
            keys: Millis::from_secs(7 * DAY),
            recorder: None,
        }
    }
}
