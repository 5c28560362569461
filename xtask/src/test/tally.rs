//! How many tests passed and failed, read from what the runners print.

/// Sums of one step, or of all.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) ignored: usize,
    /// Names of tests that failed, to be repeated at the end.
    pub(super) failures: Vec<String>,
}

impl Tally {
    pub(super) fn of_counts((passed, failed): (usize, usize)) -> Self {
        Self { passed, failed, ..Self::default() }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }

    /// Takes note of one line that a runner printed: libtest's or unittest's.
    pub(super) fn read_line(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += count_before(counts, " passed");
            self.failed += count_before(counts, " failed");
            self.ignored += count_before(counts, " ignored");
        } else if let Some(rest) = line.strip_prefix("test ") {
            if let Some((name, _)) = rest.split_once(" ... ").filter(|(_, word)| word.starts_with("FAILED")) {
                self.failures.push(name.to_owned());
            }
        } else if let Some(counts) = line.strip_prefix("Ran ") {
            self.passed += counts.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
        } else if line == "OK" || line.starts_with("OK (") || line.starts_with("FAILED (") {
            self.read_unittest_verdict(line);
        } else if line.starts_with("FAIL: ") || line.starts_with("ERROR: ") {
            self.failures.push(line.to_owned());
        }
    }

    /// `Ran N` counts them all; the verdict says how many of those did not pass.
    fn read_unittest_verdict(&mut self, line: &str) {
        let failed = count_after(line, "failures=") + count_after(line, "errors=");
        let ignored = count_after(line, "skipped=");
        self.failed += failed;
        self.ignored += ignored;
        self.passed = self.passed.saturating_sub(failed + ignored);
    }
}

fn count_before(text: &str, unit: &str) -> usize {
    let before = text.find(unit).map(|at| &text[..at]);
    before.and_then(|before| before.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

fn count_after(text: &str, name: &str) -> usize {
    let after = text.split(name).nth(1).unwrap_or("");
    after.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Tally;

    fn read(text: &str) -> Tally {
        let mut tally = Tally::default();
        text.lines().for_each(|line| tally.read_line(line));
        tally
    }

    #[test]
    fn the_sums_of_several_test_programs_are_added() {
        let text = "test a::b ... ok\ntest a::c ... FAILED\n\
            test result: FAILED. 7 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
            test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\n";
        assert_eq!(read(text), Tally { passed: 12, failed: 1, ignored: 2, failures: vec!["a::c".into()] });
    }

    #[test]
    fn unittest_counts_its_failures_among_those_it_ran() {
        let text = "FAIL: test_a (x.Y)\nRan 6 tests in 0.1s\n\nFAILED (failures=1, errors=2, skipped=1)\n";
        let tally = read(text);
        assert_eq!((tally.passed, tally.failed, tally.ignored), (2, 3, 1));
        assert_eq!(read("Ran 3 tests in 0.1s\n\nOK\n").passed, 3);
    }

    #[test]
    fn what_a_test_prints_is_not_counted() {
        assert_eq!(read("warning: test result\nOKAY\nthe test passed\n"), Tally::default());
    }
}
