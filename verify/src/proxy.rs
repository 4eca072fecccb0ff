//! Proxy: a way from one process to another over which bytes come late, not at all, twice, or without an answer.
//!
//! ```text
//! caller ──> proxy ──> callee        caller <──x── proxy <── callee     (answers dropped)
//! ```
//!
//! It knows nothing of what it carries. What a caller sends in one piece is taken for one call, which is true of small calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What is carried at one time.
const PIECE_BYTES: usize = 64 * 1024;

/// How late everything comes on a slow way: a round trip to another continent.
const DELAY: Duration = Duration::from_millis(120);

/// What the way does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Carries them.
    Pass,
    /// Carries each piece late.
    Delay,
    /// Cuts every connection, old and new.
    Reset,
    /// Carries nothing, and tells nobody: connections stay open, and are cut when the way is whole again.
    HalfOpen,
    /// Carries calls, and cuts the connection when the answer comes.
    DropAnswers,
    /// Carries each call, and the same once more over a connection of its own, whose answer nobody gets.
    Replay,
}

/// A way to one address of the loopback interface.
pub(crate) struct Proxy {
    address: String,
    mode: watch::Sender<Mode>,
    /// How many pieces were hit by something else than `Pass`.
    hits: Arc<AtomicU64>,
}

impl Proxy {
    /// Opens a way to `target` on a free port.
    pub(crate) async fn open(target: String) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr().context("the address of a proxy")?.to_string();
        let (mode, modes) = watch::channel(Mode::Pass);
        let hits = Arc::<AtomicU64>::default();
        let way = Way { target, modes, hits: Arc::clone(&hits) };
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                tokio::spawn(way.clone().carry(caller));
            }
        });
        Ok(Self { address, mode, hits })
    }

    /// Host and port to call in place of the target's.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether the way is whole.
    pub(crate) fn passes(&self) -> bool {
        *self.mode.borrow() == Mode::Pass
    }

    /// Waits until the way is whole.
    pub(crate) async fn whole(&self) {
        let _ = self.mode.subscribe().wait_for(|mode| *mode == Mode::Pass).await;
    }

    /// How often bytes were hit.
    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Does so from now on.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Does so for a while, and is whole again by itself.
    pub(crate) fn set_for(&self, mode: Mode, span: Duration) {
        self.set(mode);
        let later = self.mode.clone();
        tokio::spawn(async move {
            tokio::time::sleep(span).await;
            later.send_replace(Mode::Pass);
        });
    }
}

#[derive(Clone)]
struct Way {
    target: String,
    modes: watch::Receiver<Mode>,
    hits: Arc<AtomicU64>,
}

impl Way {
    async fn carry(self, mut caller: TcpStream) {
        if self.now() == Mode::Reset {
            let _ = caller.set_zero_linger();
            return self.hit();
        }
        let Ok(mut callee) = TcpStream::connect(&self.target).await else { return };
        let _ = caller.set_nodelay(true);
        let _ = callee.set_nodelay(true);
        let mut modes = self.modes.clone();
        let is_cut = {
            let (from_caller, to_caller) = caller.split();
            let (from_callee, to_callee) = callee.split();
            tokio::select! {
                is_cut = self.clone().calls(from_caller, to_callee) => is_cut,
                is_cut = self.clone().answers(from_callee, to_caller) => is_cut,
                () = reset(&mut modes) => {
                    self.hit();
                    true
                }
            }
        };
        if is_cut {
            // Neither end is told goodbye: what follows is a reset.
            let _ = caller.set_zero_linger();
            let _ = callee.set_zero_linger();
        }
    }

    /// Carries what the caller sends, until one of both has ended; whether the connection is to be cut.
    async fn calls(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> bool {
        let mut piece = vec![0; PIECE_BYTES];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            match self.now() {
                Mode::Delay => self.late().await,
                Mode::HalfOpen => return self.swallow().await,
                Mode::Replay => self.once_more(piece[..length].to_vec()),
                Mode::Pass | Mode::DropAnswers | Mode::Reset => {}
            }
            if to.write_all(&piece[..length]).await.is_err() {
                break;
            }
        }
        false
    }

    /// Carries what the callee answers, until one of both has ended; whether the connection is to be cut.
    async fn answers(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> bool {
        let mut piece = vec![0; PIECE_BYTES];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            match self.now() {
                Mode::Delay => self.late().await,
                Mode::HalfOpen => return self.swallow().await,
                Mode::DropAnswers => {
                    self.hit();
                    return true;
                }
                Mode::Pass | Mode::Replay | Mode::Reset => {}
            }
            if to.write_all(&piece[..length]).await.is_err() {
                break;
            }
        }
        false
    }

    async fn late(&self) {
        self.hit();
        tokio::time::sleep(DELAY).await;
    }

    /// Forgets what came, and holds the connection open until the way is whole; it is cut then.
    async fn swallow(&mut self) -> bool {
        self.hit();
        let _ = self.modes.wait_for(|mode| *mode != Mode::HalfOpen).await;
        true
    }

    fn once_more(&self, piece: Vec<u8>) {
        self.hit();
        let target = self.target.clone();
        tokio::spawn(async move {
            let Ok(mut callee) = TcpStream::connect(target).await else { return };
            let mut answer = [0; 1024];
            if callee.write_all(&piece).await.is_ok() {
                // As long as the callee talks it is not cut off, because it would then take the call back.
                while matches!(callee.read(&mut answer).await, Ok(1..)) {
                    if answer.starts_with(b"HTTP/") {
                        break;
                    }
                }
            }
        });
    }

    fn now(&self) -> Mode {
        *self.modes.borrow()
    }

    fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }
}

/// Comes back when connections are to be cut.
async fn reset(modes: &mut watch::Receiver<Mode>) {
    if modes.wait_for(|mode| *mode == Mode::Reset).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody who answers each piece with the same, and tells what came.
    async fn echo() -> (String, tokio::sync::mpsc::UnboundedReceiver<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (tell, told) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    let mut piece = [0; 64];
                    while let Ok(length @ 1..) = stream.read(&mut piece).await {
                        let _ = tell.send(piece[..length].to_vec());
                        let _ = stream.write_all(&piece[..length]).await;
                    }
                });
            }
        });
        (address, told)
    }

    async fn call(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
        stream.write_all(b"hello").await?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        Ok(answer.to_vec())
    }

    #[tokio::test]
    async fn a_whole_way_carries_both_ways_and_a_cut_one_does_not() {
        let (target, _told) = echo().await;
        let proxy = Proxy::open(target).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(call(&mut stream).await.unwrap(), b"hello");
        proxy.set(Mode::Reset);
        let mut piece = [0];
        assert!(stream.read_exact(&mut piece).await.is_err());
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(call(&mut new).await.is_err());
        assert!(proxy.hits() >= 2);
    }

    #[tokio::test]
    async fn a_call_whose_answer_is_dropped_has_arrived() {
        let (target, mut told) = echo().await;
        let proxy = Proxy::open(target).await.unwrap();
        proxy.set(Mode::DropAnswers);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(call(&mut stream).await.is_err());
        assert_eq!(told.recv().await.unwrap(), b"hello");
    }

    #[tokio::test]
    async fn a_call_that_is_replayed_arrives_twice_and_is_answered_once() {
        let (target, mut told) = echo().await;
        let proxy = Proxy::open(target).await.unwrap();
        proxy.set(Mode::Replay);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(call(&mut stream).await.unwrap(), b"hello");
        assert_eq!(told.recv().await.unwrap(), b"hello");
        assert_eq!(told.recv().await.unwrap(), b"hello");
    }

    #[tokio::test]
    async fn what_came_while_a_way_was_half_open_is_gone_and_the_connection_is_cut_later() {
        let (target, mut told) = echo().await;
        let proxy = Proxy::open(target).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(call(&mut stream).await.unwrap(), b"hello");
        proxy.set(Mode::HalfOpen);
        stream.write_all(b"lost").await.unwrap();
        while proxy.hits() == 0 {
            tokio::task::yield_now().await;
        }
        proxy.set(Mode::Pass);
        let mut piece = [0];
        assert!(stream.read_exact(&mut piece).await.is_err());
        assert_eq!(told.recv().await.unwrap(), b"hello");
        assert!(told.try_recv().is_err());
    }
}
