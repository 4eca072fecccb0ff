//! Faults: one thing that is wrong with what somebody sent, where it is, and what would be right.

use std::fmt;

/// One thing that is wrong with a document.
///
/// The text of whoever sent the document appears only cut and escaped, so that a fault may be shown and logged as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer into the document: empty for the whole of it.
    pub pointer: String,
    /// A stable name for programs, in snake case.
    pub code: &'static str,
    /// What is wrong and what is allowed, for people.
    pub message: String,
}

impl Fault {
    /// A fault at one place.
    pub fn new(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, message: message.into() }
    }

    /// Whether it is about one property of the document, or something inside of that.
    pub fn is_about(&self, property: &str) -> bool {
        let at = join("", property);
        self.pointer.strip_prefix(&at).is_some_and(|inside| inside.is_empty() || inside.starts_with('/'))
    }

    /// The same fault in a document that holds this one at `prefix`.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.as_str() {
            "" => write!(out, "{} ({})", self.message, self.code),
            pointer => write!(out, "{pointer}: {} ({})", self.message, self.code),
        }
    }
}

/// A JSON pointer with one more token.
pub fn join(pointer: &str, token: &str) -> String {
    let mut joined = String::with_capacity(pointer.len() + token.len() + 1);
    joined.push_str(pointer);
    push(&mut joined, token);
    joined
}

/// Appends one token to a JSON pointer.
pub fn push(pointer: &mut String, token: &str) {
    pointer.push('/');
    for character in token.chars() {
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
    fn a_token_with_slash_and_tilde_is_escaped() {
        assert_eq!(join("/a", "b/c~d"), "/a/b~1c~0d");
    }

    #[test]
    fn a_fault_is_about_the_property_that_it_is_in() {
        for (pointer, is_about) in
            [("/a~1b", true), ("/a~1b/0/c", true), ("/a~1bc", false), ("", false), ("/a", false)]
        {
            assert_eq!(Fault::new(pointer, "type", "is a string").is_about("a/b"), is_about, "{pointer}");
        }
    }

    #[test]
    fn a_fault_moves_with_the_document_that_holds_it() {
        let fault = Fault::new("/input", "type", "is a string").under("/capabilities/0");
        assert_eq!(fault.pointer, "/capabilities/0/input");
        assert_eq!(fault.to_string(), "/capabilities/0/input: is a string (type)");
    }
}
