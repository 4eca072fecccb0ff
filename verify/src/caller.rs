//! A caller for load: one connection that sends the same prepared request over and over.
//!
//! It shares the processors with the server that is measured, so it does next to nothing: no pool, no parsing but the
//! status and the length.

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api::Api;

/// Larger than any answer under load; a longer one is a fault.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;

/// A connection with its request.
pub(crate) struct Caller {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Caller {
    /// Connects to the server of `api` and prepares a `POST` with its token.
    pub(crate) async fn connect(api: &Api, path: &str, body: &Value) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(api.address()).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            api.address(),
            api.token(),
            body.len()
        );
        Ok(Self { stream, request: request.into_bytes(), answer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends the request; returns the body of the answer.
    pub(crate) async fn call(&mut self) -> anyhow::Result<&[u8]> {
        self.stream.write_all(&self.request).await.context("sending")?;
        self.answer.clear();
        let body = loop {
            let read = self.stream.read_buf(&mut self.answer).await.context("reading the answer")?;
            ensure!(read > 0, "the server closed the connection");
            ensure!(
                self.answer.len() <= ANSWER_MAX_BYTES,
                "the answer is larger than {ANSWER_MAX_BYTES} bytes"
            );
            if let Some(end) = find(&self.answer, b"\r\n\r\n") {
                let head = std::str::from_utf8(&self.answer[..end]).context("a head that is not text")?;
                let length = length_of(head)?;
                if self.answer.len() >= end + 4 + length {
                    break end + 4..end + 4 + length;
                }
            }
        };
        Ok(&self.answer[body])
    }
}

fn length_of(head: &str) -> anyhow::Result<usize> {
    for line in head.lines() {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            return value.trim().parse().context("a length that is no number");
        }
    }
    bail!("an answer without a length: {head}")
}

/// Where `wanted` begins.
pub(crate) fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_found_whatever_its_case_and_an_answer_without_one_is_a_fault() {
        assert_eq!(length_of("HTTP/1.1 201 Created\r\nContent-Length: 12\r\nx: y").unwrap(), 12);
        assert!(length_of("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked").is_err());
        assert_eq!(find(b"abcabd", b"abd"), Some(3));
        assert_eq!(find(b"abc", b"abd"), None);
    }
}
