//! What an operator can set while the server runs. A configuration is a command: validated whole,
//! recorded, replayable.

use std::collections::BTreeMap;

use crate::ids::Name;
use crate::policy::{DEFAULT_QUEUE, QueuePolicy};
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
    /// The rules of each queue by its name; [`DEFAULT_QUEUE`] exists even if it is not here.
    pub queues: BTreeMap<Name, QueuePolicy>,
}

/// More queues than this are not a policy any more.
pub const QUEUES_MAX: usize = 256;
/// The longest name of a queue, in bytes.
pub const QUEUE_NAME_MAX: usize = 63;

impl Default for Config {
    fn default() -> Self {
        Self {
            queue_max: 1_000_000,
            batch_max: 10_000,
            overtake_max: Millis::from_secs(600),
            price: PriceMicros(0),
            time_limit_default: None,
            queues: BTreeMap::new(),
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
        if self.queues.len() > QUEUES_MAX {
            return Err(format!("`queues` has {} entries; at most {QUEUES_MAX} are kept", self.queues.len()));
        }
        self.queues.iter().try_for_each(|(name, policy)| check_queue(name, policy))
    }

    /// The rules of a queue; `None` if there is no such queue.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<QueuePolicy> {
        let known = self.queues.get(name).copied();
        known.or_else(|| (name == DEFAULT_QUEUE).then(QueuePolicy::default))
    }

    /// The names of all queues, the default among them.
    pub fn queue_names(&self) -> impl Iterator<Item = &str> {
        let default = (!self.queues.contains_key(DEFAULT_QUEUE)).then_some(DEFAULT_QUEUE);
        default.into_iter().chain(self.queues.keys().map(|name| &**name))
    }
}

fn check_queue(name: &str, policy: &QueuePolicy) -> Result<(), String> {
    const PRIORITY_MAX: u32 = 1_000_000;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > QUEUE_NAME_MAX || !name.bytes().all(plain) {
        let shown: String = name.chars().take(QUEUE_NAME_MAX).collect();
        return Err(format!(
            "`{shown}` is no name of a queue; it has 1 to {QUEUE_NAME_MAX} of a-z, 0-9, `-` and `_`"
        ));
    }
    if policy.priority.unsigned_abs() > PRIORITY_MAX {
        let given = policy.priority;
        return Err(format!(
            "`queues.{name}.priority` is {given}; it must be from -{PRIORITY_MAX} to {PRIORITY_MAX}"
        ));
    }
    if policy.wait_max.0 == 0 {
        return Err(format!("`queues.{name}.wait_max_ms` is 0; it must be at least 1"));
    }
    Ok(())
}
