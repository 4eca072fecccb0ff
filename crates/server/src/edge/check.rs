//! Checks of what is well-formed but may be wrong: ranges and lengths, all faults at once.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::json::LongTexts;
use super::problem::{FAULTS_MAX, Problem, ProblemFault};

/// Largest body of a route that does not say otherwise; most requests are below 4 KiB.
pub const BODY_MAX_BYTES: usize = 1024 * 1024;

/// A request body: how large it may be, and what its fields must hold beyond their types.
pub trait Check {
    /// Largest body of this kind; a larger one is refused with 413 before it is read.
    const BODY_MAX_BYTES: usize = BODY_MAX_BYTES;

    /// What becomes of a text that is longer than any field takes.
    const LONG_TEXTS: LongTexts = LongTexts::Refused;

    /// Notes every fault; a body without faults reaches the handler.
    fn check(&self, faults: &mut Faults);
}

/// The faults found so far and the place the check is at.
#[derive(Debug, Default)]
pub struct Faults {
    place: String,
    found: Vec<ProblemFault>,
}

impl Faults {
    /// Checks a part under its name or index: pointers of faults found inside begin with it.
    pub fn within(&mut self, segment: impl Display, check: impl FnOnce(&mut Self)) {
        let before = self.place.len();
        push_segment(&mut self.place, &segment.to_string());
        check(self);
        self.place.truncate(before);
    }

    /// Notes a fault in the field `name` of the part that is being checked.
    pub fn add(&mut self, name: impl Display, code: &'static str, message: impl Into<String>) {
        if self.found.len() < FAULTS_MAX {
            let mut pointer = self.place.clone();
            push_segment(&mut pointer, &name.to_string());
            self.found.push(ProblemFault::new(pointer, code, message));
        }
    }

    /// 422 `range` unless the value is within the bounds, both of which the message names.
    pub fn range<T: PartialOrd + Display>(
        &mut self,
        name: impl Display,
        value: &T,
        bounds: RangeInclusive<T>,
    ) {
        if !bounds.contains(value) {
            let message = format!("must be from {} to {}", bounds.start(), bounds.end());
            self.add(name, "range", message);
        }
    }

    /// 422 `too_long` when a text has more bytes than it may.
    pub fn too_long(&mut self, name: impl Display, text: &str, max_bytes: usize) {
        if text.len() > max_bytes {
            let message = format!("has {} bytes, {max_bytes} are allowed", text.len());
            self.add(name, "too_long", message);
        }
    }

    /// 422 `too_many` when a list or map has more entries than it may.
    pub fn too_many(&mut self, name: impl Display, count: usize, max: usize) {
        if count > max {
            self.add(name, "too_many", format!("has {count} entries, {max} are allowed"));
        }
    }

    /// The problem that lists all faults, if there are any.
    ///
    /// # Errors
    /// 422 with the code of the first fault.
    pub fn into_result(self) -> Result<(), Problem> {
        if self.found.is_empty() { Ok(()) } else { Err(Problem::unprocessable(self.found)) }
    }
}

/// Adds a segment to a JSON Pointer (RFC 6901 §3).
pub(super) fn push_segment(pointer: &mut String, segment: &str) {
    pointer.push('/');
    for character in segment.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_listed_with_their_places() {
        let mut faults = Faults::default();
        faults.range("count", &0, 1..=100);
        faults.within("lease", |faults| faults.range("ttl_s", &90_000, 1..=86_400));
        faults.within("labels", |faults| faults.too_long("a/b~", "long", 3));
        let problem = faults.into_result().unwrap_err();
        let pointers: Vec<_> = problem.errors().iter().map(|item| item.pointer.as_str()).collect();
        assert_eq!(pointers, ["/count", "/lease/ttl_s", "/labels/a~1b~0"]);
        assert_eq!(problem.errors()[0].message, "must be from 1 to 100");
        assert_eq!(problem.code(), "range");
    }
}
