//! The count of what passed and failed, read from what the test programs print.

use std::fmt;
use std::ops::Add;
use std::sync::LazyLock;

use regex::Regex;

/// How many tests ended how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Tally {
    /// Adds the results in one line of output; other lines change nothing.
    pub(crate) fn read(&mut self, line: &str) {
        static RESULT: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored").expect("well-formed")
        });
        // The tests of the pages count in words of their own.
        static PAGES: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"^\s*Tests\s+(?:(\d+) failed)?(?: \| )?(?:(\d+) passed)?.*\(\d+\)$")
                .expect("well-formed")
        });
        // A trial says in its report what it had to leave out.
        static NOT_TRIED: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r#"^\{.*"not_tried":\[((?:"[^"]*",?)*)\]"#).expect("well-formed"));
        if let Some(found) = NOT_TRIED.captures(line) {
            self.ignored += found[1].matches('"').count() as u64 / 2;
        }
        if let Some(found) = PAGES.captures(line.trim_end()) {
            let number =
                |group: usize| found.get(group).map_or(0, |text| text.as_str().parse::<u64>().unwrap_or(0));
            *self = *self + Self { passed: number(2), failed: number(1), ignored: 0 };
        }
        if let Some(found) = RESULT.captures(line) {
            let number = |group: usize| found[group].parse::<u64>().unwrap_or(0);
            *self = *self + Self { passed: number(1), failed: number(2), ignored: number(3) };
        }
    }

    /// The final count of a stage that ended well or not.
    ///
    /// A stage without tests counts as one. A stage that failed though no test did, because something did not
    /// compile or was killed, counts one failure, so that the sum never claims more than is true.
    pub(crate) fn finished(self, success: bool) -> Self {
        match (success, self) {
            (true, Self { passed: 0, failed: 0, ignored: 0 }) => Self { passed: 1, ..self },
            (false, Self { failed: 0, .. }) => Self { failed: 1, ..self },
            _ => self,
        }
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.ignored > 0 { write!(f, ", {} ignored", self.ignored) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_programs_are_added() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 1 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "a test that prints: test result: ok. 9 passed; 0 failed; 0 ignored",
            "      Tests  32 passed (32)",
            "      Tests  1 failed | 30 passed | 1 skipped (32)",
            "      Tests  2 failed (2)",
        ] {
            tally.read(line);
        }
        assert_eq!(tally, Tally { passed: 66, failed: 5, ignored: 1 });
        assert_eq!(tally.to_string(), "66 passed, 5 failed, 1 ignored");
    }

    #[test]
    fn what_a_trial_had_to_leave_out_is_ignored() {
        let mut tally = Tally::default();
        for line in [
            r#"{"disk":null,"not_tried":["disk_full: no file system, here"],"seed":1}"#,
            r#"{"disk":"tmpfs","not_tried":[],"seed":1}"#,
            r#"it says "not_tried":["nothing"]"#,
        ] {
            tally.read(line);
        }
        assert_eq!(tally, Tally { passed: 0, failed: 0, ignored: 1 });
    }

    #[test]
    fn a_stage_without_tests_counts_as_one() {
        assert_eq!(Tally::default().finished(true).to_string(), "1 passed, 0 failed");
        assert_eq!(Tally::default().finished(false).to_string(), "0 passed, 1 failed");
    }

    #[test]
    fn a_failure_that_no_test_reported_is_counted_once() {
        let tally = Tally { passed: 5, failed: 0, ignored: 0 };
        assert_eq!(tally.finished(false), Tally { failed: 1, ..tally });
        let counted = Tally { passed: 5, failed: 2, ignored: 0 };
        assert_eq!(counted.finished(false), counted);
    }
}
