//! Caret reports: the faults of files, each shown in the line where it is.

use std::collections::HashMap;
use std::io::IsTerminal;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report, Severity,
};
use sixpack::wire;

use crate::printing::{clean, clean_source};

/// Columns of a report when nobody says how wide the terminal is.
const WIDTH: usize = 110;

/// Sources by the names under which they were sent.
pub(crate) struct Sources {
    /// Cleaned, with every character in its place.
    texts: HashMap<String, String>,
    colours: bool,
}

/// Something to be said about a place in a file.
struct Remark<'a> {
    file: Option<&'a str>,
    line: Option<u32>,
    column: Option<u32>,
    length: Option<u32>,
    code: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
    pointer: Option<&'a str>,
    severity: Severity,
}

impl Sources {
    /// The files that were sent; their reports go to the standard error output.
    pub(crate) fn new(files: &[wire::ScenarioFile]) -> Self {
        let texts = files.iter().map(|file| (file.path.clone(), clean_source(&file.text))).collect();
        let colours = std::io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { texts, colours }
    }

    /// The report of one fault.
    pub(crate) fn fault(&self, fault: &wire::Fault) -> String {
        self.draw(&Remark {
            file: fault.file.as_deref(),
            line: fault.line,
            column: fault.column,
            length: fault.length,
            code: &fault.code,
            message: &fault.message,
            hint: fault.hint.as_deref(),
            pointer: fault.pointer.as_deref(),
            severity: Severity::Error,
        })
    }

    /// The report of one warning about a file.
    pub(crate) fn warning(&self, warning: &wire::Warning) -> String {
        self.draw(&Remark {
            file: warning.file.as_deref(),
            line: warning.line,
            column: warning.column,
            length: warning.length,
            code: &warning.code,
            message: &warning.message,
            hint: warning.hint.as_deref(),
            pointer: warning.pointer.as_deref(),
            severity: Severity::Warning,
        })
    }

    fn draw(&self, remark: &Remark<'_>) -> String {
        let mut diagnostic = MietteDiagnostic::new(clean(remark.message))
            .with_code(clean(remark.code))
            .with_severity(remark.severity);
        if let Some(hint) = remark.hint {
            diagnostic = diagnostic.with_help(clean(hint));
        }
        let source = remark.file.and_then(|name| self.texts.get_key_value(name));
        let report = match (source, remark.line) {
            (Some((name, text)), Some(line)) => {
                let (start, length) =
                    place(text, line, remark.column.unwrap_or(1), remark.length.unwrap_or(1));
                let label = clean(remark.pointer.unwrap_or_default());
                let label = (!label.is_empty()).then_some(label);
                let diagnostic = diagnostic.with_label(LabeledSpan::new(label, start, length));
                Report::new(diagnostic).with_source_code(NamedSource::new(clean(name), text.clone()))
            }
            _ => {
                let place =
                    [remark.file, remark.pointer].into_iter().flatten().map(clean).collect::<Vec<_>>();
                diagnostic.message = match place.is_empty() {
                    true => diagnostic.message,
                    false => format!("{}: {}", place.join(" "), diagnostic.message),
                };
                Report::new(diagnostic)
            }
        };
        let theme = if self.colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(WIDTH).with_links(false);
        let mut drawn = String::new();
        match handler.render_report(&mut drawn, report.as_ref()) {
            Ok(()) => drawn,
            // A report without its picture is better than none.
            Err(_) => format!("{}: {}", clean(remark.code), clean(remark.message)),
        }
    }
}

/// Start and length in bytes of a place told in lines and characters, both counted from 1. What lies outside of the text
/// is moved to its nearest end.
fn place(text: &str, line: u32, column: u32, length: u32) -> (usize, usize) {
    let mut start = 0;
    for _ in 1..line {
        match text[start..].find('\n') {
            Some(end) => start += end + 1,
            None => break,
        }
    }
    let rest = text[start..].split('\n').next().unwrap_or_default();
    let offset = |characters: u32| {
        let found = rest.char_indices().nth(characters as usize);
        found.map_or(rest.len(), |(offset, _)| offset)
    };
    let from = offset(column.saturating_sub(1));
    let to = offset(column.saturating_sub(1).saturating_add(length.max(1)));
    (start + from, to - from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a: 1\nkůň: \"${{ steps.x }}\"\nlast";

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        let shown = |line, column, length| {
            let (start, length) = place(TEXT, line, column, length);
            &TEXT[start..start + length]
        };
        assert_eq!(shown(1, 1, 1), "a");
        assert_eq!(shown(2, 1, 3), "kůň");
        assert_eq!(shown(2, 6, 17), "\"${{ steps.x }}\"");
        assert_eq!(shown(2, 19, 99), "}}\"");
        assert_eq!(shown(3, 1, 4), "last");
        assert_eq!(shown(99, 1, 1), "l");
        assert_eq!(shown(1, 99, 1), "");
    }

    #[test]
    fn a_fault_is_shown_in_its_line_and_nothing_steers_the_terminal() {
        let file =
            wire::ScenarioFile::new("shop.yaml", "scenario: a/b\nsteps:\n  pay: { uses: x/\u{1b}[31my }\n");
        let sources = Sources { colours: false, ..Sources::new(&[file]) };
        let fault: wire::Fault = serde_json::from_value(serde_json::json!({
            "file":"shop.yaml","line":3,"column":16,"length":8,"pointer":"/steps/pay/uses","code":"unknown_contract",
            "message":"no contract `x/\u{1b}[31my`","hint":"did you mean `x/z`?"
        }))
        .unwrap();
        let drawn = sources.fault(&fault);
        assert!(!drawn.contains('\u{1b}'), "{drawn}");
        for part in [
            "unknown_contract",
            "no contract `x/\\x1b[31my`",
            "shop.yaml:3:16",
            "/steps/pay/uses",
            "did you mean `x/z`?",
        ] {
            assert!(drawn.contains(part), "{part} in\n{drawn}");
        }
    }
}
