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

#[test]
fn two_live_attempts_are_seen_in_what_they_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let overlaps = |text: &str| {
        let file = folder.path().join("effects");
        std::fs::write(&file, text).unwrap();
        Effects::read(&file).overlap
    };
    assert!(!overlaps("start 1 10\nend 1 20\n"));
    assert!(!overlaps("start 1 10\nstart 2 30\nend 2 40\n"), "the first was lost");
    assert!(
        overlaps("start 1 10\nstart 2 30\nend 1 35\nend 2 40\n"),
        "the first ended after the second began"
    );
    assert!(overlaps("start 1 10\noverlap 2 0\nstart 2 30\n"), "the first still held the lock");
    assert!(overlaps("start 1 10\nstart 1 30\n"), "an attempt begins once");
}

/// The lock is worth something only if it really shows a second one.
#[test]
fn an_attempt_that_meets_another_one_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("effects");
    let attempt = |number: &str, run_ms| {
        let words = command(&file, run_ms, 0);
        let mut program = std::process::Command::new(&words[0]);
        program.args(&words[1..]).env("FASTGPU_ATTEMPT", number).spawn().unwrap()
    };
    let mut first = attempt("1", 10_000);
    crate::world::wait_for("the first", || Effects::read(&file).started == [1]);
    attempt("2", 0).wait().unwrap();
    assert!(Effects::read(&file).overlap);
    first.kill().unwrap();
    first.wait().unwrap();
}
