//! Keys: what a connection was given to cancel its statements with, which names the process that was asked for it.
//!
//! A database names the process that serves the connection. A pooler makes keys of its own, because it hands each transaction to
//! another process: where both differ, somebody stands between.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Client;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// The last bytes of what cancels: the process, then its secret.
const KEY_BYTES: usize = 8;

/// The process that the key of a connection names; `None` when it has none.
///
/// The driver shows a key to nobody, but writes it to whichever stream it is told to cancel by.
pub(super) async fn process_of(client: &Client) -> Option<i32> {
    let written = Arc::<Mutex<Vec<u8>>>::default();
    let paper = Paper(Arc::clone(&written));
    client.cancel_token().cancel_query_raw(paper, NoCipher).await.ok()?;
    let written = written.lock().unwrap_or_else(PoisonError::into_inner);
    let key = written.last_chunk::<KEY_BYTES>()?;
    key.first_chunk().map(|process| i32::from_be_bytes(*process))
}

/// Keeps what is written, and agrees to every encryption.
struct Paper(Arc<Mutex<Vec<u8>>>);

/// An encryption that changes nothing: what is written goes nowhere.
struct NoCipher;

impl TlsConnect<Paper> for NoCipher {
    type Stream = Paper;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Paper>>;

    fn connect(self, stream: Paper) -> Self::Future {
        std::future::ready(Ok(stream))
    }
}

impl TlsStream for Paper {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Paper {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // What a server says that encrypts.
        into.put_slice(b"S");
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Paper {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
