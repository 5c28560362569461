//! Quantities with their units in the type. No floats live here: accounting is exact.

use std::fmt;

/// A share of one GPU in thousandths; 1 000 is a full device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GpuMilli(u32);

impl GpuMilli {
    /// One whole device.
    pub const FULL: Self = Self(1_000);
    /// Nothing of a device.
    pub const ZERO: Self = Self(0);

    /// Returns `None` for a share of more than one device.
    #[must_use]
    pub const fn new(milli: u32) -> Option<Self> {
        if milli <= 1_000 { Some(Self(milli)) } else { None }
    }

    /// The thousandths.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Whether this is the whole device.
    #[must_use]
    pub const fn is_full(self) -> bool {
        self.0 == 1_000
    }

    /// There is no `Sub`: running out of capacity is an answer, not an arithmetic accident.
    #[must_use]
    pub fn checked_sub(self, rhs: Self) -> Option<Self> {
        self.0.checked_sub(rhs.0).map(Self)
    }

    /// `None` when the sum would be more than one device.
    #[must_use]
    pub fn checked_add(self, rhs: Self) -> Option<Self> {
        Self::new(self.0 + rhs.0)
    }

    /// The part of `memory` that belongs to this share, rounded down.
    #[must_use]
    pub fn of(self, memory: MemoryMib) -> MemoryMib {
        MemoryMib(memory.0.saturating_mul(u64::from(self.0)) / 1_000)
    }
}

impl fmt::Display for GpuMilli {
    /// `1`, `0.5`, `0.125`: devices, without trailing zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1_000, self.0 % 1_000);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{}", format!("{rest:03}").trim_end_matches('0'))
    }
}

/// Memory in MiB (2^20 bytes), of a device or of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MemoryMib(pub u64);

impl MemoryMib {
    /// No memory at all.
    pub const ZERO: Self = Self(0);

    /// `None` when `rhs` is more than there is.
    #[must_use]
    pub fn checked_sub(self, rhs: Self) -> Option<Self> {
        self.0.checked_sub(rhs.0).map(Self)
    }

    /// The smallest share of a device with `total` memory that covers this much, at most a full device.
    #[must_use]
    pub fn share_of(self, total: Self) -> GpuMilli {
        if total.0 == 0 {
            return GpuMilli::FULL;
        }
        let milli = self.0.saturating_mul(1_000).div_ceil(total.0).clamp(1, 1_000);
        GpuMilli(u32::try_from(milli).expect("clamped to 1 000 above"))
    }
}

impl fmt::Display for MemoryMib {
    /// Whole GiB are printed as GiB, everything else as MiB.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 1_024 && self.0.is_multiple_of(1_024) {
            write!(f, "{} GiB", self.0 / 1_024)
        } else {
            write!(f, "{} MiB", self.0)
        }
    }
}

/// Processor time a task may use, in thousandths of a core; 0 means "not counted".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CpuMilli(pub u32);

impl CpuMilli {
    /// `None` when `rhs` is more than there is.
    #[must_use]
    pub fn checked_sub(self, rhs: Self) -> Option<Self> {
        self.0.checked_sub(rhs.0).map(Self)
    }
}

impl fmt::Display for CpuMilli {
    /// Cores: `4`, `0.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1_000, self.0 % 1_000);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{}", format!("{rest:03}").trim_end_matches('0'))
    }
}

/// A moment: milliseconds since the Unix epoch, made monotone by whoever reads the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The end of time, for "no limit".
    pub const NEVER: Self = Self(i64::MAX);

    /// The moment `span` later; never wraps.
    #[must_use]
    pub fn plus(self, span: Millis) -> Self {
        Self(self.0.saturating_add_unsigned(span.0))
    }

    /// The time since `earlier`, or zero when it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Millis {
        Millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// A span of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// A span of whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000))
    }
}

impl fmt::Display for Millis {
    /// The two largest units: `850 ms`, `12 s`, `3 min 20 s`, `2 h 5 min`, `4 d 1 h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0 / 1_000;
        let (big, big_unit, small, small_unit) = match secs {
            _ if self.0 < 1_000 => return write!(f, "{} ms", self.0),
            0..60 => return write!(f, "{secs} s"),
            60..3_600 => (secs / 60, "min", secs % 60, "s"),
            3_600..86_400 => (secs / 3_600, "h", secs % 3_600 / 60, "min"),
            _ => (secs / 86_400, "d", secs % 86_400 / 3_600, "h"),
        };
        write!(f, "{big} {big_unit}")?;
        if small > 0 {
            write!(f, " {small} {small_unit}")?;
        }
        Ok(())
    }
}

/// A price in millionths of the operator's currency for one device for one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PriceMicros(pub i64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_print_as_devices() {
        let printed = [1, 125, 500, 1_000].map(|m| GpuMilli::new(m).unwrap().to_string());
        assert_eq!(printed, ["0.001", "0.125", "0.5", "1"]);
        assert_eq!(GpuMilli::new(1_001), None);
    }

    #[test]
    fn a_cap_becomes_the_share_that_covers_it_rounded_up() {
        assert_eq!(MemoryMib(1).share_of(MemoryMib(81_920)).get(), 1);
        assert_eq!(MemoryMib(40_960).share_of(MemoryMib(81_920)).get(), 500);
        assert_eq!(MemoryMib(40_961).share_of(MemoryMib(81_920)).get(), 501);
        assert_eq!(GpuMilli::new(333).unwrap().of(MemoryMib(1_000)), MemoryMib(333));
    }

    #[test]
    fn spans_print_their_two_largest_units() {
        let printed = [850, 12_000, 200_000, 7_500_000, 349_200_000].map(|ms| Millis(ms).to_string());
        assert_eq!(printed, ["850 ms", "12 s", "3 min 20 s", "2 h 5 min", "4 d 1 h"]);
    }
}
