//! Names of things: task, node, device, fence, term. Each prints one way and parses only that.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::units::Timestamp;

/// A task: 63 bits of milliseconds since 2025 and a counter, so ids sort by submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

/// Lower-case Crockford base32: no `i`, `l`, `o`, `u`, so an id can be read aloud.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 2025-01-01T00:00:00Z in Unix milliseconds.
const EPOCH_MS: i64 = 1_735_689_600_000;
/// Bits below the millisecond: 4 million ids per millisecond before the clock is borrowed from.
const COUNTER_BITS: u32 = 22;
/// Bits of the millisecond.
const CLOCK_BITS: u32 = 63 - COUNTER_BITS;
const ID_CHARS: usize = 13;

impl TaskId {
    /// The smallest id.
    pub const MIN: Self = Self(0);
    /// The largest id.
    pub const MAX: Self = Self(u64::MAX >> 1);

    /// `None` when the top bit is set: ids have 63 bits, so that every database can store them.
    #[must_use]
    pub const fn new(raw: u64) -> Option<Self> {
        if raw >> 63 == 0 { Some(Self(raw)) } else { None }
    }

    /// The 63 bits.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; ID_CHARS];
        for (position, slot) in text.iter_mut().rev().enumerate() {
            *slot = ALPHABET[(self.0 >> (5 * position) & 31) as usize];
        }
        write!(f, "t-{}", std::str::from_utf8(&text).expect("the alphabet is ASCII"))
    }
}

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnId {
    /// What was expected: `task`, `node`.
    pub kind: &'static str,
    /// What was given.
    pub given: String,
}

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a {} id", self.given, self.kind)
    }
}

impl std::error::Error for NotAnId {}

impl FromStr for TaskId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let refuse = || NotAnId { kind: "task", given: text.chars().take(80).collect() };
        let digits = text.strip_prefix("t-").filter(|d| d.len() == ID_CHARS).ok_or_else(refuse)?;
        let mut raw = 0u128;
        for byte in digits.bytes() {
            let value = ALPHABET.iter().position(|&a| a == byte).ok_or_else(refuse)?;
            raw = raw << 5 | value as u128;
        }
        u64::try_from(raw).ok().and_then(Self::new).ok_or_else(refuse)
    }
}

/// Hands out task ids that only ever grow, whatever the clock does.
#[derive(Debug, Clone, Default)]
pub struct IdSource {
    last: u64,
}

impl IdSource {
    /// Starts after `last`, the largest id ever handed out (from the store).
    #[must_use]
    pub fn after(last: Option<TaskId>) -> Self {
        Self { last: last.map_or(0, TaskId::get) }
    }

    /// The next id: at least the clock's, always more than the one before.
    pub fn next(&mut self, now: Timestamp) -> TaskId {
        let clock = u64::try_from(now.0.saturating_sub(EPOCH_MS)).unwrap_or(0);
        // A clock beyond what the id can say (the year 2094) no longer counts; ids go on growing.
        let by_clock = if clock >> CLOCK_BITS == 0 { clock << COUNTER_BITS } else { 0 };
        self.last = (self.last + 1).max(by_clock);
        TaskId::new(self.last)
            .expect("ids are used up after 2^63 of them, and at one a nanosecond that is 292 years")
    }
}

/// A machine. Node 0 is the machine the control plane runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node-{}", self.0)
    }
}

/// The place of a device on its node, as the driver counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceIndex(pub u16);

impl fmt::Display for DeviceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gpu-{}", self.0)
    }
}

/// Says which placement of a task, and which version of its grant, an order or a report speaks of.
/// A smaller fence is *stale*: acknowledged and ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence {
    /// Rises with each placement; the first is 1.
    pub attempt: u32,
    /// Rises with each resize, suspend, resume or move within an attempt; the first is 1.
    pub version: u32,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.attempt, self.version)
    }
}

/// The number of a control plane's reign; a store refuses commits of an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Term(pub u64);

/// The hash of a task's specification, by which it is stored once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpecHash(pub [u8; 32]);

/// The project that rows belong to when nothing else is said.
pub const DEFAULT_PROJECT: &str = "default";

/// A project or owner name, shared by the many rows that carry it.
pub type Name = Arc<str>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_refuse_everything_else() {
        for raw in [0, 1, 31, 32, 1 << 40, u64::MAX >> 1] {
            let id = TaskId::new(raw).unwrap();
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert_eq!("node-7".parse::<TaskId>().unwrap_err().to_string(), "`node-7` is not a task id");
        for bad in
            ["", "t-", "t-0", "t-zzzzzzzzzzzzz", "t-000000000000I", "t-0000000000000 ", "T-0000000000000"]
        {
            assert!(bad.parse::<TaskId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_grow_even_when_the_clock_steps_back() {
        let mut ids = IdSource::after(None);
        let first = ids.next(Timestamp(EPOCH_MS + 1_000));
        let second = ids.next(Timestamp(EPOCH_MS - 5));
        let third = IdSource::after(Some(second)).next(Timestamp(0));
        assert!(first < second && second < third);
        assert!(first.to_string() < second.to_string());
        let far_future = ids.next(Timestamp(i64::MAX));
        assert!(far_future > second, "a clock gone mad still gives ids");
    }
}
