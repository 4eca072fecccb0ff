//! Listening: the one connection over which a server tells and hears wake-ups.
//!
//! ```text
//! connected -> LISTEN -> echo sent --heard--> proven
//!   ^                                           | an echo does not come back, or the connection is lost
//!   '-------------------------- a pause ----------'
//! ```
//!
//! Telling has a transaction of its own and no connection but this one: a transaction that notifies keeps all others of the
//! database server from committing until it has. When no echo comes back wake-ups are told all the same, and whoever waits here
//! looks by itself. Behind a pooler nobody listens at all ([`telling`]).

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{AsyncMessage, Client, Config};
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::board::Board;
use super::faults::Fault;
use super::limits::{CONNECT, ECHO_EVERY, GATHER, LISTEN_AGAIN};
use super::opening::connector;
use super::pooler::Way;
use super::presence::announce;
use super::telling;
use crate::error::StoreError;
use crate::wakeups::Wakeup;

/// Tells and hears until it is stopped.
pub(super) async fn run(address: Address, way: Way, known: u32, board: Arc<Board>, stop: CancellationToken) {
    let listening = async {
        loop {
            let ended = match way {
                Way::Direct => listen(&address, known, &board).await,
                Way::Pooled(_) => telling::tell(&address, known, &board).await,
            };
            board.set_proven(false);
            tracing::debug!(?ended, "wake-ups of other servers are not heard");
            sleep(LISTEN_AGAIN).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = listening => {}
    }
}

/// Why nothing is heard any more.
#[derive(Debug)]
pub(super) enum Deaf {
    /// It cannot be connected to.
    Store(#[allow(dead_code, reason = "it is told by its debug form")] StoreError),
    /// The connection is lost, or a statement failed on it.
    Sql(#[allow(dead_code, reason = "it is told by its debug form")] Fault),
}

/// The task that reads what a connection hears; it ends when this goes.
pub(super) struct Hearing(JoinHandle<()>);

impl Hearing {
    /// Returns when the connection is lost.
    pub(super) async fn ended(&mut self) {
        let _ = (&mut self.0).await;
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Makes a connection, and reads what is told on it.
pub(super) async fn connect(
    config: &Config,
    address: &Address,
    hear: impl Fn(&str) + Send + 'static,
) -> Result<(Client, Hearing), Deaf> {
    let mut config = config.clone();
    let name = config.get_application_name().unwrap_or("sixpack").to_owned();
    config.application_name(format!("{name} wake-ups"));
    let connecting = config.connect(connector(address).map_err(Deaf::Store)?);
    let connected = timeout(CONNECT, connecting).await.map_err(|_| late("connecting"))?;
    let (client, mut connection) = connected.map_err(sql)?;
    let hearing = tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(told) = message {
                hear(told.payload());
            }
        }
    });
    Ok((client, Hearing(hearing)))
}

async fn listen(address: &Address, known: u32, board: &Arc<Board>) -> Result<(), Deaf> {
    let heard = Arc::clone(board);
    let (client, mut hearing) =
        connect(&address.of_a_session(), address, move |text| heard.read(text)).await?;
    // So that whoever finalizes the next version knows that this server is there.
    run_statement(&client, &announce(address.schema(), known)).await?;
    let channel = channel(&client, address.schema()).await?;
    run_statement(&client, &format!("LISTEN {channel}")).await?;
    // Numbers go on from one connection to the next: an echo of an earlier one proves nothing.
    let before = board.last_echo();
    let mut echoes = before;
    let mut next_echo = Instant::now();
    loop {
        tokio::select! {
            () = board.telling.notified() => {
                sleep(GATHER).await;
                let texts = board.take();
                notify(&client, &channel, texts).await.inspect_err(|_| board.tell(Wakeup::Anything))?;
            }
            () = tokio::time::sleep_until(next_echo) => {
                if !board.has_echoed(echoes) {
                    board.set_proven(false);
                    // Whatever stands between may have passed it on to another connection.
                    run_statement(&client, &format!("LISTEN {channel}")).await?;
                }
                echoes += 1;
                notify(&client, &channel, vec![board.echo_of(echoes)]).await?;
                next_echo = Instant::now() + ECHO_EVERY;
            }
            () = board.echo.notified() => {
                if echoes > before && board.has_echoed(echoes) && !board.is_proven() {
                    board.set_proven(true);
                    // What others have told before this moment may not have been heard.
                    board.hear(Wakeup::Anything, 1);
                }
            }
            () = hearing.ended() => return Err(late("the connection")),
        }
    }
}

/// The name of the channel of this store.
pub(super) async fn channel(client: &Client, schema: &str) -> Result<String, Deaf> {
    let asked = format!("SELECT 'sixpack_' || to_hex(hashtext('{schema}'))");
    let rows = timeout(STATEMENT, client.simple_query(&asked))
        .await
        .map_err(|_| late("asking for the channel"))?
        .map_err(sql)?;
    let name = rows.iter().find_map(|row| match row {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    name.ok_or_else(|| late("a channel"))
}

/// Without prepared statements, which a pooler may not know of.
pub(super) async fn notify(client: &Client, channel: &str, texts: Vec<String>) -> Result<(), Deaf> {
    if texts.is_empty() {
        return Ok(());
    }
    let quoted = texts.iter().map(|text| format!("('{}')", text.replace('\'', "''")));
    let values = quoted.collect::<Vec<_>>().join(", ");
    run_statement(
        client,
        &format!("SELECT pg_notify('{channel}', text) FROM (VALUES {values}) AS told (text)"),
    )
    .await
}

pub(super) async fn run_statement(client: &Client, sql_text: &str) -> Result<(), Deaf> {
    let ran = timeout(STATEMENT, client.simple_query(sql_text)).await;
    ran.map_err(|_| late("telling"))?.map(|_| ()).map_err(sql)
}

/// How long a statement may take before the connection counts as lost: all are short.
const STATEMENT: Duration = CONNECT;

fn sql(cause: tokio_postgres::Error) -> Deaf {
    Deaf::Sql(Fault::Sql(cause))
}

pub(super) fn late(what: &'static str) -> Deaf {
    Deaf::Sql(Fault::Late(what))
}
