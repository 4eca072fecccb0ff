//! Names: of contracts, of environments, of steps. ASCII only, so that two that look alike are alike.

use std::fmt;
use std::str::FromStr;

use crate::limits::{SEGMENT_LENGTH, STEP_NAME_LENGTH};
use crate::text::quoted;

/// Why a text is not the name that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{shown} is not {what}: {rule}")]
pub struct NameError {
    shown: String,
    what: &'static str,
    rule: &'static str,
}

impl NameError {
    fn new(text: &str, what: &'static str, rule: &'static str) -> Self {
        Self { shown: quoted(text), what, rule }
    }
}

/// The name of a contract: the domain of the team that owns it, and its own, written `billing/payment-account`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContractName {
    domain: String,
    name: String,
}

impl ContractName {
    /// Puts a name together; both parts must be [segments](segment).
    pub fn new(domain: &str, name: &str) -> Result<Self, NameError> {
        segment("a domain", domain)?;
        segment("the name of a contract", name)?;
        Ok(Self { domain: domain.to_owned(), name: name.to_owned() })
    }

    /// The namespace, owned by one team.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The name within the domain.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ContractName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.domain, self.name)
    }
}

impl FromStr for ContractName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('/') {
            Some((domain, name)) => Self::new(domain, name),
            None => Err(NameError::new(text, "the name of a contract", "it is written domain/name")),
        }
    }
}

/// The name of a target landscape: `staging`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvironmentName(String);

impl EnvironmentName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvironmentName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for EnvironmentName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        segment("the name of an environment", text)?;
        Ok(Self(text.to_owned()))
    }
}

const SEGMENT_RULE: &str =
    "1 to 63 characters of a-z, 0-9, '.', '_' and '-', the first a letter or digit, the last not '.'";

const DEVICE_RULE: &str = "con, prn, aux, nul, com1 to com9 and lpt1 to lpt9 are devices on Windows, also with an extension; \
                           choose another name";

const STEP_RULE: &str = "1 to 63 characters of a-z, 0-9 and '_', the first a letter";

/// Checks one part of a name: of a contract, an environment, an instance, a channel. `what` completes "is not …".
pub fn segment(what: &'static str, text: &str) -> Result<(), NameError> {
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let holds = text
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-'));
    // A dot at the end is dropped by some file systems and host names: two names would become one.
    if !(starts && holds && text.len() <= SEGMENT_LENGTH && !text.ends_with('.')) {
        return Err(NameError::new(text, what, SEGMENT_RULE));
    }
    if names_device(text) {
        return Err(NameError::new(text, what, DEVICE_RULE));
    }
    Ok(())
}

/// Whether Windows takes the text for a device: files and folders are called after contracts, and one of such a name
/// could not be written there, or would be sent to a printer.
fn names_device(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or_default();
    let numbered = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    matches!(stem, "con" | "prn" | "aux" | "nul")
        || numbered.is_some_and(|number| matches!(number.as_bytes(), [b'1'..=b'9']))
}

/// Checks the name of a step; it must be an identifier because expressions reach the step's output by it.
pub fn step_name(text: &str) -> Result<(), NameError> {
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let holds = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if starts && holds && text.len() <= STEP_NAME_LENGTH {
        Ok(())
    } else {
        Err(NameError::new(text, "the name of a step", STEP_RULE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_name_reads_as_it_is_written() {
        for text in ["billing/payment-account", "a/b", "0.x/1_y"] {
            assert_eq!(text.parse::<ContractName>().unwrap().to_string(), text);
        }
        let name: ContractName = "billing/payment-account".parse().unwrap();
        assert_eq!((name.domain(), name.name()), ("billing", "payment-account"));
    }

    #[test]
    fn what_is_not_a_segment_is_refused() {
        let long = "a".repeat(64);
        for text in [
            "",
            " ",
            "a ",
            " a",
            "a\t",
            "a\n",
            ".",
            "..",
            "CON",
            "Nul",
            "a/b",
            "a\\b",
            "%2e",
            "-a",
            "_a",
            "a.",
            "аdmin",
            "é",
            "a\u{FFFE}",
            "a\0",
            &long,
        ] {
            assert!(segment("a domain", text).is_err(), "{text:?}");
            assert!(ContractName::new("ok", text).is_err(), "{text:?}");
            assert!(ContractName::new(text, "ok").is_err(), "{text:?}");
            assert!(text.parse::<EnvironmentName>().is_err(), "{text:?}");
        }
        assert!(segment("a domain", &"a".repeat(63)).is_ok());
    }

    #[test]
    fn what_windows_takes_for_a_device_is_no_name_and_the_refusal_says_so() {
        for text in
            ["con", "prn", "aux", "nul", "com1", "com9", "lpt1", "lpt9", "nul.txt", "con.tar.gz", "com5."]
        {
            let error = segment("a domain", text).unwrap_err().to_string();
            assert!(error.contains("devices on Windows") || text.ends_with('.'), "{error}");
            assert!(ContractName::new("ok", text).is_err(), "{text}");
            assert!(ContractName::new(text, "ok").is_err(), "{text}");
            assert!(text.parse::<EnvironmentName>().is_err(), "{text}");
        }
        for text in ["null", "console", "aux-1", "com", "com0", "com10", "lpt", "my.nul", "con_1", "com1x"] {
            assert!(segment("a domain", text).is_ok(), "{text}");
        }
        assert!(step_name("nul").is_ok(), "a step is an identifier, and no file is called after it");
    }

    #[test]
    fn a_contract_name_has_exactly_two_parts() {
        for text in ["billing", "billing/", "/account", "a/b/c", "a//b", "/"] {
            assert!(text.parse::<ContractName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_step_name_is_an_identifier() {
        for text in ["payment", "a", "line_2"] {
            assert!(step_name(text).is_ok(), "{text:?}");
        }
        let long = "a".repeat(64);
        for text in ["", "2a", "_a", "A", "a-b", "a.b", "é", &long] {
            assert!(step_name(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_refusal_shows_the_text_harmlessly() {
        let error = "a\u{1b}[2J/b".parse::<ContractName>().unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error}");
        assert!(error.contains("is not a domain"), "{error}");
    }
}
