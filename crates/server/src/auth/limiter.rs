//! Counts wrong tokens by address, so that guessing is slow and does not flood the log.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use fastgpu_core::units::{Millis, Timestamp};

/// Addresses remembered at once; when they are more, the memory is cleared: tokens cannot be guessed anyway.
const ADDRESSES_MAX: usize = 4_096;
const WINDOW: Millis = Millis::from_secs(60);

/// Wrong tokens of the last minute, by address.
#[derive(Debug)]
pub(crate) struct Failures {
    per_minute: u32,
    by_address: Mutex<HashMap<IpAddr, (Timestamp, u32)>>,
}

impl Failures {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { per_minute, by_address: Mutex::default() }
    }

    /// Counts a failure, and says whether there were too many.
    pub(crate) fn is_one_too_many(&self, address: IpAddr, now: Timestamp) -> bool {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if by_address.len() >= ADDRESSES_MAX && !by_address.contains_key(&address) {
            by_address.clear();
        }
        let (since, count) = by_address.entry(address).or_insert((now, 0));
        if now.since(*since) > WINDOW {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count > self.per_minute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_slowed_down_for_a_minute_and_the_memory_stays_small() {
        let failures = Failures::new(2);
        let address = IpAddr::from([127, 0, 0, 1]);
        let at = |ms| failures.is_one_too_many(address, Timestamp(ms));
        assert_eq!([at(0), at(1), at(2), at(70_000)], [false, false, true, false]);
        for n in 0..10_000u32 {
            failures.is_one_too_many(IpAddr::from(n.to_be_bytes()), Timestamp(0));
        }
        assert!(failures.by_address.lock().unwrap().len() <= ADDRESSES_MAX);
    }
}
