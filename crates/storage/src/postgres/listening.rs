//! Listening: the one connection over which a server tells and hears wake-ups.
//!
//! ```text
//! connected -> LISTEN -> echo sent --heard--> proven
//!   ^                                           | an echo does not come back, or the connection is lost
//!   '-------------------------- a pause ----------'
//! ```
//!
//! Telling has a transaction of its own and no connection but this one: a transaction that notifies keeps all others of the
//! database server from committing until it has. A pooler of connections that takes LISTEN and forgets it is noticed because no
//! echo comes back: wake-ups are told all the same, and whoever waits here looks by itself.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{AsyncMessage, Client};
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::board::Board;
use super::faults::Fault;
use super::limits::{CONNECT, ECHO_EVERY, GATHER, LISTEN_AGAIN};
use super::opening::connector;
use super::presence::announce;
use crate::error::StoreError;
use crate::wakeups::Wakeup;

/// Tells and hears until it is stopped.
pub(super) async fn run(address: Address, known: u32, board: Arc<Board>, stop: CancellationToken) {
    let listening = async {
        loop {
            let ended = listen(&address, known, &board).await;
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
enum Deaf {
    /// It cannot be connected to.
    Store(#[allow(dead_code, reason = "it is told by its debug form")] StoreError),
    /// The connection is lost, or a statement failed on it.
    Sql(#[allow(dead_code, reason = "it is told by its debug form")] Fault),
}

/// Ends its task when it goes.
struct Hearing(JoinHandle<()>);

impl Drop for Hearing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn listen(address: &Address, known: u32, board: &Arc<Board>) -> Result<(), Deaf> {
    let mut config = address.config.clone();
    let name = config.get_application_name().unwrap_or("sixpack").to_owned();
    config.application_name(format!("{name} wake-ups"));
    let connecting = config.connect(connector(address).map_err(Deaf::Store)?);
    let connected = timeout(CONNECT, connecting).await.map_err(|_| late("connecting"))?;
    let (client, mut connection) = connected.map_err(sql)?;
    let heard = Arc::clone(board);
    let hearing = tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(told) = message {
                heard.read(told.payload());
            }
        }
    });
    let mut hearing = Hearing(hearing);
    // So that whoever finalizes the next version knows that this server is there.
    run_statement(&client, &announce(known)).await?;
    let channel = channel(&client).await?;
    run_statement(&client, &format!("LISTEN {channel}")).await?;
    // Numbers go on from one connection to the next: an echo of an earlier one proves nothing.
    let mut echoes = board.last_echo();
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
                    // A pooler of connections may have passed it on to another one.
                    run_statement(&client, &format!("LISTEN {channel}")).await?;
                }
                echoes += 1;
                notify(&client, &channel, vec![board.echo_of(echoes)]).await?;
                next_echo = Instant::now() + ECHO_EVERY;
            }
            () = board.echo.notified() => {
                if board.has_echoed(echoes) && !board.is_proven() {
                    board.set_proven(true);
                    // What others have told before this moment may not have been heard.
                    board.hear(Wakeup::Anything, 1);
                }
            }
            _ = &mut hearing.0 => return Err(late("the connection")),
        }
    }
}

/// The name of the channel of this store.
async fn channel(client: &Client) -> Result<String, Deaf> {
    let asked =
        timeout(STATEMENT, client.simple_query("SELECT 'sixpack_' || to_hex(hashtext(current_schema()))"));
    let rows = asked.await.map_err(|_| late("asking for the channel"))?.map_err(sql)?;
    let name = rows.iter().find_map(|row| match row {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    name.ok_or_else(|| late("a channel"))
}

/// Without prepared statements, which a pooler may not know of.
async fn notify(client: &Client, channel: &str, texts: Vec<String>) -> Result<(), Deaf> {
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

async fn run_statement(client: &Client, sql_text: &str) -> Result<(), Deaf> {
    let ran = timeout(STATEMENT, client.simple_query(sql_text)).await;
    ran.map_err(|_| late("telling"))?.map(|_| ()).map_err(sql)
}

/// How long a statement may take before the connection counts as lost: all are short.
const STATEMENT: Duration = CONNECT;

fn sql(cause: tokio_postgres::Error) -> Deaf {
    Deaf::Sql(Fault::Sql(cause))
}

fn late(what: &'static str) -> Deaf {
    Deaf::Sql(Fault::Late(what))
}
