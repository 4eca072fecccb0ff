//! Guards: what must still be true for a decision to be written, and what goes with it.

use rusqlite::params;
use sixpack_model::ids::TaskId;
use sixpack_model::tree::{Claim, PartStatus};

use super::codes::Code;
use super::statements::Statements;
use super::writer::Tx;
use super::writes::ChangeRow;
use crate::mutants::{self, Mutant};
use crate::trees::Guard;

/// What a guard stood for that was true.
#[derive(Default)]
pub(super) struct Passed {
    /// Since when the claim was in its session's hands that is given up now.
    pub(super) claimed_at: Option<i64>,
}

impl Passed {
    /// Of a statement that touched so many rows.
    fn by(rows: usize) -> Option<Self> {
        (rows > 0).then(Self::default)
    }
}

impl Tx<'_> {
    /// Checks a guard and carries out what it stands for, in one statement: nothing is written when it is not true.
    pub(super) fn pass(&mut self, guard: &Guard, change: &ChangeRow) -> rusqlite::Result<Option<Passed>> {
        match guard {
            Guard::None => Ok(Some(Passed::default())),
            Guard::Claim(claim) => self.drop_claim(claim),
            Guard::Abandoned(claim) => self.drop_abandoned(claim),
            Guard::Withdrawn(task) => {
                let take = "DELETE FROM task_withdrawn WHERE tree = ?1 AND part = ?2 AND serial = ?3";
                let key = params![task.tree.0.as_bytes(), task.part, task.serial];
                self.connection.run(take, key).map(Passed::by)
            }
            Guard::Unclaimed(task) => self.drop_unclaimed(*task),
            Guard::Lease(end) => Ok(self.end_lease(end, change)?.then(Passed::default)),
            Guard::Held { lease, fence } => Ok(self.is_held(*lease, *fence, change)?.then(Passed::default)),
            Guard::Quarantined => {
                let read = "SELECT 1 FROM tree WHERE id = ?1 AND status = ?2";
                let key = params![change.tree.0.as_bytes(), PartStatus::Quarantined.code()];
                Ok(self.connection.one(read, key, |_| Ok(()))?.map(|()| Passed::default()))
            }
            Guard::Overdue(lease) => Ok(self.expire_lease(*lease, change)?.then(Passed::default)),
        }
    }

    fn drop_claim(&self, claim: &Claim) -> rusqlite::Result<Option<Passed>> {
        let task = claim.task;
        let passed = self.connection.one(
            "SELECT claimed_at FROM task_claim
             WHERE tree = ?1 AND part = ?2 AND serial = ?3 AND attempt = ?4 AND session = ?5",
            params![
                task.tree.0.as_bytes(),
                task.part,
                task.serial,
                claim.attempt,
                claim.session.0.as_bytes()
            ],
            |row| Ok(Passed { claimed_at: Some(row.get(0)?) }),
        )?;
        if passed.is_some() {
            self.remove_claim(task)?;
        }
        Ok(passed.or_else(|| mutants::on(Mutant::SecondResultTaken).then(Passed::default)))
    }

    fn remove_claim(&self, task: TaskId) -> rusqlite::Result<()> {
        let remove = "DELETE FROM task_claim WHERE tree = ?1 AND part = ?2 AND serial = ?3";
        self.connection.run(remove, params![task.tree.0.as_bytes(), task.part, task.serial]).map(|_| ())
    }

    /// Whoever sweeps has read the claim before: that nobody will answer it must still be true now.
    fn drop_abandoned(&self, claim: &Claim) -> rusqlite::Result<Option<Passed>> {
        let task = claim.task;
        let passed = self.connection.one(
            "SELECT claimed_at FROM task_claim
             WHERE tree = ?1 AND part = ?2 AND serial = ?3 AND attempt = ?4 AND session = ?5
               AND (deadline_at <= ?6
                    OR NOT EXISTS (SELECT 1 FROM session s WHERE s.id = task_claim.session AND s.status < 2))",
            params![
                task.tree.0.as_bytes(),
                task.part,
                task.serial,
                claim.attempt,
                claim.session.0.as_bytes(),
                self.now,
            ],
            |row| Ok(Passed { claimed_at: Some(row.get(0)?) }),
        )?;
        if passed.is_some() {
            self.remove_claim(task)?;
        }
        Ok(passed)
    }

    /// The tree knows under which key its task waits.
    fn drop_unclaimed(&self, task: TaskId) -> rusqlite::Result<Option<Passed>> {
        let key = self.connection.one(
            "SELECT contract, detail ->> '$.task.priority', detail ->> '$.task.ready_at' FROM dataset
             WHERE tree = ?1 AND part = ?2 AND detail ->> '$.task.serial' = ?3",
            params![task.tree.0.as_bytes(), task.part, task.serial],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let Some((contract, priority, ready_at)) = key else {
            return Ok(None);
        };
        let waited = self.dequeue(contract, priority, ready_at, task)?;
        Ok(waited.then(Passed::default))
    }
}
