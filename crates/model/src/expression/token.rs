//! Tokens: the words of an expression, each with the bytes that it stands on.

use std::ops::Range;

use super::{ExpressionError, fault};

/// One word of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// The magnitude; the sign belongs to the parser, so that the lowest integer can be written.
    Int(u64),
    UInt(u64),
    Double(f64),
    Text(String),
    Name(String),
    Symbol(&'static str),
    End,
}

/// Longer symbols first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 25] = [
    "&&", "||", "==", "!=", "<=", ">=", "(", ")", "[", "]", "{", "}", ".", ",", ":", "?", "+", "-", "*", "/",
    "%", "!", "<", ">", "=",
];

/// Splits a text into its tokens; the last is always `End`.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>, ExpressionError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut found = Vec::new();
    loop {
        lexer.skip_blank();
        let start = lexer.at;
        let token = lexer.token()?;
        let end = token == Token::End;
        found.push((token, start..lexer.at));
        if end {
            return Ok(found);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n', '\u{c}']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn token(&mut self) -> Result<Token, ExpressionError> {
        let rest = self.rest();
        let mut characters = rest.chars();
        let Some(first) = characters.next() else { return Ok(Token::End) };
        let second = characters.next();
        if first.is_ascii_digit() || first == '.' && second.is_some_and(|c| c.is_ascii_digit()) {
            return self.number();
        }
        if matches!(first, '"' | '\'') {
            return self.string(false);
        }
        if matches!(first, 'r' | 'R') && matches!(second, Some('"' | '\'')) {
            self.at += 1;
            return self.string(true);
        }
        if matches!(first, 'b' | 'B') && matches!(second, Some('"' | '\'')) {
            return Err(fault(self.at..self.at + 1, "not_supported", "bytes have no place in JSON")
                .hint("write a plain string"));
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            self.at += end;
            return Ok(Token::Name(rest[..end].to_owned()));
        }
        for symbol in SYMBOLS {
            if rest.starts_with(symbol) {
                let range = self.at..self.at + symbol.len();
                if symbol == "=" {
                    return Err(fault(range, "syntax", "`=` compares nothing").hint("compare with `==`"));
                }
                self.at = range.end;
                return Ok(Token::Symbol(symbol));
            }
        }
        let range = self.at..self.at + first.len_utf8();
        Err(fault(range, "syntax", format!("`{}` has no meaning here", first.escape_default())))
    }

    fn number(&mut self) -> Result<Token, ExpressionError> {
        let rest = self.rest();
        if let Some(digits) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
            let count = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
            return self.integer(2 + count, &digits[..count], 16);
        }
        let digits = |from: usize| {
            from + rest[from..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest[from..].len())
        };
        let mut end = digits(0);
        let whole = end;
        if rest[end..].starts_with('.') && digits(end + 1) > end + 1 {
            end = digits(end + 1);
        }
        if rest[end..].starts_with(['e', 'E']) {
            let sign = usize::from(rest[end + 1..].starts_with(['+', '-']));
            let exponent = digits(end + 1 + sign);
            if exponent == end + 1 + sign {
                return Err(fault(self.at..self.at + end + 1, "syntax", "the exponent has no digits"));
            }
            end = exponent;
        }
        if end == whole {
            return self.integer(whole, &rest[..whole], 10);
        }
        let range = self.at..self.at + end;
        self.at = range.end;
        match rest[..end].parse::<f64>() {
            Ok(value) if value.is_finite() => self.ended(Token::Double(value), range),
            _ => Err(fault(range, "overflow", "the number is too large")),
        }
    }

    fn integer(&mut self, length: usize, digits: &str, radix: u32) -> Result<Token, ExpressionError> {
        let unsigned = self.rest()[length..].starts_with(['u', 'U']);
        let range = self.at..self.at + length + usize::from(unsigned);
        self.at = range.end;
        match u64::from_str_radix(digits, radix) {
            Ok(value) if unsigned => self.ended(Token::UInt(value), range),
            Ok(value) => self.ended(Token::Int(value), range),
            Err(_) => Err(fault(range, "overflow", "the number does not fit into 64 bits")),
        }
    }

    /// A name must not touch the number before it: `1x` is a slip, not two words.
    fn ended(&self, token: Token, range: Range<usize>) -> Result<Token, ExpressionError> {
        if self.rest().starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return Err(fault(range.start..range.end + 1, "syntax", "a letter follows the number"));
        }
        Ok(token)
    }

    fn string(&mut self, raw: bool) -> Result<Token, ExpressionError> {
        let start = self.at;
        let rest = self.rest();
        let triple = rest.starts_with("\"\"\"") || rest.starts_with("'''");
        let quote = &rest[..if triple { 3 } else { 1 }];
        self.at += quote.len();
        let mut value = String::new();
        loop {
            let rest = self.rest();
            if rest.starts_with(quote) {
                self.at += quote.len();
                return Ok(Token::Text(value));
            }
            match rest.chars().next() {
                Some('\n' | '\r') if !triple => break,
                Some('\\') if !raw => value.push(self.escape()?),
                Some(character) => {
                    self.at += character.len_utf8();
                    value.push(character);
                }
                None => break,
            }
        }
        Err(fault(start..self.at, "syntax", "the string has no end").hint("close it with the same quote"))
    }

    fn escape(&mut self) -> Result<char, ExpressionError> {
        let start = self.at;
        let rest = self.rest();
        let code = rest[1..].chars().next();
        let (character, length) = match code {
            Some('a') => (Some('\u{7}'), 2),
            Some('b') => (Some('\u{8}'), 2),
            Some('f') => (Some('\u{c}'), 2),
            Some('n') => (Some('\n'), 2),
            Some('r') => (Some('\r'), 2),
            Some('t') => (Some('\t'), 2),
            Some('v') => (Some('\u{b}'), 2),
            Some(same @ ('\\' | '?' | '"' | '\'' | '`')) => (Some(same), 2),
            Some('x' | 'X') => (coded(rest, 2, 4, 16), 4),
            Some('u') => (coded(rest, 2, 6, 16), 6),
            Some('U') => (coded(rest, 2, 10, 16), 10),
            Some('0'..='3') => (coded(rest, 1, 4, 8), 4),
            _ => (None, 1),
        };
        match character {
            Some(character) => {
                self.at += length;
                Ok(character)
            }
            None => Err(fault(start..start + 1, "syntax", "this escape is unknown")
                .hint("write `\\\\` for a backslash, or put `r` before the string")),
        }
    }
}

fn coded(rest: &str, from: usize, to: usize, radix: u32) -> Option<char> {
    let digits = rest.get(from..to)?;
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    char::from_u32(u32::from_str_radix(digits, radix).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[Token]) {
        let found: Vec<Token> = tokens(text).unwrap().into_iter().map(|(token, _)| token).collect();
        assert_eq!(found, [expected, &[Token::End]].concat(), "{text}");
    }

    #[test]
    fn numbers_keep_their_kind() {
        check(
            "1 0x1F 7u 1.5 .5 2e3 1.5e-3",
            &[
                Token::Int(1),
                Token::Int(31),
                Token::UInt(7),
                Token::Double(1.5),
                Token::Double(0.5),
                Token::Double(2000.0),
                Token::Double(0.0015),
            ],
        );
        check("9223372036854775808", &[Token::Int(1 << 63)]);
    }

    #[test]
    fn strings_are_unescaped_unless_raw() {
        check(
            r#"'a\'b' "\u00e9\x41\101" r'\n' '''it's'''"#,
            &[
                Token::Text("a'b".into()),
                Token::Text("éAA".into()),
                Token::Text("\\n".into()),
                Token::Text("it's".into()),
            ],
        );
    }

    #[test]
    fn broken_words_are_refused() {
        for text in [
            "'a",
            "'\\q'",
            "1x",
            "1e",
            "18446744073709551616",
            "1e999",
            "a = b",
            "#",
            "b'x'",
            "'\\ud800'",
            "\"a\nb\"",
        ] {
            assert!(tokens(text).is_err(), "{text}");
        }
    }
}
