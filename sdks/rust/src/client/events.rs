//! The stream of events: reads server-sent events, and goes on after a broken connection where it stopped.

use reqwest::Response;

use super::Client;
use crate::Error;
use crate::clock::Moment;
use crate::http::Call;
use crate::retry::{backoff, delay_before_retry};
use crate::wire::{Event, EventFilter};

/// Longest line that is read: an event is far below 64 KiB, so that more is no event stream.
const MAX_LINE_BYTES: usize = 1024 * 1024;
/// Which delay of the ordinary row stands before a stream is opened again: 200 to 400 ms.
const RECONNECT_TRIES: u32 = 3;

impl Client {
    /// Follows events from now on, or from after the event `after` (`Some(0)`: the oldest kept).
    ///
    /// Nothing is sent before the first [`EventStream::next`].
    pub fn events(&self, filter: &EventFilter, after: Option<u64>) -> EventStream {
        let call = self.get(&["v1", "events"]).query(filter);
        EventStream { client: self.clone(), call, last_id: after, open: None, lines: Lines::default() }
    }
}

/// Events as they happen. Reconnects by itself while the client's patience lasts.
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    call: Call,
    last_id: Option<u64>,
    open: Option<Response>,
    lines: Lines,
}

impl EventStream {
    /// The next event; waits for it as long as it takes.
    ///
    /// Safe to drop before it is done: no event is lost.
    ///
    /// # Errors
    /// A refusal, or a connection that stayed broken.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            while let Some(frame) = self.lines.next_frame() {
                if frame.data.is_empty() || frame.event.as_deref() == Some("gap") {
                    continue;
                }
                let event: Event = serde_json::from_str(&frame.data).map_err(|error| Error::Unreadable {
                    what: "an event".into(),
                    reason: error.to_string(),
                })?;
                self.last_id = Some(event.id);
                return Ok(event);
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Result<(), Error> {
        let Some(response) = &mut self.open else {
            self.open = Some(self.connect().await?);
            return Ok(());
        };
        match response.chunk().await {
            Ok(Some(chunk)) if self.lines.feed(&chunk) => {}
            Ok(Some(_)) => {
                return Err(Error::Unreadable {
                    what: "the event stream".into(),
                    reason: format!("a line is longer than {MAX_LINE_BYTES} bytes"),
                });
            }
            // Ended or broken: what was read half is sent again.
            Ok(None) | Err(_) => {
                self.open = None;
                self.lines = Lines::default();
                // A server that ends every stream at once must not be asked in a tight circle.
                tokio::time::sleep(backoff(RECONNECT_TRIES, fastrand::f64())).await;
            }
        }
        Ok(())
    }

    async fn connect(&self) -> Result<Response, Error> {
        let mut call = self.call.clone();
        if let Some(id) = self.last_id {
            call = call.header("last-event-id", &id.to_string())?;
        }
        let http = self.client.http();
        let began = Moment::now();
        let mut tries = 1;
        loop {
            let (trouble, error) = match http.open_stream(&call).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            let elapsed = Moment::now().since(began);
            match delay_before_retry(&trouble, tries, elapsed, http.patience(), fastrand::f64()) {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(error),
            }
            tries += 1;
        }
    }
}

/// Puts bytes together to lines and lines to frames.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    frame: Frame,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Frame {
    event: Option<String>,
    data: String,
}

impl Lines {
    /// Takes bytes as they come; false when a line has become too long to be one.
    fn feed(&mut self, bytes: &[u8]) -> bool {
        self.bytes.extend_from_slice(bytes);
        self.bytes.len() <= MAX_LINE_BYTES || self.bytes.contains(&b'\n')
    }

    /// The next whole frame: lines up to an empty one.
    fn next_frame(&mut self) -> Option<Frame> {
        while let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                return Some(std::mem::take(&mut self.frame));
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "event" => self.frame.event = Some(value.to_owned()),
                "data" if self.frame.data.is_empty() => self.frame.data = value.to_owned(),
                "data" => {
                    self.frame.data.push('\n');
                    self.frame.data.push_str(value);
                }
                // `id` is in the data too; comments have an empty name.
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(chunks: &[&str]) -> Vec<Frame> {
        let mut lines = Lines::default();
        let mut frames = Vec::new();
        for chunk in chunks {
            assert!(lines.feed(chunk.as_bytes()));
            while let Some(frame) = lines.next_frame() {
                frames.push(frame);
            }
        }
        frames
    }

    fn frame(event: &str, data: &str) -> Frame {
        Frame { event: Some(event.into()), data: data.into() }
    }

    #[test]
    fn frames_are_found_wherever_the_chunks_are_cut() {
        let text = "id: 1\nevent: dataset.ready\ndata: {\"ü\":1}\n\nid: 2\nevent: x\ndata: a\ndata: b\n\n";
        let whole = [frame("dataset.ready", "{\"ü\":1}"), frame("x", "a\nb")];
        assert_eq!(frames(&[text]), whole);
        let (first, rest) = text.split_at(9);
        let (second, third) = rest.split_at(20);
        assert_eq!(frames(&[first, second, third]), whole);
        let bytes: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(frames(&bytes.iter().map(String::as_str).collect::<Vec<_>>()), whole);
    }

    #[test]
    fn comments_and_carriage_returns_are_no_data() {
        assert_eq!(
            frames(&[": keep-alive\r\n\r\nevent: x\r\ndata: 1\r\n\r\n"]),
            [Frame::default(), frame("x", "1")]
        );
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut lines = Lines::default();
        assert!(!lines.feed(&vec![b'x'; MAX_LINE_BYTES + 1]));
    }
}
