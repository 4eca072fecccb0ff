//! Diagnostics: what is wrong with a file, where exactly, and what to do about it.
//!
//! A diagnostic names identifiers, never the text of a line: a file may hold secrets, and the reader of a
//! diagnostic may not be the author of the file.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::limits::DIAGNOSTICS;

/// One fault of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The name under which the file was given.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
    /// How many characters are meant; at least 1.
    pub length: u32,
    /// A stable name for this kind of fault.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    pub(crate) fn new(file: &str, at: Position, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: at.line,
            column: at.column,
            length: at.length,
            code,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Top to bottom, each once, and not more than anybody can mend in one go.
pub(crate) fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|one, other| {
        (one.line, one.column, one.code, &one.message).cmp(&(
            other.line,
            other.column,
            other.code,
            &other.message,
        ))
    });
    diagnostics.dedup();
    diagnostics.truncate(DIAGNOSTICS);
}

/// `file:line:column: message [code]`, and the hint on a line of its own.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {} [{}]", self.file, self.line, self.column, self.message, self.code)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// A stretch of one line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
    /// The number of characters, at least 1.
    pub length: u32,
}

impl Default for Position {
    fn default() -> Self {
        Self { line: 1, column: 1, length: 1 }
    }
}

/// Where a text of a file stands, character by character.
///
/// The characters of a quoted or folded text do not stand where plain counting would put them, so the place
/// of each is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Place {
    pub(crate) position: Position,
    characters: Characters,
    first: usize,
}

/// Where the characters of a text stand.
#[derive(Clone, Debug, Default, PartialEq)]
enum Characters {
    /// Somewhere in the position of the whole.
    #[default]
    Unknown,
    /// One after another in one line: so many, from a line and a column on.
    Row(u32, u32, usize),
    /// Line and column of each. Shared as it was made: of a long text even one copy would be felt.
    Each(Arc<Vec<(u32, u32)>>),
}

impl Place {
    pub(crate) fn whole(position: Position) -> Self {
        Self { position, characters: Characters::Unknown, first: 0 }
    }

    /// The first of `count` characters that follow each other in one line stands at `column`.
    pub(crate) fn row(position: Position, column: u32, count: usize) -> Self {
        Self { position, characters: Characters::Row(position.line, column, count), first: 0 }
    }

    /// `characters` holds line and column of every character of the text.
    pub(crate) fn mapped(position: Position, characters: Vec<(u32, u32)>) -> Self {
        Self { position, characters: Characters::Each(Arc::new(characters)), first: 0 }
    }

    /// The place of `range` (bytes) of `text`, which stands here.
    pub(crate) fn part(&self, text: &str, range: Range<usize>) -> Self {
        let before = count(text, 0..range.start);
        Self {
            position: self.position_of(text, range),
            characters: self.characters.clone(),
            first: self.first + before,
        }
    }

    /// The position of `range` (bytes) of `text`, which stands here; of its first line if it has several.
    pub(crate) fn position_of(&self, text: &str, range: Range<usize>) -> Position {
        let from = self.first + count(text, 0..range.start);
        let to = from + count(text, range).max(1);
        match &self.characters {
            Characters::Unknown => self.position,
            Characters::Row(line, column, count) => row(*line, *column, *count, from, to),
            Characters::Each(characters) => among(characters, from, to).unwrap_or(self.position),
        }
    }
}

/// What stands from character to character in a row of `count`; behind its end the last of them is meant.
fn row(line: u32, column: u32, count: usize, from: usize, to: usize) -> Position {
    let at = from.min(count.saturating_sub(1));
    let length = to.min(count).saturating_sub(at).max(1);
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Position { line, column: column.saturating_add(narrow(at)), length: narrow(length) }
}

/// The same among characters that stand anywhere: what is meant of the first line.
fn among(characters: &[(u32, u32)], from: usize, to: usize) -> Option<Position> {
    let &(line, column) = characters.get(from).or(characters.last())?;
    let last = characters[from.min(characters.len())..to.min(characters.len())]
        .iter()
        .rev()
        .find(|(other, _)| *other == line)
        .map_or(column, |(_, column)| *column);
    Some(Position { line, column, length: last.saturating_sub(column) + 1 })
}

fn count(text: &str, range: Range<usize>) -> usize {
    text.get(range).map_or(0, |part| part.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_text_is_found_where_its_characters_stand() {
        let characters = vec![(1, 3), (1, 4), (1, 5), (2, 1), (2, 2)];
        let place = Place::mapped(Position { line: 1, column: 2, length: 9 }, characters);
        assert_eq!(place.position_of("aébcd", 1..3), Position { line: 1, column: 4, length: 1 });
        let rest = place.part("aébcd", 3..6);
        assert_eq!(rest.position, Position { line: 1, column: 5, length: 1 });
        assert_eq!(rest.position_of("bcd", 1..3), Position { line: 2, column: 1, length: 2 });
    }

    #[test]
    fn characters_in_a_row_stand_where_each_of_them_would() {
        let position = Position { line: 3, column: 6, length: 7 };
        let row = Place::row(position, 7, 5);
        let each = Place::mapped(position, (7..12).map(|column| (3, column)).collect());
        let text = "aébcd";
        for (from, to) in [(0, 1), (0, 6), (1, 3), (3, 4), (5, 6), (6, 6), (1, 1), (4, 6)] {
            assert_eq!(row.position_of(text, from..to), each.position_of(text, from..to), "{from}..{to}");
            let (row, each) = (row.part(text, from..to), each.part(text, from..to));
            assert_eq!(row.position_of("bc", 0..2), each.position_of("bc", 0..2), "the part {from}..{to}");
            assert_eq!(row.position_of("bc", 1..1), each.position_of("bc", 1..1), "the part {from}..{to}");
        }
    }

    #[test]
    fn a_place_without_characters_stands_for_the_whole() {
        let place = Place::whole(Position { line: 4, column: 2, length: 7 });
        assert_eq!(place.position_of("whatever", 2..4), Position { line: 4, column: 2, length: 7 });
    }
}
