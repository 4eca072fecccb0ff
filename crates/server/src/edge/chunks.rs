//! Where a chunked body ends: a strict reading of its framing, beside the HTTP library that decodes it.
//!
//! ```text
//! size --CRLF--> data --CRLF--> size ... --0 CRLF--> trailer lines --empty line--> end
//! ```

/// Hexadecimal digits of a chunk's size: 4 GiB, far beyond every body cap.
const SIZE_MAX_DIGITS: usize = 8;

/// Length of a size line with its extensions, which nobody needs and which cost without carrying data.
const SIZE_LINE_MAX_BYTES: usize = 128;

/// Bytes of all trailer lines; they are read over and thrown away.
const TRAILERS_MAX_BYTES: usize = 4 * 1024;

/// The framing of a chunked body is broken; what follows on the connection cannot be told apart any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BrokenChunks;

/// The place in a chunked body.
#[derive(Debug)]
pub(super) struct ChunkScan {
    at: At,
    trailer_bytes: usize,
}

#[derive(Debug, Clone, Copy)]
enum At {
    Size { digits: usize, size: u64, bytes: usize, extension: bool },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataEnd { carriage_return: bool },
    Trailer { line_bytes: usize, carriage_return: bool },
    End,
}

const SIZE: At = At::Size { digits: 0, size: 0, bytes: 0, extension: false };

impl Default for ChunkScan {
    fn default() -> Self {
        Self { at: SIZE, trailer_bytes: 0 }
    }
}

impl ChunkScan {
    /// Reads over `bytes`; returns how many belong to this body, and whether it ended.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<(usize, bool), BrokenChunks> {
        let mut read = 0;
        while read < bytes.len() {
            if let At::Data { left } = self.at {
                let here = (bytes.len() - read).min(usize::try_from(left).unwrap_or(usize::MAX));
                read += here;
                let left = left - here as u64;
                self.at = if left == 0 { At::DataEnd { carriage_return: false } } else { At::Data { left } };
                continue;
            }
            self.at = self.after(bytes[read])?;
            read += 1;
            if matches!(self.at, At::End) {
                return Ok((read, true));
            }
        }
        Ok((read, false))
    }

    fn after(&mut self, byte: u8) -> Result<At, BrokenChunks> {
        match (self.at, byte) {
            (At::Size { digits: 1.., size, .. }, b'\r') => Ok(At::SizeEnd { size }),
            (At::Size { bytes: SIZE_LINE_MAX_BYTES.., .. }, _) => Err(BrokenChunks),
            (At::Size { digits: digits @ 1.., size, bytes, .. }, b';') => {
                Ok(At::Size { digits, size, bytes: bytes + 1, extension: true })
            }
            (At::Size { digits, size, bytes, extension: true }, b'\t' | b' '..=b'~') => {
                Ok(At::Size { digits, size, bytes: bytes + 1, extension: true })
            }
            (At::Size { digits: digits @ 0..SIZE_MAX_DIGITS, size, bytes, extension: false }, digit) => {
                let value = char::from(digit).to_digit(16).ok_or(BrokenChunks)?;
                let size = size * 16 + u64::from(value);
                Ok(At::Size { digits: digits + 1, size, bytes: bytes + 1, extension: false })
            }
            (At::SizeEnd { size: 0 }, b'\n') => Ok(At::Trailer { line_bytes: 0, carriage_return: false }),
            (At::SizeEnd { size: left }, b'\n') => Ok(At::Data { left }),
            (At::DataEnd { carriage_return: false }, b'\r') => Ok(At::DataEnd { carriage_return: true }),
            (At::DataEnd { carriage_return: true }, b'\n') => Ok(SIZE),
            (At::Trailer { line_bytes, carriage_return }, byte) => {
                self.trailer(line_bytes, carriage_return, byte)
            }
            _ => Err(BrokenChunks),
        }
    }

    fn trailer(&mut self, line_bytes: usize, carriage_return: bool, byte: u8) -> Result<At, BrokenChunks> {
        self.trailer_bytes += 1;
        match (carriage_return, byte) {
            _ if self.trailer_bytes > TRAILERS_MAX_BYTES => Err(BrokenChunks),
            (true, b'\n') if line_bytes == 0 => Ok(At::End),
            (true, b'\n') => Ok(At::Trailer { line_bytes: 0, carriage_return: false }),
            (false, b'\r') => Ok(At::Trailer { line_bytes, carriage_return: true }),
            (false, b'\t' | 0x20..=0x7e | 0x80..) => {
                Ok(At::Trailer { line_bytes: line_bytes + 1, carriage_return: false })
            }
            _ => Err(BrokenChunks),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_whatever_the_packets() {
        let body = b"4;name=value\r\nWiki\r\nA\r\n0123456789\r\n0\r\nDigest: x\r\n\r\nGET /";
        let end = body.len() - 5;
        assert_eq!(ChunkScan::default().advance(body), Ok((end, true)));
        let mut dripping = ChunkScan::default();
        for at in 0..end {
            assert_eq!(dripping.advance(&body[at..=at]), Ok((1, at + 1 == end)), "byte {at}");
        }
    }

    #[test]
    fn broken_framing_is_refused() {
        for body in [
            "FFFFFFFFFFFFFFFFF\r\n",
            "\r\n",
            "x\r\n",
            "+5\r\n",
            "5 \r\n",
            "5\n",
            "2\r\nabc",
            "2\r\nab\n",
            "0\r\nA: \u{1}\r\n\r\n",
            "0\r\nA: b\n",
            &format!("1;{}\r\n", "e".repeat(SIZE_LINE_MAX_BYTES)),
            &format!("0\r\n{}", "A: b\r\n".repeat(TRAILERS_MAX_BYTES)),
        ] {
            let shown: String = body.chars().take(30).collect();
            assert_eq!(ChunkScan::default().advance(body.as_bytes()), Err(BrokenChunks), "{shown:?}");
        }
    }
}
