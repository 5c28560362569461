//! Moments on the wire: RFC 3339 in UTC with milliseconds, always wall time.
//!
//! A server counts on a clock that does not step when somebody sets the wall clock. What it tells of that clock is a
//! [`Time`], and becomes wall time when it is written, in [`on_the_wall`]; what is wall time already is a [`WallTime`].

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use fastgpu_core::units::Timestamp;

thread_local! {
    /// How far the wall clock is ahead of the clock that the [`Time`]s were read from, while somebody writes them.
    static AHEAD_MS: Cell<i64> = const { Cell::new(0) };
}

/// Puts [`AHEAD_MS`] back, also when writing panics.
struct Before(i64);

impl Drop for Before {
    fn drop(&mut self) {
        AHEAD_MS.set(self.0);
    }
}

/// Writes something with its [`Time`]s as the wall clock has them, which is `ahead_ms` ahead of the clock they were
/// read from. Only what is written within `write` is changed; the values stay.
pub fn on_the_wall<T>(ahead_ms: i64, write: impl FnOnce() -> T) -> T {
    let _before = Before(AHEAD_MS.replace(ahead_ms));
    write()
}

/// A moment as the API writes it: `2026-01-31T12:00:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub Timestamp);

/// A moment that the wall clock told, written as it is: when a token expires, when a line of a log came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub Timestamp);

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        WallTime(Timestamp(self.0.0.saturating_add(AHEAD_MS.get()))).fmt(f)
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = jiff::Timestamp::from_millisecond(self.0.0).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{at:.3}")
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(|WallTime(at)| Self(at))
    }
}

impl FromStr for WallTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at: jiff::Timestamp = text.parse().map_err(|_| {
            format!("`{}` is not a time; write for example `2026-01-31T12:00:00Z`", crate::units::shown(text))
        })?;
        Ok(Self(Timestamp(at.as_millisecond())))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        WallTime::deserialize(deserializer).map(|WallTime(at)| Self(at))
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_print_with_milliseconds_and_come_back() {
        let time = Time(Timestamp(1_769_860_800_120));
        assert_eq!(time.to_string(), "2026-01-31T12:00:00.120Z");
        assert_eq!(time.to_string().parse(), Ok(time));
        assert!("yesterday".parse::<Time>().is_err());
        assert!(!Time(Timestamp::NEVER).to_string().is_empty());
    }

    #[test]
    fn moments_of_a_clock_that_is_behind_are_written_as_the_wall_clock_has_them() {
        let at = Timestamp(1_769_860_800_120);
        let written = on_the_wall(3_600_000, || format!("{} {}", Time(at), WallTime(at)));
        assert_eq!(written, "2026-01-31T13:00:00.120Z 2026-01-31T12:00:00.120Z");
        assert_eq!(Time(at).to_string(), "2026-01-31T12:00:00.120Z", "only what is written within");
    }
}
