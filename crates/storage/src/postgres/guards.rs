//! Guards: what must still be true for a decision to be written, and what goes with it.

use sixpack_model::ids::TaskId;
use sixpack_model::tree::{Claim, PartStatus};

use super::columns::{Int, get, number_of_code};
use super::faults::Fault;
use super::writer::Tx;
use crate::mutants::{self, Mutant};
use crate::stored::changes::ChangeRow;
use crate::trees::Guard;

/// What a guard stood for that was true.
#[derive(Default)]
pub(super) struct Passed {
    /// Since when the claim was in its session's hands that is given up now.
    pub(super) claimed_at: Option<i64>,
}

impl Passed {
    /// Of a statement that touched so many rows.
    fn by(rows: u64) -> Option<Self> {
        (rows > 0).then(Self::default)
    }
}

impl Tx {
    /// Checks a guard and carries out what it stands for, in one statement: nothing is kept when it is not true.
    pub(super) async fn pass(&mut self, guard: &Guard, change: &ChangeRow) -> Result<Option<Passed>, Fault> {
        match guard {
            Guard::None => Ok(Some(Passed::default())),
            Guard::Claim(claim) => self.drop_claim(claim).await,
            Guard::Abandoned(claim) => self.drop_abandoned(claim).await,
            Guard::Withdrawn(task) => {
                let take = "DELETE FROM task_withdrawn WHERE tree = $1 AND part = $2 AND serial = $3";
                let (part, serial) = (Int::from(task.part), Int::from(task.serial));
                self.connection.run(take, &[&task.tree.0, &part, &serial]).await.map(Passed::by)
            }
            Guard::Unclaimed(task) => self.drop_unclaimed(*task).await,
            Guard::Lease(end) => Ok(self.end_lease(end, change).await?.then(Passed::default)),
            Guard::Held { lease, fence } => {
                Ok(self.is_held(*lease, *fence, change).await?.then(Passed::default))
            }
            Guard::Quarantined => {
                let read = "SELECT 1 FROM tree WHERE id = $1 AND status = $2";
                let quarantined = number_of_code(PartStatus::Quarantined);
                let found = self.connection.one(read, &[&change.tree.0, &quarantined], |_| Ok(())).await?;
                Ok(found.map(|()| Passed::default()))
            }
            Guard::Overdue(lease) => Ok(self.expire_lease(*lease, change).await?.then(Passed::default)),
        }
    }

    pub(super) async fn drop_claim(&self, claim: &Claim) -> Result<Option<Passed>, Fault> {
        let task = claim.task;
        let drop = "DELETE FROM task_claim
                    WHERE tree = $1 AND part = $2 AND serial = $3 AND attempt = $4 AND session = $5
                    RETURNING claimed_at";
        let numbers = [task.part, task.serial, claim.attempt].map(Int::from);
        let passed = self
            .connection
            .one(drop, &[&task.tree.0, &numbers[0], &numbers[1], &numbers[2], &claim.session.0], |row| {
                Ok(Passed { claimed_at: Some(get(row, 0)?) })
            })
            .await?;
        Ok(passed.or_else(|| mutants::on(Mutant::SecondResultTaken).then(Passed::default)))
    }

    /// Whoever sweeps has read the claim before: that nobody will answer it must still be true now. What is dead or behind its
    /// deadline stays so.
    async fn drop_abandoned(&self, claim: &Claim) -> Result<Option<Passed>, Fault> {
        let task = claim.task;
        let drop = "DELETE FROM task_claim
                    WHERE tree = $1 AND part = $2 AND serial = $3 AND attempt = $4 AND session = $5
                      AND (deadline_at <= $6
                           OR NOT EXISTS (SELECT 1 FROM session s WHERE s.id = task_claim.session AND s.status < 2))
                    RETURNING claimed_at";
        let numbers = [task.part, task.serial, claim.attempt].map(Int::from);
        self.connection
            .one(
                drop,
                &[&task.tree.0, &numbers[0], &numbers[1], &numbers[2], &claim.session.0, &self.now],
                |row| Ok(Passed { claimed_at: Some(get(row, 0)?) }),
            )
            .await
    }

    /// The tree knows under which key its task waits.
    async fn drop_unclaimed(&self, task: TaskId) -> Result<Option<Passed>, Fault> {
        let find = "SELECT contract, (detail::json #>> '{task,priority}')::bigint,
                           (detail::json #>> '{task,ready_at}')::bigint FROM dataset
                    WHERE tree = $1 AND part = $2 AND (detail::json #>> '{task,serial}')::bigint = $3";
        let (part, serial) = (i64::from(task.part), i64::from(task.serial));
        let key = self
            .connection
            .one(find, &[&task.tree.0, &part, &serial], |row| Ok((get(row, 0)?, get(row, 1)?, get(row, 2)?)))
            .await?;
        let Some((contract, priority, ready_at)) = key else {
            return Ok(None);
        };
        let waited = self.dequeue(contract, priority, ready_at, task).await?;
        Ok(waited.then(Passed::default))
    }
}
