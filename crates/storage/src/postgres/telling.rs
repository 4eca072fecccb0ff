//! Telling: what a server does behind a pooler in place of [`super::listening`].
//!
//! A pooler hands `LISTEN` to one of its connections and what is heard there to whoever has that one later, if to anybody: now and
//! then an echo would come back, and prove nothing. So nobody listens, and whoever waits here looks by itself. Servers that are
//! connected directly hear what is told here.
//!
//! That this server is there is told by a transaction that stands for as long as it does. It has read and written nothing, so that it
//! keeps no row from being cleaned up; the pooler cannot give its connection to anybody else meanwhile, and closes it when ours is
//! gone.

use std::sync::Arc;

use tokio::time::sleep;

use super::address::Address;
use super::board::Board;
use super::limits::{ECHO_EVERY, GATHER, LISTEN_AGAIN};
use super::listening::{Deaf, channel, connect, late, notify, run_statement};
use super::presence::announce_in_transaction;
use crate::wakeups::Wakeup;

/// Stands as one who is there, and tells, until the connection that stands is lost.
pub(super) async fn tell(address: &Address, known: u32, board: &Arc<Board>) -> Result<(), Deaf> {
    let (standing, mut stands) = connect(&address.config, address, |_| {}).await?;
    let settings = address.of_a_transaction(&[("idle_in_transaction_session_timeout", 0)]);
    let announce = announce_in_transaction(address.schema(), known);
    // With any other isolation it would keep what it saw when it began.
    let begin = format!("BEGIN ISOLATION LEVEL READ COMMITTED; {settings}; {announce}");
    run_statement(&standing, &begin).await?;
    let telling = async {
        loop {
            let ended = tell_while_connected(address, board).await;
            tracing::debug!(?ended, "other servers are not told");
            // What was to be told meanwhile may be lost with the connection.
            board.tell(Wakeup::Anything);
            sleep(LISTEN_AGAIN).await;
        }
    };
    let standing = async {
        loop {
            sleep(ECHO_EVERY).await;
            // A pooler that has lost its connection says so when it is used.
            if let Err(lost) = run_statement(&standing, "SELECT 1").await {
                return lost;
            }
        }
    };
    tokio::select! {
        () = telling => Ok(()),
        lost = standing => Err(lost),
        () = stands.ended() => Err(late("the transaction of presence")),
    }
}

/// Tells until the connection is lost for it, or is too slow.
async fn tell_while_connected(address: &Address, board: &Arc<Board>) -> Result<(), Deaf> {
    let (client, mut connected) = connect(&address.config, address, |_| {}).await?;
    let channel = channel(&client, address.schema()).await?;
    loop {
        tokio::select! {
            () = board.telling.notified() => {
                sleep(GATHER).await;
                notify(&client, &channel, board.take()).await?;
            }
            () = connected.ended() => return Err(late("the connection")),
        }
    }
}
