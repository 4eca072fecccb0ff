//! Troubles: what keeps a line from being filled, and what keeps all lines from it that need the same.
//!
//! Those of a line are written by whoever holds the line, and those that lines share by whoever holds the contract that is to
//! blame, or their row.

use sixpack_model::ids::{LineId, TreeId};
use sixpack_model::stock::pause_ms;
use tokio_postgres::Row;

use super::columns::{Int, get, int, named, number, parsed, time_at, unreadable};
use super::faults::Fault;
use super::statements::Connection;
use super::writer::Tx;
use crate::stock::{SharedTrouble, Trouble};
use crate::stored::failures::StoredFailure;
use crate::stored::places::Place;

/// Every trouble that lines share, with its environment; nearly always none.
const SHARED: &str = "SELECT e.name, c.name, s.failures, s.pauses, s.since, s.retry_at, s.failure,
           EXISTS (SELECT 1 FROM tree t WHERE t.id = s.probe AND t.place = $1), s.contract
    FROM stock_trouble_shared s JOIN contract c ON c.id = s.contract JOIN environment e ON e.id = c.environment";

/// Reads what lines share.
pub(super) async fn shared_troubles(connection: &Connection) -> Result<Vec<SharedTrouble>, Fault> {
    let list = format!("{SHARED} ORDER BY s.contract");
    let coming = Int(Place::Coming.code());
    connection.all(&list, &[&coming], |row| read_shared(row).map(|(_, shared)| shared)).await
}

impl Tx {
    /// Has a line left alone for a while, because it could not be filled. What fails while it is left alone already was
    /// begun before: it is counted, and does not make the pause longer.
    pub(super) async fn note_trouble(
        &mut self,
        line: LineId,
        (contract, failure): (&str, &str),
        tree: TreeId,
    ) -> Result<(), Fault> {
        let read = "SELECT failures, pauses, retry_at FROM stock_trouble WHERE line = $1";
        let before = self.connection.one(read, &[&line.0], read_pauses).await?;
        let (failures, pauses, retry_at) = before.unwrap_or((0, 0, 0));
        let (pauses, retry_at) = self.next_pause(pauses, retry_at, tree);
        let write = "INSERT INTO stock_trouble (line, failures, pauses, since, retry_at, failure)
                     VALUES ($1, $2, $3, $4, $5, $6)
                     ON CONFLICT (line) DO UPDATE SET failures = excluded.failures, pauses = excluded.pauses,
                         retry_at = excluded.retry_at, failure = excluded.failure";
        let counts = (i64::from(failures.saturating_add(1)), i64::from(pauses));
        self.connection
            .later(write, &[&line.0, &counts.0, &counts.1, &self.now, &retry_at, &failure])
            .await?;
        self.note_shared_trouble(line, (contract, failure), tree).await
    }

    /// The number of the contract that is to blame for what a line was not filled with.
    pub(super) async fn blamed(&self, line: LineId, contract: &str) -> Result<Option<i64>, Fault> {
        let find = "SELECT blamed.id FROM stock_line l JOIN contract c ON c.id = l.contract
                    JOIN contract blamed ON blamed.environment = c.environment AND blamed.name = $2 WHERE l.id = $1";
        self.connection.one(find, &[&line.0, &contract], |row| get(row, 0)).await
    }

    /// When several lines have failed because of one contract, all that need it are left alone together: what they have in
    /// common is to blame, and each would find that out for itself.
    async fn note_shared_trouble(
        &self,
        line: LineId,
        (contract, failure): (&str, &str),
        tree: TreeId,
    ) -> Result<(), Fault> {
        let Some(blamed) = self.blamed(line, contract).await? else { return Ok(()) };
        let read =
            "SELECT failures, pauses, retry_at FROM stock_trouble_shared WHERE contract = $1 FOR UPDATE";
        let before = self.connection.one(read, &[&blamed], read_pauses).await?;
        let (failures, pauses, retry_at) = match before {
            Some(before) => before,
            None => match self.failures_of_several(blamed, contract).await? {
                // This one is among them.
                Some(failures) => (failures.saturating_sub(1), 0, 0),
                None => return Ok(()),
            },
        };
        let (pauses, retry_at) = self.next_pause(pauses, retry_at, tree);
        let write = "INSERT INTO stock_trouble_shared AS s (contract, failures, pauses, since, retry_at, failure)
                     VALUES ($1, $2, $3, $4, $5, $6)
                     ON CONFLICT (contract) DO UPDATE SET failures = excluded.failures, pauses = excluded.pauses,
                         retry_at = excluded.retry_at, failure = excluded.failure, probe = nullif(s.probe, $7)";
        let counts = (i64::from(failures.saturating_add(1)), i64::from(pauses));
        self.connection
            .later(write, &[&blamed, &counts.0, &counts.1, &self.now, &retry_at, &failure, &tree.0])
            .await
    }

    /// How often lines have failed because of a contract; `None` when it is one line alone.
    async fn failures_of_several(&self, blamed: i64, contract: &str) -> Result<Option<u32>, Fault> {
        let count = "SELECT count(*), coalesce(sum(t.failures), 0)::bigint
                     FROM stock_trouble t JOIN stock_line l ON l.id = t.line JOIN contract c ON c.id = l.contract
                     WHERE t.failure::json ->> 'contract' = $2
                       AND c.environment = (SELECT environment FROM contract WHERE id = $1)";
        let read = |row: &Row| Ok((number::<u32>(row, 0)?, number(row, 1)?));
        let counted = self.connection.one(count, &[&blamed, &contract], read).await?;
        let (lines, failures) = counted.expect("a count gives a row");
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
    pub(super) async fn end_shared_trouble(&self, tree: TreeId) -> Result<(), Fault> {
        let end = "DELETE FROM stock_trouble_shared
                   WHERE contract = ANY (ARRAY (SELECT contract FROM dataset WHERE tree = $1))";
        self.connection.later(end, &[&tree.0]).await
    }

    /// How many refills may be begun for a line that needs these contracts: any number, or one when some of them are in
    /// trouble, or none while that has to be waited for. Also the rows of those troubles, which are held from now on, so that
    /// one line at a time is tried.
    ///
    /// A line that has not failed itself need not wait for the time: it may show that it works, or else fails once. A service
    /// may refuse one country, and serve all others.
    pub(super) async fn room_in_trouble(
        &self,
        line: LineId,
        environment: &str,
        needs: &[String],
    ) -> Result<(usize, Vec<i64>), Fault> {
        let lock = "SELECT s.contract FROM stock_trouble_shared s JOIN contract c ON c.id = s.contract
                    JOIN environment e ON e.id = c.environment
                    WHERE e.name = $1 AND c.name = ANY ($2) ORDER BY s.contract FOR UPDATE OF s";
        let locked: Vec<i64> = self.connection.all(lock, &[&environment, &needs], |row| get(row, 0)).await?;
        // What whoever held them before has done is seen by a new statement.
        let list = format!("{SHARED} WHERE s.contract = ANY ($2) ORDER BY s.contract");
        let coming = Int(Place::Coming.code());
        let needed = self.connection.all(&list, &[&coming, &locked], read_shared).await?;
        if needed.is_empty() {
            return Ok((usize::MAX, Vec::new()));
        }
        let own = "SELECT 1 FROM stock_trouble WHERE line = $1";
        let has_failed = self.connection.one(own, &[&line.0], |_| Ok(())).await?.is_some();
        let waits = |shared: &SharedTrouble| {
            shared.is_tried || (has_failed && shared.trouble.retry_at.as_millisecond() > self.now)
        };
        let room = usize::from(!needed.iter().any(|(_, shared)| waits(shared)));
        Ok((room, needed.into_iter().map(|(contract, _)| contract).collect()))
    }

    /// A refill is tried on behalf of all lines that share these troubles.
    pub(super) async fn try_shared(&self, troubles: &[i64], tree: TreeId) -> Result<(), Fault> {
        let write = "UPDATE stock_trouble_shared SET probe = $2 WHERE contract = ANY ($1)";
        self.connection.later(write, &[&troubles, &tree.0]).await
    }
}

fn read_pauses(row: &Row) -> Result<(u32, u32, i64), Fault> {
    Ok((number(row, 0)?, number(row, 1)?, get(row, 2)?))
}

fn read_shared(row: &Row) -> Result<(i64, SharedTrouble), Fault> {
    let failure: StoredFailure<'_> = parsed(row, 6)?;
    let trouble = Trouble {
        failures: number(row, 2)?,
        pauses: number(row, 3)?,
        since: time_at(row, 4)?,
        retry_at: time_at(row, 5)?,
        failure: failure.into_failure().map_err(|cause| unreadable(6, cause))?,
    };
    let shared = SharedTrouble {
        environment: get(row, 0)?,
        contract: named(row, 1)?,
        trouble,
        is_tried: get(row, 7)?,
    };
    Ok((get(row, 8)?, shared))
}
