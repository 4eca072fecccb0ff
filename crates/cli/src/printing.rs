//! Printing: the only way to a terminal, and what is made of foreign text on it.
//!
//! Suppliers, testers and scenario files put text into answers. Nothing of it may steer a terminal (colours, titles,
//! the clipboard), pretend to be a line of ours, or turn the direction of writing. So every line is cleaned here, whoever
//! wrote it, and there is no other way out.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, TableStyle};
use serde::Serialize;

use crate::exit::Exit;
use crate::fault::Fault;

/// The standard output.
#[derive(Debug)]
pub(crate) struct Output {
    stdout: io::Stdout,
}

impl Output {
    /// The output of this process.
    pub(crate) fn new() -> Self {
        Self { stdout: io::stdout() }
    }

    /// Prints one line.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> Result<(), Fault> {
        self.write(&clean(text.as_ref()))
    }

    /// Prints text of several lines.
    pub(crate) fn block(&mut self, text: impl AsRef<str>) -> Result<(), Fault> {
        text.as_ref().lines().try_for_each(|line| self.line(line))
    }

    /// Prints a text of our own as it is, tabs included.
    pub(crate) fn script(&mut self, text: &str) -> Result<(), Fault> {
        self.write(text.trim_end_matches('\n'))
    }

    /// Prints one JSON value in one piece.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Fault> {
        if !self.stdout.is_terminal() {
            return self.json_line(value);
        }
        let text = serde_json::to_string_pretty(value);
        let text =
            text.map_err(|error| Fault::new(Exit::Internal, format!("the answer is no JSON: {error}")))?;
        self.write(&clean_json(&text))
    }

    /// Prints one JSON value in one line.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> Result<(), Fault> {
        let text = serde_json::to_string(value);
        let text =
            text.map_err(|error| Fault::new(Exit::Internal, format!("the answer is no JSON: {error}")))?;
        self.write(&clean_json(&text))
    }

    /// Prints rows under a header; the columns are as wide as their longest cell.
    pub(crate) fn table<const N: usize>(
        &mut self,
        header: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Result<(), Fault> {
        self.table_with(header, rows.into_iter().map(|row| (row, Vec::new())))
    }

    /// The same, with what is told of a row besides in lines of its own below it.
    pub(crate) fn table_with<const N: usize>(
        &mut self,
        header: [&str; N],
        rows: impl IntoIterator<Item = ([String; N], Vec<String>)>,
    ) -> Result<(), Fault> {
        let mut table = Table::new();
        table.load_style(TableStyle::new());
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(header);
        let mut besides = vec![Vec::new()];
        for (row, below) in rows {
            table.add_row(row.map(|cell| clean(&cell)));
            besides.push(below);
        }
        for column in 0..N {
            if let Some(column) = table.column_mut(column) {
                column.set_padding((0, 2));
            }
        }
        // Cleaned cell by cell, so that a line break in a cell cannot begin a row: each row is one line.
        for (line, below) in table.trim_fmt().lines().zip(besides) {
            self.write(line)?;
            below.iter().try_for_each(|line| self.line(format!("  {line}")))?;
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<(), Fault> {
        let mut stdout = self.stdout.lock();
        writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(|error| Fault::output(&error))
    }
}

/// Prints one line for people beside the output; what cannot be told to them cannot be told at all.
pub(crate) fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", clean(text.as_ref()));
}

/// Prints a report for people beside the output, with our own colours in it; its foreign parts were cleaned before.
pub(crate) fn note_report(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end_matches('\n'));
}

/// Tells people why a command was not carried out.
pub(crate) fn tell(fault: &Fault) {
    let mut lines = fault.what.lines();
    if let Some(first) = lines.next() {
        note(format!("sixpack: {first}"));
        lines.for_each(note);
    }
    if let Some(next) = &fault.next {
        note(format!("  next: {next}"));
    }
}

/// One line of text in which nothing can steer a terminal: control characters are shown as `\x1b`, invisible ones and
/// those that turn the direction of writing as `\u{202e}`.
pub(crate) fn clean(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => shown.push(' '),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            _ if !misleads(character) => shown.push(character),
            _ if character.is_ascii() => shown.push_str(&format!("\\x{:02x}", u32::from(character))),
            _ => shown.push_str(&format!("\\u{{{:x}}}", u32::from(character))),
        }
    }
    shown
}

/// Source text in which nothing can steer a terminal, and in which every character stands where it stood.
pub(crate) fn clean_source(text: &str) -> String {
    let kept = |character: char| matches!(character, '\n' | '\t') || !misleads(character);
    text.chars()
        .map(|character| if kept(character) { character } else { char::REPLACEMENT_CHARACTER })
        .collect()
}

/// JSON text with the same meaning in which nothing can steer a terminal. Such characters stand in strings only.
pub(crate) fn clean_json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\n' || !misleads(character) {
            shown.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            shown.push_str(&format!("\\u{unit:04x}"));
        }
    }
    shown
}

/// Whether a character steers a terminal, hides, or turns the direction of writing.
fn misleads(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}' | '\u{200C}' | '\u{200E}' | '\u{200F}'
            | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF9}'..='\u{FFFB}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown_and_not_obeyed() {
        for (text, shown) in [
            ("\u{1b}[31mred\u{1b}[0m", "\\x1b[31mred\\x1b[0m"),
            ("\u{1b}]52;c;ZXZpbA==\u{7}", "\\x1b]52;c;ZXZpbA==\\x07"),
            ("\u{1b}]0;title\u{1b}\\", "\\x1b]0;title\\x1b\\"),
            ("\u{1b}]8;;http://x\u{7}link\u{1b}]8;;\u{7}", "\\x1b]8;;http://x\\x07link\\x1b]8;;\\x07"),
            ("safe\rsixpack: all is well", "safe\\rsixpack: all is well"),
            ("one\ntwo", "one\\ntwo"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("user\u{202e}gpj.exe", "user\\u{202e}gpj.exe"),
            ("a\u{2066}b\u{2069}", "a\\u{2066}b\\u{2069}"),
            ("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"),
            ("back\u{8}space\u{7f}", "back\\x08space\\x7f"),
            ("Příliš žluťoučký 👩\u{200d}🚀 › ok", "Příliš žluťoučký 👩\u{200d}🚀 › ok"),
        ] {
            assert_eq!(clean(text), shown);
        }
    }

    #[test]
    fn a_cleaned_source_keeps_every_character_in_its_place() {
        assert_eq!(clean_source("a\u{1b}b\u{202e}\n\tc"), "a\u{fffd}b\u{fffd}\n\tc");
    }

    #[test]
    fn cleaned_json_means_the_same() {
        let value = serde_json::json!({"a\u{202e}": "\u{9b}\u{e0041}\u{1b}x\n"});
        let text = clean_json(&value.to_string());
        assert!(text.chars().all(|character| character.is_ascii() && !character.is_control()), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
