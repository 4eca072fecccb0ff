//! The strict reading of one request head, before the HTTP library sees it.
//!
//! Everything that two HTTP implementations could read in two ways is refused: that is what request smuggling
//! lives on. The rules are those of RFC 9112 with every "may accept" answered by no.

use http::StatusCode;

use super::problem::{Problem, echoed};
use super::settings::EdgeSettings;

/// Longest method name; the longest registered one has 17 characters.
const METHOD_MAX_BYTES: usize = 32;

/// Digits of a `Content-Length`: 18 always fit 64 bits.
const LENGTH_MAX_DIGITS: usize = 18;

/// Bytes of a request line beside its target: method, two spaces, version.
const REQUEST_LINE_EXTRA_BYTES: usize = METHOD_MAX_BYTES + 11;

/// How the body after a head is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
}

/// How far the scan came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// The end of the head is still to come.
    Partial,
    /// The head is the first `len` bytes.
    Complete { len: usize, framing: Framing },
}

/// The scan of one head. It remembers where it stopped, so that a head that drips in is read once.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    line_start: usize,
    scanned: usize,
    block_start: Option<usize>,
    fields: Fields,
}

#[derive(Debug, Default)]
struct Fields {
    count: usize,
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
    old_version: bool,
}

impl HeadScan {
    /// Reads on in `bytes`, which begin where the head begins and have only grown since the last call.
    pub(super) fn scan(&mut self, bytes: &[u8], limits: &EdgeSettings) -> Result<Scan, Problem> {
        while let Some(offset) = bytes[self.scanned..].iter().position(|byte| *byte == b'\n') {
            let end = self.scanned + offset;
            let Some(line) = bytes[self.line_start..end].strip_suffix(b"\r") else {
                return Err(refused("bad_head", "A line of the head ends without a carriage return."));
            };
            let first_line_start = self.line_start;
            self.scanned = end + 1;
            self.line_start = end + 1;
            match self.block_start {
                // RFC 9112 §2.2: one empty line before the request line is left over from an old client.
                None if line.is_empty() && first_line_start == 0 => {}
                None => {
                    self.request_line(line, limits)?;
                    self.block_start = Some(self.line_start);
                }
                Some(_) if line.is_empty() => {
                    return Ok(Scan::Complete { len: self.line_start, framing: self.fields.framing()? });
                }
                Some(start) => {
                    if self.line_start - start > limits.header_block_max_bytes {
                        return Err(block_too_large(limits));
                    }
                    self.fields.add(line, limits)?;
                }
            }
        }
        self.scanned = bytes.len();
        self.refuse_early(bytes, limits)?;
        Ok(Scan::Partial)
    }

    /// Refuses what no further byte can make good, so that nobody waits for a time-out to hear of it.
    fn refuse_early(&self, bytes: &[u8], limits: &EdgeSettings) -> Result<(), Problem> {
        let line = &bytes[self.line_start..];
        match self.block_start {
            Some(start) if bytes.len() - start > limits.header_block_max_bytes => {
                Err(block_too_large(limits))
            }
            Some(_) => Ok(()),
            None if line.len() > limits.uri_max_bytes + REQUEST_LINE_EXTRA_BYTES => Err(uri_too_long(limits)),
            None => match line.first() {
                Some(first) if !is_token(*first) && *first != b'\r' => Err(bad_request_line()),
                _ => Ok(()),
            },
        }
    }

    fn request_line(&mut self, line: &[u8], limits: &EdgeSettings) -> Result<(), Problem> {
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(bad_request_line());
        };
        if method.is_empty() || method.len() > METHOD_MAX_BYTES || !method.iter().copied().all(is_token) {
            return Err(bad_request_line());
        }
        if target.len() > limits.uri_max_bytes {
            return Err(uri_too_long(limits));
        }
        self.fields.old_version = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(refused("bad_request_line", "This server speaks HTTP/1.1 and HTTP/1.0.")),
        };
        let origin_form = target.first() == Some(&b'/') && target.iter().copied().all(is_target);
        if origin_form || (target == b"*" && method == b"OPTIONS") {
            return Ok(());
        }
        Err(refused(
            "bad_target",
            "The request target must be a path, with everything but URI characters percent-encoded.",
        ))
    }
}

impl Fields {
    fn add(&mut self, line: &[u8], limits: &EdgeSettings) -> Result<(), Problem> {
        self.count += 1;
        if self.count > limits.headers_max {
            let detail = format!("A request may have at most {} header fields.", limits.headers_max);
            return Err(head_too_large(detail));
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(refused(
                "bad_header",
                "A header field goes on over a second line; send it as one line.",
            ));
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return Err(refused("bad_header", "A header field has no colon."));
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.is_empty() || !name.iter().copied().all(is_token) {
            return Err(refused("bad_header", "The name of a header field has characters it must not have."));
        }
        if !value.iter().copied().all(is_field_value) {
            return Err(refused("bad_header", "The value of a header field has control characters."));
        }
        if name.eq_ignore_ascii_case(b"host") {
            self.host(value)
        } else if name.eq_ignore_ascii_case(b"content-length") {
            self.content_length(value)
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.transfer_encoding(value)
        } else {
            Ok(())
        }
    }

    fn host(&mut self, value: &[u8]) -> Result<(), Problem> {
        self.hosts += 1;
        let name = match value.iter().rposition(|byte| *byte == b':') {
            Some(colon) if !value.ends_with(b"]") => {
                let port = &value[colon + 1..];
                if port.len() > 5 || !port.iter().all(u8::is_ascii_digit) {
                    return Err(bad_host());
                }
                &value[..colon]
            }
            _ => value,
        };
        let bracketed = name.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
        let allowed = match bracketed {
            Some(inner) => inner.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')),
            None => {
                name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
            }
        };
        if name.is_empty() || !allowed || self.hosts > 1 { Err(bad_host()) } else { Ok(()) }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Problem> {
        let digits = (1..=LENGTH_MAX_DIGITS).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
        if !digits || self.length.is_some() {
            let detail = "`Content-Length` must be there once at most, and be a plain number.";
            return Err(refused("bad_content_length", detail));
        }
        self.length = Some(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')));
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Problem> {
        if self.chunked || self.old_version || !value.eq_ignore_ascii_case(b"chunked") {
            let detail = "`Transfer-Encoding` may only be `chunked`, once, and not in HTTP/1.0.";
            return Err(refused("bad_transfer_encoding", detail));
        }
        self.chunked = true;
        Ok(())
    }

    fn framing(&self) -> Result<Framing, Problem> {
        if self.hosts != 1 {
            return Err(bad_host());
        }
        match (self.length, self.chunked) {
            (Some(_), true) => Err(refused(
                "bad_transfer_encoding",
                "`Content-Length` and `Transfer-Encoding` are both there; send one of them.",
            )),
            (None, true) => Ok(Framing::Chunked),
            (length, false) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

/// Checks the percent-encodings of a path or query and that they make UTF-8 without NUL.
pub(super) fn check_encoding(text: &str, part: &'static str) -> Result<(), Problem> {
    if !text.contains('%') {
        return Ok(());
    }
    match percent_decoded(text.as_bytes()) {
        Some(decoded) if !decoded.contains('\0') => Ok(()),
        _ => Err(Problem::unreadable(
            "bad_encoding",
            format!("The {part} `{}` is not percent-encoded UTF-8 without NUL.", echoed(text)),
        )),
    }
}

/// Decodes `%XX`; `None` when a sequence is broken or the result is not UTF-8.
pub(super) fn percent_decoded(text: &[u8]) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        if *byte == b'%' {
            let high = char::from(*rest.next()?).to_digit(16)?;
            let low = char::from(*rest.next()?).to_digit(16)?;
            decoded.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits make a byte"));
        } else {
            decoded.push(*byte);
        }
    }
    String::from_utf8(decoded).ok()
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_target(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte)
}

fn is_field_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}

fn refused(code: &'static str, detail: &'static str) -> Problem {
    Problem::unreadable(code, detail).closing()
}

fn bad_request_line() -> Problem {
    refused(
        "bad_request_line",
        "The first line is not an HTTP/1.1 request line; TLS and HTTP/2 are not spoken here.",
    )
}

fn bad_host() -> Problem {
    refused("bad_host", "Exactly one `Host` header with a host name is required.")
}

fn uri_too_long(limits: &EdgeSettings) -> Problem {
    let detail = format!("The request target may have at most {} bytes.", limits.uri_max_bytes);
    Problem::new(StatusCode::URI_TOO_LONG, "uri_too_long", "The URI is too long").detail(detail).closing()
}

fn block_too_large(limits: &EdgeSettings) -> Problem {
    head_too_large(format!(
        "The header fields may have at most {} bytes together.",
        limits.header_block_max_bytes
    ))
}

fn head_too_large(detail: String) -> Problem {
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Problem::new(status, "headers_too_large", "The header fields are too large").detail(detail).closing()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(head: &[u8]) -> Result<Scan, &'static str> {
        HeadScan::default().scan(head, &EdgeSettings::default()).map_err(|problem| problem.code())
    }

    #[test]
    fn a_head_is_found_whatever_the_packets() {
        let head = b"\r\nPOST /v1/a?x=%20 HTTP/1.1\r\nHost: a.test:80\r\ncontent-LENGTH:  12 \r\n\r\nbody";
        let len = head.len() - 4;
        let whole = Scan::Complete { len, framing: Framing::Length(12) };
        assert_eq!(scan(head).unwrap(), whole);
        let mut dripping = HeadScan::default();
        for end in 1..len {
            assert_eq!(dripping.scan(&head[..end], &EdgeSettings::default()).unwrap(), Scan::Partial);
        }
        assert_eq!(dripping.scan(head, &EdgeSettings::default()).unwrap(), whole);
    }

    #[test]
    fn hosts_are_names_or_addresses_with_a_port() {
        for (host, expected) in [
            ("a.test", true),
            ("127.0.0.1:6776", true),
            ("[::1]", true),
            ("[::1]:80", true),
            ("", false),
            (":80", false),
            ("a:b", false),
            ("a:999999", false),
            ("a/b", false),
            ("a@b", false),
            ("::1", false),
            ("[::1", false),
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(scan(head.as_bytes()).is_ok(), expected, "{host}");
        }
    }

    #[test]
    fn encodings_must_make_text() {
        for (path, expected) in [
            ("/a%20b", true),
            ("/%c3%a9", true),
            ("/%00", false),
            ("/%ff", false),
            ("/%2", false),
            ("/%zz", false),
        ] {
            assert_eq!(check_encoding(path, "path").is_ok(), expected, "{path}");
        }
    }
}
