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

use tokio::time::{Instant, sleep, sleep_until};

use super::address::Address;
use super::board::Board;
use super::limits::{ECHO_EVERY, GATHER};
use super::listening::{Deaf, channel, connect, late, notify, run_statement};
use super::presence::announce_in_transaction;
use crate::wakeups::Wakeup;

/// Tells until a connection is lost.
pub(super) async fn tell(address: &Address, known: u32, board: &Arc<Board>) -> Result<(), Deaf> {
    let (standing, mut stands) = connect(&address.config, address, |_| {}).await?;
    let settings = address.of_a_transaction(&[("idle_in_transaction_session_timeout", 0)]);
    let announce = announce_in_transaction(address.schema(), known);
    run_statement(&standing, &format!("BEGIN; {settings}; {announce}")).await?;
    let (client, mut connected) = connect(&address.config, address, |_| {}).await?;
    let channel = channel(&client, address.schema()).await?;
    let mut next_look = Instant::now() + ECHO_EVERY;
    loop {
        tokio::select! {
            () = board.telling.notified() => {
                sleep(GATHER).await;
                let texts = board.take();
                notify(&client, &channel, texts).await.inspect_err(|_| board.tell(Wakeup::Anything))?;
            }
            // A pooler that has lost its connection says so when it is used.
            () = sleep_until(next_look) => {
                run_statement(&standing, "SELECT 1").await?;
                next_look = Instant::now() + ECHO_EVERY;
            }
            () = stands.ended() => return Err(late("the transaction of presence")),
            () = connected.ended() => return Err(late("the connection")),
        }
    }
}
