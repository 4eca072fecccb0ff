//! Server-sent events: a stream of safely encoded events, kept alive, that ends when the server drains.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{Stream, StreamExt, unfold};
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::Stopping;
use super::overload::PollPlace;

/// Silence after which a comment is sent: below the idle time-outs of common proxies (60 s), so that a stream
/// without events stays open and a lost client is noticed.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// What a client sends as `Last-Event-ID` to go on after this event.
    pub id: Option<String>,
    /// The kind of event; `None` is the client's default, `message`.
    pub event: Option<String>,
    /// The text, of any lines.
    pub data: String,
}

impl SseEvent {
    /// The event on the wire. Line ends in `data` make several data lines; in `id` and `event`, which have one
    /// line only, line ends and NUL are left out, so that no text can begin a field of its own.
    pub fn encode(&self) -> String {
        let mut wire = String::with_capacity(self.data.len() + 32);
        for (field, value) in [("id", &self.id), ("event", &self.event)] {
            if let Some(value) = value {
                wire.push_str(field);
                wire.push_str(": ");
                wire.extend(value.chars().filter(|character| !matches!(character, '\r' | '\n' | '\0')));
                wire.push('\n');
            }
        }
        for line in self.data.replace("\r\n", "\n").split(['\r', '\n']) {
            wire.push_str("data: ");
            wire.push_str(line);
            wire.push('\n');
        }
        wire.push('\n');
        wire
    }
}

/// Answers with `events` as they come, until they end or the server stops accepting.
///
/// The place of the long poll is held as long as the stream lives.
pub fn sse<E>(events: E, stopping: Stopping, place: PollPlace, keep_alive: Duration) -> Response
where
    E: Stream<Item = SseEvent> + Send + 'static,
{
    // A first comment at once: the client learns that the stream is open before there is an event.
    let opened = futures::stream::iter([Bytes::from_static(b": open\n\n")]);
    let body = unfold((Box::pin(events), stopping, place), move |(mut events, stopping, place)| async move {
        let frame = tokio::select! {
            biased;
            () = stopping.0.cancelled() => return None,
            event = events.next() => Bytes::from(event?.encode()),
            () = tokio::time::sleep(keep_alive) => Bytes::from_static(b":\n\n"),
        };
        Some((frame, (events, stopping, place)))
    });
    let frames = opened.chain(body).map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::from_stream(frames));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_begin_a_field_of_its_own() {
        let event = SseEvent {
            id: Some("7\ndata: x".to_owned()),
            event: Some("changed\r\n".to_owned()),
            data: "one\r\ntwo\rid: 9\n".to_owned(),
        };
        assert_eq!(
            event.encode(),
            "id: 7data: x\nevent: changed\ndata: one\ndata: two\ndata: id: 9\ndata: \n\n"
        );
    }
}
