//! Wall time made monotone: it follows the wall clock forward, and goes on at its own pace when the wall
//! clock steps back.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fastgpu_core::units::Timestamp;

/// The control plane's clock.
#[derive(Debug)]
pub struct Clock {
    last: Mutex<(Instant, Timestamp)>,
}

impl Clock {
    /// A clock that never shows a time before `not_before`.
    #[must_use]
    pub fn starting_at(not_before: Timestamp) -> Self {
        Self { last: Mutex::new((Instant::now(), wall().max(not_before))) }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let elapsed = last.0.elapsed();
        // The remainder below a millisecond is not dropped: the instant moves by whole milliseconds only.
        let whole_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let steady = last.1.plus(fastgpu_core::units::Millis(whole_ms));
        last.0 += Duration::from_millis(whole_ms);
        last.1 = steady.max(wall());
        last.1
    }
}

fn wall() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back_even_if_the_past_was_in_the_future() {
        let tomorrow = wall().plus(fastgpu_core::units::Millis::from_secs(86_400));
        let clock = Clock::starting_at(tomorrow);
        let first = clock.now();
        assert!(first >= tomorrow);
        assert!(clock.now() >= first);
    }
}
