//! Named crash points for recovery tests.
//!
//! With the feature `enabled`, the environment variable `FASTGPU_CRASH_AT=name:n` aborts the process at
//! the n-th passing of the point `name` (`name` alone means the first). Without the feature, [`hit`] is
//! nothing at all, and the environment is never read.
#![forbid(unsafe_code)]

/// Passes a named point; in a recovery test, the process may end right here, as by `kill -9`.
#[inline(always)]
pub fn hit(name: &'static str) {
    #[cfg(feature = "enabled")]
    enabled::hit(name);
    #[cfg(not(feature = "enabled"))]
    let _ = name;
}

/// Reads the order to crash now, for a process that is about to clear its environment.
pub fn arm() {
    #[cfg(feature = "enabled")]
    enabled::arm();
}

/// The environment variable to hand on to our own child processes, if this build crashes on order.
#[must_use]
pub fn inherited() -> Option<(&'static str, String)> {
    #[cfg(feature = "enabled")]
    return std::env::var(enabled::VARIABLE).ok().map(|value| (enabled::VARIABLE, value));
    #[cfg(not(feature = "enabled"))]
    None
}

#[cfg(feature = "enabled")]
mod enabled {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    pub(crate) const VARIABLE: &str = "FASTGPU_CRASH_AT";

    struct Target {
        name: String,
        remaining: AtomicU32,
    }

    static TARGET: OnceLock<Option<Target>> = OnceLock::new();

    pub(crate) fn arm() {
        TARGET.get_or_init(|| {
            let text = std::env::var(VARIABLE).ok()?;
            let (name, count) = text.rsplit_once(':').unwrap_or((&text, "1"));
            let remaining = AtomicU32::new(count.parse().unwrap_or(1));
            Some(Target { name: name.to_owned(), remaining })
        });
    }

    pub(crate) fn hit(name: &'static str) {
        arm();
        let Some(Some(target)) = TARGET.get() else { return };
        if target.name == name && target.remaining.fetch_sub(1, Ordering::SeqCst) == 1 {
            // As `kill -9`: no destructor, no flush, no core file.
            std::process::abort();
        }
    }
}
