//! Dataset trees in PostgreSQL.
//!
//! A decision is written by whoever holds the request and the tree that it is about. The version of the tree is compared under
//! that lock, so that of two decisions about one version the second is told that it is stale, whatever they are about.

use async_trait::async_trait;
use jiff::Timestamp;
use sixpack_model::channel::is_of_channel;
use sixpack_model::ids::TreeId;
use sixpack_model::limits::CHANNEL_VERSIONS_FROM;
use sixpack_model::tree::Tree;
use uuid::Uuid;

use super::PostgresStore;
use super::columns::{Int, id, number, time_of};
use super::decisions::{Decision, WRITING};
use super::limits::{LATELY_MS, LATELY_ROWS};
use crate::error::StoreError;
use crate::stored::attempts::Attempt;
use crate::stored::changes::ChangeRow;
use crate::tasks::{Claimant, Claimed};
use crate::trees::{Lately, TreeWrite, Trees, Written};

#[async_trait]
impl Trees for PostgresStore {
    async fn load_tree(&self, id: TreeId) -> Result<Option<Tree>, StoreError> {
        self.inner.load(id).await
    }

    async fn write_tree(&self, write: TreeWrite) -> Result<Written, StoreError> {
        Ok(self.write_tree_claiming(write, Vec::new()).await?.0)
    }

    async fn write_tree_claiming(
        &self,
        write: TreeWrite,
        claimants: Vec<Claimant>,
    ) -> Result<(Written, Vec<Claimed>), StoreError> {
        let TreeWrite { guard, change, leases } = write;
        let attempt = Attempt::of(&guard, &change);
        let written = match Decision::plain(guard, ChangeRow::from(change), leases) {
            Ok(plain) => self.share(&self.decisions, plain.with(claimants)).await,
            Err(input) => {
                self.write(WRITING, input, |tx, input| {
                    let (guard, change, leases) = &**input;
                    Box::pin(tx.write_tree(guard, change, leases, &[]))
                })
                .await
            }
        };
        Ok(written?.counted(attempt.as_ref(), &self.inner.measures))
    }

    async fn unwanted_trees(&self, after: Option<TreeId>, limit: u32) -> Result<Vec<TreeId>, StoreError> {
        let input = (after.map_or(Uuid::nil(), |tree| tree.0), Int::from(limit));
        self.read("reading unwanted trees", input, |connection, (after, limit)| {
            Box::pin(async move {
                let list = "SELECT tree FROM tree_unwanted WHERE tree > $1 ORDER BY tree LIMIT $2";
                connection.all(list, &[after, limit], |row| id(row, 0).map(TreeId)).await
            })
        })
        .await
    }

    async fn due_trees(&self, after: Option<TreeId>, limit: u32) -> Result<Vec<TreeId>, StoreError> {
        let input = (after.map_or(Uuid::nil(), |tree| tree.0), Int::from(limit));
        self.read("reading due trees", input, |connection, (after, limit)| {
            Box::pin(async move {
                // Found by when they are due, and sorted then: by id, all that ever were would be read to find a few.
                let list =
                    "WITH due AS MATERIALIZED (SELECT id FROM tree WHERE due_at <= (SELECT sixpack_now()))
                            SELECT id FROM due WHERE id > $1 ORDER BY id LIMIT $2";
                connection.all(list, &[after, limit], |row| id(row, 0).map(TreeId)).await
            })
        })
        .await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read("looking for the next due tree", (), |connection, ()| {
            Box::pin(async move {
                let find = "SELECT min(due_at) FROM tree WHERE due_at > (SELECT sixpack_now())";
                Ok(connection.one(find, &[], |row| time_of(row, 0)).await?.flatten())
            })
        })
        .await
    }

    async fn lately(&self, environment: &str, contract: &str, version: u32) -> Result<Lately, StoreError> {
        let versions =
            if is_of_channel(version) { (version, version) } else { (0, CHANNEL_VERSIONS_FROM - 1) };
        let input = (environment.to_owned(), contract.to_owned(), versions);
        self.read("counting failures", input, |connection, (environment, contract, (from, to))| {
            Box::pin(async move {
                // Ids of version 7 begin with their time, 48 bits of milliseconds: this is the smallest of the span.
                let count = "SELECT count(*) FILTER (WHERE failed), count(*), min(created_at) FILTER (WHERE failed) FROM (
                                 SELECT d.failed, d.created_at FROM dataset d
                                 WHERE d.contract = (SELECT c.id FROM contract c JOIN environment e ON e.id = c.environment
                                                     WHERE e.name = $1 AND c.name = $2)
                                   AND d.tree >= (lpad(to_hex(greatest((SELECT sixpack_now()) - $3, 0)), 12, '0')
                                                  || repeat('0', 20))::uuid
                                   AND d.started_at IS NOT NULL AND d.version BETWEEN $5 AND $6
                                 ORDER BY d.tree DESC LIMIT $4) AS begun";
                let (from, to) = (Int::from(*from), Int::from(*to));
                let lately = connection
                    .one(count, &[environment, contract, &LATELY_MS, &LATELY_ROWS, &from, &to], |row| {
                        let (failures, of) = (number(row, 0)?, number(row, 1)?);
                        Ok(Lately { failures, of, first_failed_at: time_of(row, 2)? })
                    })
                    .await?;
                Ok(lately.expect("a count gives a row"))
            })
        })
        .await
    }
}
