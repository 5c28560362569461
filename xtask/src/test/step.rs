//! One step of the run: a command or a check, its time and its tally.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::tally::Tally;

enum Work {
    /// One check: it passes or fails as a whole.
    Command(Command),
    /// Prints the results of its tests, which are counted.
    Tests(Command),
    Check(fn() -> anyhow::Result<Tally>),
    NotRun(String),
    /// Cannot run although it must.
    Failed(String),
}

pub(super) struct Step {
    pub(super) name: &'static str,
    work: Work,
}

/// What became of a step.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) tally: Tally,
    pub(super) not_run: Option<String>,
    took: Duration,
}

impl Outcome {
    pub(super) fn line(&self) -> String {
        match &self.not_run {
            Some(reason) => format!("not run: {reason}"),
            None => {
                let Tally { passed, failed, .. } = self.tally;
                format!("{passed:>5} passed, {failed} failed  {:>6.1} s", self.took.as_secs_f64())
            }
        }
    }
}

impl Step {
    pub(super) fn command(name: &'static str, command: Command) -> Self {
        Self { name, work: Work::Command(command) }
    }

    pub(super) fn tests(name: &'static str, command: Command) -> Self {
        Self { name, work: Work::Tests(command) }
    }

    pub(super) fn check(name: &'static str, check: fn() -> anyhow::Result<Tally>) -> Self {
        Self { name, work: Work::Check(check) }
    }

    pub(super) fn not_run(name: &'static str, reason: String) -> Self {
        Self { name, work: Work::NotRun(reason) }
    }

    pub(super) fn failed(name: &'static str, reason: String) -> Self {
        Self { name, work: Work::Failed(reason) }
    }

    /// Never fails itself: what goes wrong is a failure of the step.
    pub(super) fn run(self) -> Outcome {
        let began = Instant::now();
        let (result, not_run) = match self.work {
            Work::Command(command) => (run_command(command), None),
            Work::Tests(command) => (run_tests(command), None),
            Work::Check(check) => (check(), None),
            Work::NotRun(reason) => (Ok(Tally::default()), Some(reason)),
            Work::Failed(reason) => (Err(anyhow::Error::msg(reason)), None),
        };
        let mut tally = result.unwrap_or_else(|error| Tally {
            failed: 1,
            failures: vec![format!("{error:#}")],
            ..Tally::default()
        });
        if tally.failed > 0 && tally.failures.is_empty() {
            tally.failures.push("see above".to_owned());
        }
        Outcome { tally, not_run, took: began.elapsed() }
    }
}

fn run_command(mut command: Command) -> anyhow::Result<Tally> {
    println!("{}", shown(&command));
    let passed = command.status()?.success();
    Ok(Tally::of_counts((usize::from(passed), usize::from(!passed))))
}

/// Shows what the runner prints while counting it; one that ends badly has failed even if no test says so.
fn run_tests(mut command: Command) -> anyhow::Result<Tally> {
    println!("{}", shown(&command));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut tally = Tally::default();
    let from_stderr = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            stderr.map_or_else(Tally::default, |pipe| show_and_count(pipe, |text| eprint!("{text}")))
        });
        tally = stdout.map_or_else(Tally::default, |pipe| show_and_count(pipe, |text| print!("{text}")));
        reader.join().unwrap_or_default()
    });
    tally.add(&from_stderr);
    tally.failures.extend(from_stderr.failures);
    if !child.wait()?.success() && tally.failed == 0 {
        tally.failed = 1;
        tally.failures.push(
            "it ended badly outside its tests: it did not build, or a test took the program down".into(),
        );
    }
    Ok(tally)
}

/// Tests may print bytes that are no text; those must not end the run.
fn show_and_count(pipe: impl Read, show: fn(&str)) -> Tally {
    let mut tally = Tally::default();
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line);
        show(&text);
        tally.read_line(text.trim_end());
        line.clear();
    }
    tally
}

fn shown(command: &Command) -> String {
    let words = command.get_args().map(|word| word.to_string_lossy());
    let program =
        std::path::Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    format!("$ {program} {}", words.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_runner_that_dies_without_a_word_has_failed() {
        let outcome = Step::tests("x", shell("exit 101")).run();
        assert_eq!((outcome.tally.passed, outcome.tally.failed), (0, 1));
    }

    #[test]
    fn failures_that_were_counted_are_not_counted_again() {
        let script =
            "echo 'test a ... FAILED'; echo 'test result: FAILED. 3 passed; 1 failed; 0 ignored'; exit 101";
        let outcome = Step::tests("x", shell(script)).run();
        assert_eq!((outcome.tally.passed, outcome.tally.failed), (3, 1));
        assert_eq!(outcome.tally.failures, ["a"]);
    }

    #[test]
    fn a_program_that_is_not_there_is_a_named_failure() {
        let outcome = Step::command("x", Command::new("no-such-program-here")).run();
        assert_eq!(outcome.tally.failed, 1);
        assert_eq!(outcome.tally.failures.len(), 1);
    }

    #[test]
    fn what_does_not_run_is_neither_passed_nor_failed() {
        let outcome = Step::not_run("x", "it is raining".into()).run();
        assert_eq!((outcome.tally.passed, outcome.tally.failed), (0, 0));
        assert_eq!(outcome.line(), "not run: it is raining");
    }

    #[test]
    fn bytes_that_are_no_text_do_not_end_the_count() {
        let bytes = b"\xff\xfe\ntest result: ok. 2 passed; 0 failed; 0 ignored\n";
        assert_eq!(show_and_count(&bytes[..], |_| {}).passed, 2);
    }
}
