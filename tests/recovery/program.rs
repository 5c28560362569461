//! The program that tasks run: it writes down, for itself, when each attempt began and ended.
//!
//! It holds a lock on its file for as long as anything of the attempt lives. An attempt that finds it held
//! has met another one alive, and says so.

use std::collections::BTreeSet;
use std::path::Path;

/// Words: file of effects, seconds to sleep, exit code. Lines are appended by one write each, with the
/// attempt and the boot-time clock in nanoseconds (of the kernel's hundredths of a second).
const SCRIPT: &str = r#"exec 9>>"$1"
flock -n 9 || echo "overlap $FASTGPU_ATTEMPT 0" >&9
stamp() { read -r up rest </proc/uptime; echo "$1 $FASTGPU_ATTEMPT ${up%.*}${up#*.}0000000" >&9; }
stamp start
[ "$2" = 0 ] || sleep "$2"
stamp end
exit "$3""#;

/// The command of a task that leaves its effects in `file`.
pub(crate) fn command(file: &Path, run_ms: u64, exit_code: u8) -> Vec<String> {
    let seconds = match run_ms {
        0 => "0".to_owned(),
        ms => format!("{}.{:03}", ms / 1_000, ms % 1_000),
    };
    let words = ["sh", "-c", SCRIPT, "task", &file.display().to_string(), &seconds, &exit_code.to_string()];
    words.map(str::to_owned).to_vec()
}

/// What the attempts of one task wrote.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) started: Vec<u32>,
    pub(crate) ended: BTreeSet<u32>,
    /// Whether two attempts were ever alive at once.
    pub(crate) overlap: bool,
}

impl Effects {
    /// No file means that nothing ever ran.
    pub(crate) fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let mut effects = Self::default();
        for line in text.lines() {
            let mut words = line.split(' ');
            let (step, attempt) = (words.next(), words.next().and_then(|word| word.parse::<u32>().ok()));
            match (step, attempt) {
                (Some("start"), Some(attempt)) => effects.started.push(attempt),
                (Some("end"), Some(attempt)) => {
                    // An end after the start of a later attempt is an overlap, whatever the lock said.
                    effects.overlap |= effects.started.last() != Some(&attempt);
                    effects.overlap |= !effects.ended.insert(attempt);
                }
                _ => effects.overlap = true,
            }
        }
        // Attempts only rise, and none begins twice.
        effects.overlap |= !effects.started.is_sorted_by(|one, next| one < next);
        effects
    }
}
