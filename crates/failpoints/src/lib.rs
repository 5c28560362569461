//! Named crash points for recovery tests.
//!
//! With the feature `enabled`, the environment variable `FASTGPU_CRASH_AT=name:n` aborts the process at
//! the n-th passing of the point `name` (`name` alone means the first). A guardian is a copy of its keeper,
//! and would count from the start: with `name:n@file`, passings are counted in that file by all processes
//! together, so exactly one of them ends, once, and the file tells which.
//!
//! `FASTGPU_FAULT` names one wrong way to behave, for tests that must be shown to catch it.
//!
//! Without the feature, [`hit`] and [`fault`] are nothing at all, and the environment is never read.
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

/// Whether this process was told to behave in the wrong way `name`.
#[must_use]
#[inline(always)]
pub fn fault(name: &'static str) -> bool {
    #[cfg(feature = "enabled")]
    return enabled::fault(name);
    #[cfg(not(feature = "enabled"))]
    {
        let _ = name;
        false
    }
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
    use std::io::{Seek, Write};
    use std::path::PathBuf;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    pub(crate) const VARIABLE: &str = "FASTGPU_CRASH_AT";
    const FAULT: &str = "FASTGPU_FAULT";
    /// A line in the file of passings: the pid of who passed.
    const LINE_BYTES: u64 = 11;

    struct Target {
        name: String,
        count: u32,
        passed: AtomicU32,
        /// Counted here instead, if there is a file.
        file: Option<PathBuf>,
    }

    static TARGET: OnceLock<Option<Target>> = OnceLock::new();
    static WRONG_WAY: OnceLock<Option<String>> = OnceLock::new();

    pub(crate) fn arm() {
        TARGET.get_or_init(|| std::env::var(VARIABLE).ok().map(|text| parse(&text)));
    }

    fn parse(text: &str) -> Target {
        let (point, file) = match text.split_once('@') {
            Some((point, file)) => (point, Some(PathBuf::from(file))),
            None => (text, None),
        };
        let (name, count) = point.rsplit_once(':').unwrap_or((point, "1"));
        let count = count.parse().unwrap_or(1);
        Target { name: name.to_owned(), count, passed: AtomicU32::new(0), file }
    }

    pub(crate) fn hit(name: &'static str) {
        arm();
        let Some(Some(target)) = TARGET.get() else { return };
        if target.name == name && target.pass() == target.count {
            // As `kill -9`: no destructor, no flush, no core file.
            std::process::abort();
        }
    }

    pub(crate) fn fault(name: &'static str) -> bool {
        WRONG_WAY.get_or_init(|| std::env::var(FAULT).ok()).as_deref() == Some(name)
    }

    impl Target {
        /// The number of this passing, from 1; 0 if the file of passings cannot be written.
        fn pass(&self) -> u32 {
            let Some(file) = &self.file else { return self.passed.fetch_add(1, Ordering::SeqCst) + 1 };
            let line = format!("{:>10}\n", std::process::id());
            // The kernel appends whole lines one after the other, and says where ours ended.
            let end = std::fs::File::options().append(true).create(true).open(file).and_then(|mut file| {
                file.write_all(line.as_bytes())?;
                file.stream_position()
            });
            end.ok().and_then(|end| u32::try_from(end / LINE_BYTES).ok()).unwrap_or(0)
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_order_names_a_point_a_count_and_perhaps_a_file() {
            let plain = parse("store.commit");
            assert_eq!((plain.name.as_str(), plain.count, plain.file.as_ref()), ("store.commit", 1, None));
            let counted = parse("store.commit:3@/tmp/a:b");
            assert_eq!((counted.name.as_str(), counted.count), ("store.commit", 3));
            assert_eq!(counted.file.as_deref(), Some(std::path::Path::new("/tmp/a:b")));
        }

        #[test]
        fn passings_are_counted_over_processes_by_their_file() {
            let file = std::env::temp_dir().join(format!("fastgpu-passings-{}", std::process::id()));
            let order = format!("point:9@{}", file.display());
            assert_eq!([parse(&order).pass(), parse(&order).pass(), parse(&order).pass()], [1, 2, 3]);
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text.lines().all(|line| line.trim() == std::process::id().to_string()));
            std::fs::remove_file(file).unwrap();
        }
    }
}
