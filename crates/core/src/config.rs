//! What an operator can set while the server runs. A configuration is a command: validated whole,
//! recorded, replayable.

use crate::units::{Millis, PriceMicros};

/// Room for the specifications of all live tasks, in bytes; more would not be a queue but a file store.
pub const SPEC_BYTES_MAX: u64 = 4 << 30;

/// The live configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Most tasks that may be live at once.
    pub queue_max: usize,
    /// Most tasks in one submit.
    pub batch_max: usize,
    /// How long the first task that does not fit may be overtaken before devices are kept for it.
    pub overtake_max: Millis,
    /// Price of one whole device for one hour.
    pub price: PriceMicros,
    /// Time limit of a task that names none; `None` means no limit.
    pub time_limit_default: Option<Millis>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            queue_max: 1_000_000,
            batch_max: 10_000,
            overtake_max: Millis::from_secs(600),
            price: PriceMicros(0),
            time_limit_default: None,
        }
    }
}

impl Config {
    /// Checks the whole; the first thing wrong is named.
    ///
    /// # Errors
    /// A sentence with the key, the value and the allowed range.
    pub fn check(&self) -> Result<(), String> {
        let within = |key: &str, value: usize, max: usize| match value {
            1.. if value <= max => Ok(()),
            _ => Err(format!("`{key}` is {value}; it must be from 1 to {max}")),
        };
        within("queue_max", self.queue_max, 1_000_000)?;
        within("batch_max", self.batch_max, 10_000)?;
        if self.price.0 < 0 {
            return Err(format!("`price` is {}; it must not be negative", self.price.0));
        }
        Ok(())
    }
}
