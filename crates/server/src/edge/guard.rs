//! The guard: stands between the socket and the HTTP library and lets only sound, timely bytes through.
//!
//! ```text
//! rest --first byte--> head --sound--> body --its end--> rest
//!   |                   |                |
//!   idle: end           fault: refused   late or broken: an error for whoever reads the body
//! ```
//!
//! A faulty head is replaced by a plain one, and the fault is left for the request with that number. So the
//! HTTP library answers it in its turn, after the answers still due, in the shape of every other problem.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use super::chunks::ChunkScan;
use super::head::{Framing, HeadScan, Scan};
use super::problem::Problem;
use super::settings::EdgeSettings;

/// Bytes taken from the socket at a time, on the stack; a usual request fits.
const READ_BYTES: usize = 8 * 1024;

/// Bytes thrown away at most while a closed connection lingers.
const LINGER_MAX_BYTES: usize = 256 * 1024;

/// What the HTTP library sees in place of a refused head.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\n\r\n";

/// What the guard and the service of one connection tell each other.
#[derive(Debug)]
pub(super) struct Wire {
    opened: Instant,
    /// A request is being answered; rest begins when its answer is written.
    in_flight: AtomicBool,
    /// When the last answer was written, in milliseconds after `opened`.
    rested_ms: AtomicU64,
    /// The body of the current request is not here as a whole.
    body_open: AtomicBool,
    /// Requests that reached the service.
    calls: AtomicU64,
    refused: Mutex<Option<(u64, Problem)>>,
}

impl Wire {
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            in_flight: AtomicBool::new(false),
            rested_ms: AtomicU64::new(0),
            body_open: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            refused: Mutex::new(None),
        }
    }

    /// Notes that the next request begins; returns why it is refused, if the guard refused it.
    pub(super) fn begin(&self) -> Option<Problem> {
        self.in_flight.store(true, Ordering::Release);
        let number = self.calls.fetch_add(1, Ordering::AcqRel);
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.take_if(|(refused, _)| *refused == number).map(|(_, problem)| problem)
    }

    /// Notes that the answer of the current request is written.
    pub(super) fn end(&self) {
        let rested_ms = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.rested_ms.store(rested_ms, Ordering::Release);
        self.in_flight.store(false, Ordering::Release);
    }

    /// Since when nothing has been asked; now, while a request is being answered.
    fn rested_at(&self) -> Instant {
        if self.in_flight.load(Ordering::Acquire) {
            return Instant::now();
        }
        self.opened + Duration::from_millis(self.rested_ms.load(Ordering::Acquire))
    }

    /// Whether bytes of the current request's body are still to come.
    pub(super) fn body_open(&self) -> bool {
        self.body_open.load(Ordering::Acquire)
    }
}

/// The socket of one connection with the guard before it.
pub(super) struct Guard<S> {
    stream: S,
    wire: Arc<Wire>,
    settings: Arc<EdgeSettings>,
    stopping: CancellationToken,
    phase: Phase,
    /// Bytes from the socket; the first `cleared` of them may go to the HTTP library.
    buffer: BytesMut,
    cleared: usize,
    heads: u64,
    /// Heads in a row that were here before the request before them was read to its end.
    pipelined: u32,
    read_since_message: bool,
    ended: bool,
    watch: Watch,
    timer: Pin<Box<Sleep>>,
    stalled: Option<Pin<Box<Sleep>>>,
    lingering: Option<usize>,
}

#[derive(Debug)]
enum Phase {
    Head(HeadScan),
    Length(u64),
    Chunked(ChunkScan),
    BrokenBody,
    Refused,
}

/// What the timer is set for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    Nothing,
    Rest,
    Head,
    Body,
}

impl<S> Guard<S> {
    pub(super) fn new(
        stream: S,
        wire: Arc<Wire>,
        settings: Arc<EdgeSettings>,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            stream,
            wire,
            settings,
            stopping,
            phase: Phase::Head(HeadScan::default()),
            buffer: BytesMut::new(),
            cleared: 0,
            heads: 0,
            pipelined: 0,
            read_since_message: false,
            ended: false,
            watch: Watch::Nothing,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            stalled: None,
            lingering: None,
        }
    }

    /// Clears as many buffered bytes as are sound. The next head is looked at only when everything before it has
    /// been handed over, so that the HTTP library and the guard count the same requests.
    fn clear(&mut self) {
        loop {
            let fresh = &self.buffer[self.cleared..];
            if fresh.is_empty() {
                return;
            }
            match &mut self.phase {
                Phase::Head(_) if self.cleared > 0 => return,
                Phase::Head(scan) => match scan.scan(fresh, &self.settings) {
                    Ok(Scan::Partial) => return,
                    Ok(Scan::Complete { len, framing }) => self.clear_head(len, framing),
                    Err(problem) => self.refuse(problem),
                },
                Phase::Length(left) => {
                    let here = fresh.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= here as u64;
                    let complete = *left == 0;
                    self.cleared += here;
                    if complete {
                        self.end_message();
                    }
                }
                Phase::Chunked(scan) => match scan.advance(fresh) {
                    Ok((here, complete)) => {
                        self.cleared += here;
                        if complete {
                            self.end_message();
                        }
                    }
                    Err(_) => {
                        self.phase = Phase::BrokenBody;
                        return;
                    }
                },
                Phase::BrokenBody | Phase::Refused => return,
            }
        }
    }

    fn clear_head(&mut self, len: usize, framing: Framing) {
        self.pipelined = if self.read_since_message { 0 } else { self.pipelined + 1 };
        if self.pipelined > self.settings.pipelined_max {
            let detail = format!(
                "More than {} requests came without waiting for an answer; wait for each, or use more connections.",
                self.settings.pipelined_max
            );
            return self.refuse(Problem::unreadable("too_many_pipelined", detail).closing());
        }
        self.heads += 1;
        self.cleared += len;
        self.watch = Watch::Nothing;
        match framing {
            Framing::Length(0) => self.end_message(),
            Framing::Length(left) => self.begin_body(Phase::Length(left)),
            Framing::Chunked => self.begin_body(Phase::Chunked(ChunkScan::default())),
        }
    }

    fn begin_body(&mut self, phase: Phase) {
        self.phase = phase;
        self.wire.body_open.store(true, Ordering::Release);
    }

    fn end_message(&mut self) {
        self.phase = Phase::Head(HeadScan::default());
        self.read_since_message = false;
        self.watch = Watch::Nothing;
        self.wire.body_open.store(false, Ordering::Release);
    }

    fn refuse(&mut self, problem: Problem) {
        self.settings.counters.heads_refused.add_one();
        *self.wire.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.heads, problem));
        self.wire.body_open.store(false, Ordering::Release);
        self.heads += 1;
        self.buffer.clear();
        self.buffer.extend_from_slice(STAND_IN);
        self.cleared = STAND_IN.len();
        self.phase = Phase::Refused;
    }

    fn hand_over(&mut self, out: &mut ReadBuf<'_>) {
        let len = self.cleared.min(out.remaining());
        out.put_slice(&self.buffer[..len]);
        self.buffer.advance(len);
        self.cleared -= len;
        if self.buffer.is_empty() {
            // A resting connection holds no buffer: thousands of parked long polls rest.
            self.buffer = BytesMut::new();
        }
    }

    /// What to wait for now, and how long at most.
    fn due(&self) -> (Watch, Duration) {
        let settings = &self.settings;
        match &self.phase {
            Phase::Head(_) if !self.buffer.is_empty() || self.heads == 0 => {
                (Watch::Head, settings.header_timeout)
            }
            Phase::Head(_) => (Watch::Rest, settings.idle_timeout),
            Phase::Length(_) | Phase::Chunked(_) => (Watch::Body, settings.body_timeout),
            Phase::BrokenBody | Phase::Refused => (Watch::Nothing, Duration::ZERO),
        }
    }

    /// Waits with the timer; ready when time is up.
    ///
    /// Nobody wakes the guard when an answer ends and rest begins, so the timer runs during the answer too, and is
    /// set anew when it fires before a whole rest has passed.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (watch, span) = self.due();
        if watch != self.watch {
            self.watch = watch;
            self.timer.as_mut().reset(Instant::now() + span);
        }
        if watch == Watch::Nothing {
            return Poll::Pending;
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let rested = self.wire.rested_at() + span;
            if watch != Watch::Rest || rested <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(rested);
        }
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let span = self.settings.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(span)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer"))
    }

    fn is_at_rest(&self) -> bool {
        matches!(self.phase, Phase::Head(_))
            && self.buffer.is_empty()
            && !self.wire.in_flight.load(Ordering::Acquire)
    }
}

impl<S: AsyncRead + Unpin> Guard<S> {
    /// Takes bytes from the socket into the buffer; `false` at its end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut space = [std::mem::MaybeUninit::<u8>::uninit(); READ_BYTES];
        let mut chunk = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut chunk))?;
        self.buffer.extend_from_slice(chunk.filled());
        self.read_since_message = true;
        Poll::Ready(Ok(!chunk.filled().is_empty()))
    }

    /// Takes and drops what still comes, until the client closes, sends too much, or time is up.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.poll_fill(cx) {
                Poll::Ready(Ok(true)) => {
                    let dropped = self.lingering.get_or_insert(0);
                    *dropped += self.buffer.len();
                    let enough = *dropped > LINGER_MAX_BYTES;
                    self.buffer.clear();
                    if enough {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.timer.as_mut().poll(cx),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            this.clear();
            if this.cleared > 0 {
                this.hand_over(out);
                return Poll::Ready(Ok(()));
            }
            match this.phase {
                Phase::BrokenBody => return Poll::Ready(Err(broken_body())),
                // Not the end of input: that would abort the answer that is on its way.
                Phase::Refused => return Poll::Pending,
                _ if this.ended => return Poll::Ready(Ok(())),
                _ => {}
            }
            match this.poll_fill(cx) {
                Poll::Ready(filled) => this.ended = !filled?,
                Poll::Pending if this.stopping.is_cancelled() && this.is_at_rest() => {
                    this.ended = true;
                }
                Poll::Pending => {
                    ready!(this.poll_timer(cx));
                    match this.watch {
                        Watch::Body => return Poll::Ready(Err(late_body())),
                        Watch::Head if !this.buffer.is_empty() => this.refuse(late_head()),
                        _ => this.ended = true,
                    }
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Poll::Ready(written) = Pin::new(&mut this.stream).poll_write(cx, bytes) {
            this.stalled = None;
            return Poll::Ready(written);
        }
        this.poll_stalled(cx).map(Err)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Poll::Ready(written) = Pin::new(&mut this.stream).poll_write_vectored(cx, slices) {
            this.stalled = None;
            return Poll::Ready(written);
        }
        this.poll_stalled(cx).map(Err)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    /// Ends the writing side and lingers: closing with unread bytes would reset the connection, and the client
    /// could lose the answer it has not read yet.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.lingering = Some(0);
            this.buffer = BytesMut::new();
            this.timer.as_mut().reset(Instant::now() + this.settings.linger);
        }
        if !this.ended {
            ready!(this.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

fn late_head() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "header_timeout", "The request came too slowly")
        .detail("The head of the request was not complete in time; send it at once.")
        .closing()
}

fn late_body() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the body was not complete in time")
}

fn broken_body() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the chunks of the body are broken")
}
