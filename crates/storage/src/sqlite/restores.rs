//! Restores in SQLite.

use async_trait::async_trait;
use rusqlite::params;
use sixpack_model::ids::SessionId;
use sixpack_model::session::SessionStatus;

use super::SqliteStore;
use super::columns::id;
use super::statements::Statements;
use super::writer::Tx;
use crate::error::StoreError;
use crate::restores::{EVENTS_JUMP, Restored, Restores};
use crate::stored::restores::{next_epoch, told};

#[async_trait]
impl Restores for SqliteStore {
    async fn after_restore(&self, from: &str) -> Result<Restored, StoreError> {
        let from = from.to_owned();
        self.write("making a restored store go on", move |tx| {
            let epoch = "SELECT fence_epoch FROM meta";
            let before = tx.connection.one(epoch, [], |row| row.get::<_, i64>(0))?.unwrap_or_default();
            let epoch = next_epoch(tx.now, before);
            tx.connection.run("UPDATE meta SET fence_epoch = ?1", [epoch])?;
            let leases = tx
                .connection
                .run("UPDATE lease SET expires_at = min(expires_at, ?1) WHERE status = 0", [tx.now])?;
            let in_stock = tx.connection.run("UPDATE stock SET checked_at = 0, fresh_until = 0", [])?;
            let live = "SELECT id FROM session INDEXED BY session_open WHERE status < 2";
            let live = tx.connection.all(live, [], |row| id(row, 0).map(SessionId))?;
            for session in &live {
                tx.unserve(*session)?;
                tx.move_session(*session, SessionStatus::Dead)?;
            }
            tx.tell_of_restore(&from)?;
            Ok(Restored {
                leases: leases as u64,
                sessions: live.len() as u64,
                in_stock: in_stock as u64,
                fence_epoch: epoch.unsigned_abs(),
            })
        })
        .await
    }
}

impl Tx<'_> {
    /// Goes on with numbers of events that the store as it was cannot have reached, and tells of the restore under the first.
    fn tell_of_restore(&self, from: &str) -> rusqlite::Result<()> {
        let last = "SELECT coalesce(max(sequence), 0) FROM event";
        let last = self.connection.one(last, [], |row| row.get::<_, i64>(0))?.unwrap_or_default();
        let event = told(self.now, from, last);
        self.connection.run(
            "INSERT INTO event (sequence, at, environment, kind, part, data) VALUES (?1, ?2, ?3, ?4, 0, ?5)",
            params![last + EVENTS_JUMP, event.at, event.environment, event.kind, event.data],
        )?;
        self.connection.run("UPDATE meta SET events_gone = ?1", [last + EVENTS_JUMP - 1]).map(|_| ())
    }
}
