//! Troubles: what keeps a line from being filled, and what keeps all lines from it that need the same.

use rusqlite::{Connection, Row, params};
use sixpack_model::ids::{LineId, TreeId};
use sixpack_model::stock::pause_ms;

use super::columns::{int, name, parsed, time_at, unreadable};
use super::failures::StoredFailure;
use super::placing::Place;
use super::statements::Statements;
use super::writer::Tx;
use crate::stock::{SharedTrouble, Trouble};

/// Every trouble that lines share, with its environment; nearly always none.
const SHARED: &str = "SELECT e.name, c.name, s.failures, s.pauses, s.since, s.retry_at, s.failure,
           EXISTS (SELECT 1 FROM tree t WHERE t.id = s.probe AND t.place = ?1), s.contract
    FROM stock_trouble_shared s JOIN contract c ON c.id = s.contract JOIN environment e ON e.id = c.environment";

/// Reads what lines share.
pub(super) fn shared_troubles(connection: &Connection) -> rusqlite::Result<Vec<SharedTrouble>> {
    let list = format!("{SHARED} ORDER BY s.contract");
    connection.all(&list, [Place::Coming.code()], |row| read_shared(row).map(|(_, shared)| shared))
}

impl Tx<'_> {
    /// Has a line left alone for a while, because it could not be filled. What fails while it is left alone already was
    /// begun before: it is counted, and does not make the pause longer.
    pub(super) fn note_trouble(
        &self,
        line: LineId,
        (contract, failure): (&str, &str),
        tree: TreeId,
    ) -> rusqlite::Result<()> {
        let read = "SELECT failures, pauses, retry_at FROM stock_trouble WHERE line = ?1";
        let before = self.connection.one(read, [line.0], |row| {
            Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?, row.get::<_, i64>(2)?))
        })?;
        let (failures, pauses, retry_at) = before.unwrap_or((0, 0, 0));
        let (pauses, retry_at) = self.next_pause(pauses, retry_at, tree);
        self.connection.run(
            "INSERT INTO stock_trouble (line, failures, pauses, since, retry_at, failure)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET failures = excluded.failures, pauses = excluded.pauses,
                 retry_at = excluded.retry_at, failure = excluded.failure",
            params![line.0, failures.saturating_add(1), pauses, self.now, retry_at, failure],
        )?;
        self.note_shared_trouble(line, (contract, failure), tree)
    }

    /// When several lines have failed because of one contract, all that need it are left alone together: what they have in
    /// common is to blame, and each would find that out for itself.
    fn note_shared_trouble(
        &self,
        line: LineId,
        (contract, failure): (&str, &str),
        tree: TreeId,
    ) -> rusqlite::Result<()> {
        let find = "SELECT blamed.id FROM stock_line l JOIN contract c ON c.id = l.contract
             JOIN contract blamed ON blamed.environment = c.environment AND blamed.name = ?2 WHERE l.id = ?1";
        let blamed = self.connection.one(find, params![line.0, contract], |row| row.get::<_, i64>(0))?;
        let Some(blamed) = blamed else { return Ok(()) };
        let read = "SELECT failures, pauses, retry_at FROM stock_trouble_shared WHERE contract = ?1";
        let before = self.connection.one(read, [blamed], |row| {
            Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?, row.get::<_, i64>(2)?))
        })?;
        let (failures, pauses, retry_at) = match before {
            Some(before) => before,
            None => match self.failures_of_several(blamed, contract)? {
                // This one is among them.
                Some(failures) => (failures.saturating_sub(1), 0, 0),
                None => return Ok(()),
            },
        };
        let (pauses, retry_at) = self.next_pause(pauses, retry_at, tree);
        self.connection.run(
            "INSERT INTO stock_trouble_shared (contract, failures, pauses, since, retry_at, failure)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET failures = excluded.failures, pauses = excluded.pauses,
                 retry_at = excluded.retry_at, failure = excluded.failure, probe = nullif(probe, ?7)",
            params![
                blamed,
                failures.saturating_add(1),
                pauses,
                self.now,
                retry_at,
                failure,
                tree.0.as_bytes()
            ],
        )?;
        Ok(())
    }

    /// How often lines have failed because of a contract; `None` when it is one line alone.
    fn failures_of_several(&self, blamed: i64, contract: &str) -> rusqlite::Result<Option<u32>> {
        let (lines, failures) = self
            .connection
            .prepare_cached(
                "SELECT count(*), coalesce(sum(t.failures), 0)
                 FROM stock_trouble t JOIN stock_line l ON l.id = t.line JOIN contract c ON c.id = l.contract
                 WHERE t.failure ->> '$.contract' = ?2
                   AND c.environment = (SELECT environment FROM contract WHERE id = ?1)",
            )?
            .query_row(params![blamed, contract], |row| Ok((row.get::<_, u32>(0)?, row.get(1)?)))?;
        Ok((lines > 1).then_some(failures))
    }

    /// How often the pause has grown, and when it is over. What fails while it lasts was begun before.
    fn next_pause(&self, pauses: u32, retry_at: i64, tree: TreeId) -> (u32, i64) {
        if retry_at > self.now {
            return (pauses, retry_at);
        }
        let pauses = pauses.saturating_add(1);
        // Lines that failed together are not tried again together: the last byte of an id is chance enough.
        let spread = u64::from(tree.0.as_bytes()[15]);
        let pause = pause_ms(pauses) * (896 + spread) / 1024;
        (pauses, self.now.saturating_add(int(pause)))
    }

    /// A refill got through: whatever it needed works.
    pub(super) fn end_shared_trouble(&self, tree: TreeId) -> rusqlite::Result<()> {
        let any = "SELECT 1 FROM stock_trouble_shared LIMIT 1";
        if self.connection.one(any, [], |_| Ok(()))?.is_some() {
            self.connection.run(
                "DELETE FROM stock_trouble_shared WHERE contract IN (SELECT contract FROM dataset WHERE tree = ?1)",
                [tree.0.as_bytes()],
            )?;
        }
        Ok(())
    }

    /// How many refills may be begun for a line that needs these contracts: any number, or one when some of them are in
    /// trouble, or none while that has to be waited for. Also the rows of those troubles.
    ///
    /// A line that has not failed itself need not wait for the time: it may show that it works, or else fails once. A service
    /// may refuse one country, and serve all others.
    pub(super) fn room_in_trouble(
        &self,
        line: LineId,
        environment: &str,
        needs: &[String],
    ) -> rusqlite::Result<(usize, Vec<i64>)> {
        let list = format!("{SHARED} WHERE e.name = ?2 ORDER BY s.contract");
        let shared = self.connection.all(&list, params![Place::Coming.code(), environment], read_shared)?;
        let needed: Vec<_> =
            shared.into_iter().filter(|(_, shared)| needs.contains(&shared.contract.to_string())).collect();
        if needed.is_empty() {
            return Ok((usize::MAX, Vec::new()));
        }
        let own = "SELECT 1 FROM stock_trouble WHERE line = ?1";
        let has_failed = self.connection.one(own, [line.0], |_| Ok(()))?.is_some();
        let waits = |shared: &SharedTrouble| {
            shared.is_tried || (has_failed && shared.trouble.retry_at.as_millisecond() > self.now)
        };
        let room = usize::from(!needed.iter().any(|(_, shared)| waits(shared)));
        Ok((room, needed.into_iter().map(|(contract, _)| contract).collect()))
    }

    /// A refill is tried on behalf of all lines that share these troubles.
    pub(super) fn try_shared(&self, troubles: &[i64], tree: TreeId) -> rusqlite::Result<()> {
        for contract in troubles {
            let write = "UPDATE stock_trouble_shared SET probe = ?2 WHERE contract = ?1";
            self.connection.run(write, params![contract, tree.0.as_bytes()])?;
        }
        Ok(())
    }
}

fn read_shared(row: &Row<'_>) -> rusqlite::Result<(i64, SharedTrouble)> {
    let failure: StoredFailure<'_> = parsed(row, 6)?;
    let trouble = Trouble {
        failures: row.get(2)?,
        pauses: row.get(3)?,
        since: time_at(row, 4)?,
        retry_at: time_at(row, 5)?,
        failure: failure.into_failure().map_err(|cause| unreadable(6, cause))?,
    };
    let shared =
        SharedTrouble { environment: row.get(0)?, contract: name(row, 1)?, trouble, is_tried: row.get(7)? };
    Ok((row.get(8)?, shared))
}
