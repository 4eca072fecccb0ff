//! Texts: read between their quotes, escapes decoded, and never longer than any field takes.

use super::{Fault, LongTexts, Parsed, Parser, TEXT_MAX_BYTES};

impl Parser<'_> {
    /// Reads a string; the position is at its opening quote.
    pub(super) fn string(&mut self) -> Parsed<String> {
        let start = self.at;
        self.at += 1;
        let mut plain_from = self.at;
        let mut decoded = String::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.keep(&mut decoded, &self.text[plain_from..self.at], start)?;
                    self.at += 1;
                    return Ok(decoded);
                }
                Some(b'\\') => {
                    self.keep(&mut decoded, &self.text[plain_from..self.at], start)?;
                    let character = self.escape()?;
                    self.keep(&mut decoded, character.encode_utf8(&mut [0; 4]), start)?;
                    plain_from = self.at;
                }
                Some(0..0x20) => {
                    return Err(Fault::syntax(self.at, "A control character must be escaped in a string"));
                }
                Some(_) => self.at += 1,
                None => return Err(Fault::syntax(self.at, "The document ends inside a string")),
            }
        }
    }

    /// Adds to a text what there is room for, and one character more that shows that it was longer.
    fn keep(&self, decoded: &mut String, more: &str, start: usize) -> Parsed<()> {
        let room = TEXT_MAX_BYTES.saturating_sub(decoded.len());
        if more.len() <= room {
            decoded.push_str(more);
            return Ok(());
        }
        if self.long_texts == LongTexts::Refused {
            let message = format!("A text may have at most {TEXT_MAX_BYTES} bytes");
            return Err(Fault::refused("too_long", start, message));
        }
        if decoded.len() <= TEXT_MAX_BYTES {
            let end = (room + 1..)
                .find(|end| more.is_char_boundary(*end))
                .expect("the end of a text is a boundary");
            decoded.push_str(&more[..end]);
        }
        Ok(())
    }

    fn escape(&mut self) -> Parsed<char> {
        let start = self.at;
        let letter = self.bytes.get(self.at + 1).copied();
        self.at += 2;
        Ok(match letter {
            Some(plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(start),
            _ => return Err(Fault::syntax(start, "This escape is not one of JSON's")),
        })
    }

    fn unicode_escape(&mut self, start: usize) -> Parsed<char> {
        let unit = self.four_digits(start)?;
        let code = match unit {
            0xd800..0xdc00 if self.bytes[self.at..].starts_with(b"\\u") => {
                self.at += 2;
                let low = self.four_digits(start)?;
                if !(0xdc00..0xe000).contains(&low) {
                    return Err(lone_surrogate(start));
                }
                0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
            }
            unit => unit,
        };
        match char::from_u32(code) {
            Some('\0') => {
                Err(Fault::refused("nul_not_allowed", start, "The character U+0000 is not taken in texts"))
            }
            Some(character) => Ok(character),
            None => Err(lone_surrogate(start)),
        }
    }

    fn four_digits(&mut self, start: usize) -> Parsed<u32> {
        let digits = self.bytes.get(self.at..self.at + 4).unwrap_or_default();
        self.at += 4;
        let mut value = 0;
        for digit in digits {
            let digit = char::from(*digit).to_digit(16);
            value = value * 16 + digit.ok_or_else(|| bad_unicode_escape(start))?;
        }
        if digits.len() == 4 { Ok(value) } else { Err(bad_unicode_escape(start)) }
    }
}

fn lone_surrogate(at: usize) -> Box<Fault> {
    Fault::syntax(at, "Half of a surrogate pair is not a character")
}

fn bad_unicode_escape(at: usize) -> Box<Fault> {
    Fault::syntax(at, "`\\u` must be followed by four hexadecimal digits")
}
