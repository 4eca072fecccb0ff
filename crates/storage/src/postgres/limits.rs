//! Limits of the PostgreSQL store: everything in it that could grow or wait has one here, with its reason.

use std::time::Duration;

pub(super) use crate::stored::limits::{
    FIND_OWNERS, FIND_TREES, KEY_MS, LATELY_MS, LATELY_ROWS, PACE_ROWS, RATE_BURST_US, STOCK_LOOK,
    STOCK_SELECT_LOOK, TOKENS, UNSERVED_TIMEOUT_MS,
};

/// Connections of one server at most: beyond, PostgreSQL does less with each further one, not more.
pub(super) const CONNECTIONS: usize = 16;

/// How old an answer about the database's time may be that is carried on: some fifty questions a second, in place of three for each
/// call; and as late as a step of its clock may be noticed.
pub(super) const CARRIED: Duration = Duration::from_millis(20);

/// For how long a task that is ready may be passed by with one that becomes ready: a few times what a claim takes on a busy machine, and
/// nothing to whoever waits for data.
pub(super) const PASSED_BY_MS: i64 = 50;

/// How long a connection of the pool is waited for: longer than a full pool takes to get through what waits in front of a
/// caller, shorter than a caller's patience.
pub(super) const POOL_WAIT: Duration = Duration::from_secs(5);

/// How long making a connection may take, TLS and password included.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

/// How long what was sent may go unacknowledged before the connection counts as lost: a database that has lost its power never
/// says so.
pub(super) const UNACKNOWLEDGED: Duration = Duration::from_secs(15);

/// How long one statement may take; the slowest sweep takes a hundredth of it.
pub(super) const STATEMENT_MS: u64 = 10_000;

/// How long a row is waited for that another transaction holds. Shorter than [`STATEMENT_MS`], so that the error names the
/// cause; longer than any transaction of ours takes.
pub(super) const LOCK_MS: u64 = 3_000;

/// How long the database lets a transaction stand in which nothing happens: ours never wait for anybody but the database, so
/// its server is gone. An open transaction keeps vacuum from taking away what is old.
pub(super) const IDLE_IN_TRANSACTION_MS: u64 = 10_000;

/// How long a whole transaction may take, seen from here: what the database does not end by itself.
pub(super) const TRANSACTION: Duration = Duration::from_secs(30);

/// How many times as long a transaction may take as what the database answers at once, such as its time: five seconds of thirty,
/// as long as a connection is waited for.
pub(super) const AT_ONCE_OF_PATIENCE: u32 = 6;

/// How long a rollback is waited for. A connection that does not come to it in that time is given up, and undone with that.
pub(super) const ROLLBACK: Duration = Duration::from_secs(5);

/// How long a write waits for those of this process that came before it. They end by themselves in less.
pub(super) const TURN: Duration = Duration::from_secs(30);

/// How long a statement of a migration may take, such as one that looks at every row; and how long somebody else who makes the same
/// new store is waited for.
pub(super) const MIGRATION_MS: u64 = 600_000;

/// How long a statement of a migration waits for a table or a row that somebody else holds: as long as everybody else may have to wait
/// behind it.
pub(super) const MIGRATION_LOCK_MS: u64 = 500;

/// The shortest pause before it is tried again: as long again as it has held others up.
pub(super) const MIGRATION_PAUSE_MS: u64 = 500;

/// How often it is tried: for some minutes. Whoever holds a table for longer will hold it when somebody has looked why.
pub(super) const MIGRATION_TRIES: u32 = 120;

/// Rows that a migration brings to their new form with one commit: some ten milliseconds, in which nobody waits who does not want
/// one of them.
pub(super) const MOVED_AT_ONCE: i64 = 1_000;

/// How soon the database finds out that a migrator is gone whose machine was lost: another one may begin then.
pub(super) const GUARD_PROBES: &str = "SET LOCAL tcp_keepalives_idle = 15; SET LOCAL tcp_keepalives_interval = 5; SET LOCAL tcp_keepalives_count = 3";

/// How often a transaction is carried out at most. One that is refused because of another one is likely to pass the next
/// time; one that is refused so often meets a stream of others, and its caller had better come back later.
pub(super) const ATTEMPTS: u32 = 5;

/// The longest pause before the second attempt; it doubles with each further one. About as long as a transaction takes.
pub(super) const PAUSE_MS: u64 = 8;

/// Names and other small things that are remembered; beyond, they are all forgotten and read again.
pub(super) const REMEMBERED: usize = 20_000;

/// How far ahead weeks for events are made: a server that runs for longer makes further ones in time.
pub(super) const EVENT_WEEKS_AHEAD_MS: i64 = 4 * 7 * 86_400_000;

/// Outputs of trees that are being made that are looked at for the same: few are being made at a time, and a few of these may be
/// large.
pub(super) const FIND_OUTPUTS: i64 = 2_000;

/// How far a place in a line is counted: nobody reads a larger number.
pub(super) const PLACES: i64 = 10_000;

/// How long wake-ups are gathered before they are told: nobody notices so little, and however much is written, other
/// transactions are kept from committing by telling at most two hundred times a second.
pub(super) const GATHER: Duration = Duration::from_millis(5);

/// Wake-ups that are told at once, or wait to be heard. Beyond, everybody looks once, which is less than that many would bring.
pub(super) const WAKEUPS: usize = 2_000;

/// Bytes of one text that is told. PostgreSQL takes less than 8,000.
pub(super) const NOTIFY_BYTES: usize = 7_900;

/// How often a server finds out whether it hears what is told: as often as those look by themselves who rely on it.
pub(super) const ECHO_EVERY: Duration = Duration::from_secs(5);

/// How long a server that hears nothing waits before it connects once more.
pub(super) const LISTEN_AGAIN: Duration = Duration::from_secs(2);

/// For so long nobody looks for overdue leases before the first is over of those that were there: one that was granted meanwhile,
/// for less than that, is noticed later by as much.
pub(super) const LEASES_UNSEEN: Duration = Duration::from_secs(2);
