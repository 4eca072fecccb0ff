//! Alignment: where every character of a scalar stands in the file.

use granit_parser::{ScalarStyle, Span};

use super::narrow;

/// Finds where every character of a scalar stands in the file.
///
/// Blanks are where folding and indentation change things: the walk gets back in step at the next other character.
pub(super) fn align(characters: &[char], span: &Span, text: &str, style: ScalarStyle) -> Vec<(u32, u32)> {
    let mut walk = Walk {
        characters,
        at: span.start.index(),
        line: narrow(span.start.line()),
        column: narrow(span.start.col() + 1),
    };
    match style {
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => walk.advance(1),
        ScalarStyle::Literal | ScalarStyle::Folded if matches!(walk.peek(), Some('|' | '>')) => {
            while walk.peek().is_some_and(|character| character != '\n') {
                walk.advance(1);
            }
            walk.advance(1);
        }
        _ => {}
    }
    let escapes = style == ScalarStyle::DoubleQuoted;
    let mut places = Vec::with_capacity(text.len());
    for character in text.chars() {
        if !character.is_whitespace() {
            walk.skip_blank(escapes);
        }
        places.push((walk.line, walk.column));
        let source = walk.peek();
        match source {
            Some('\\') if escapes => walk.advance(walk.escape()),
            Some('\'') if style == ScalarStyle::SingleQuoted => walk.advance(2),
            Some(blank) if character.is_whitespace() && !blank.is_whitespace() => {}
            _ => walk.advance(1),
        }
    }
    places
}

/// Whether a text of one line stands in the file character by character; then how wide its opening quote is.
pub(super) fn as_written(characters: &[char], span: &Span, text: &str, style: ScalarStyle) -> Option<u32> {
    let quotes = match style {
        ScalarStyle::Plain => 0,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 1,
        ScalarStyle::Literal | ScalarStyle::Folded => return None,
    };
    let inside = span.start.index() + quotes..span.end.index().checked_sub(quotes)?;
    let written = characters.get(inside)?;
    (!text.contains('\n') && written.iter().copied().eq(text.chars())).then(|| narrow(quotes))
}

struct Walk<'a> {
    characters: &'a [char],
    at: usize,
    line: u32,
    column: u32,
}

impl Walk<'_> {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn advance(&mut self, count: usize) {
        for _ in 0..count {
            match self.peek() {
                Some('\n') => (self.line, self.column) = (self.line + 1, 1),
                Some(_) => self.column += 1,
                None => return,
            }
            self.at += 1;
        }
    }

    fn skip_blank(&mut self, escapes: bool) {
        loop {
            match self.peek() {
                Some(character) if character.is_whitespace() => self.advance(1),
                Some('\\') if escapes && self.characters.get(self.at + 1) == Some(&'\n') => self.advance(2),
                _ => return,
            }
        }
    }

    /// The length of the escape that begins here.
    fn escape(&self) -> usize {
        match self.characters.get(self.at + 1) {
            Some('x') => 4,
            // A character beyond the basic plane may be written as two escapes.
            Some('u')
                if matches!(
                    self.characters.get(self.at + 2..self.at + 4),
                    Some(['d' | 'D', '8' | '9' | 'a' | 'A' | 'b' | 'B'])
                ) =>
            {
                12
            }
            Some('u') => 6,
            Some('U') => 10,
            _ => 2,
        }
    }
}
