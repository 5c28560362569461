//! Wall time, as it stands in records, logs and reports.
//!
//! Limits of running programs are kept elsewhere, on clocks that do not step.

use std::time::{SystemTime, UNIX_EPOCH};

use fastgpu_core::units::Timestamp;

/// Wall time.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
