//! Doubts in PostgreSQL.
//!
//! What capabilities have said is read, counted and written by whoever holds their contracts ([`super::locks`]), so that of two
//! words about one capability the second counts the first.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::SignedDuration;
use serde_json::json;
use sixpack_model::doubt::{Doubt, LOOK, PROBE_PAUSE_MS, PROBES, is_doubtful};
use sixpack_model::event::Event;
use sixpack_model::ids::TreeId;
use sixpack_model::name::ContractName;
use sixpack_model::plan::Said;
use tokio_postgres::Row;

use super::PostgresStore;
use super::columns::{get, int, named, number, time, time_at, time_of};
use super::faults::Fault;
use super::writer::Tx;
use crate::doubts::{Doubts, Probing};
use crate::error::StoreError;
use crate::stored::changes::ChangeRow;
use crate::stored::events::EventRow;

/// Every capability that is doubted, with its environment.
const SELECT: &str = "SELECT e.name, c.name, d.since, d.invalid, d.of, d.message, d.held, d.probed_at
    FROM capability_doubt d JOIN contract c ON c.id = d.contract JOIN environment e ON e.id = c.environment";

#[async_trait]
impl Doubts for PostgresStore {
    async fn doubts(&self) -> Result<Vec<Doubt>, StoreError> {
        self.read("reading doubts", (), |connection, ()| {
            Box::pin(async move {
                connection.all(&format!("{SELECT} ORDER BY d.contract"), &[], read_doubt).await
            })
        })
        .await
    }

    async fn begin_probe(
        &self,
        environment: &str,
        contract: &ContractName,
        tree: TreeId,
    ) -> Result<Probing, StoreError> {
        let input = (environment.to_owned(), contract.to_string(), tree);
        self.write("beginning a probe", input, |tx, (environment, contract, tree)| {
            Box::pin(async move {
                let environment = tx.environment(environment).await?;
                let contract = tx.contract(environment, contract).await?;
                let latest = tx.now.saturating_sub(int(PROBE_PAUSE_MS));
                let begin = "UPDATE capability_doubt SET probe = $2, probed_at = $3
                             WHERE contract = $1 AND (probed_at IS NULL OR probed_at <= $4)";
                let rows = tx.connection.run(begin, &[&contract, &tree.0, &tx.now, &latest]).await?;
                Ok(if rows > 0 { Probing::Begun } else { Probing::NotNow })
            })
        })
        .await
    }

    async fn end_doubt(&self, environment: &str, contract: &ContractName) -> Result<(), StoreError> {
        let input = (environment.to_owned(), contract.to_string());
        self.write("ending a doubt", input, |tx, (environment, name)| {
            Box::pin(async move {
                let number = tx.environment(environment).await?;
                let contract = tx.contract(number, name).await?;
                tx.lock_contracts(vec![contract]).await?;
                let why = "nothing that it has a part in is in stock any more";
                tx.believe(environment, (contract, name), why).await?;
                // What is made from now on is not to be judged by what is gone.
                let forget = "DELETE FROM capability_said WHERE contract = $1";
                tx.connection.later(forget, &[&contract]).await
            })
        })
        .await
    }
}

impl Tx {
    /// The names of what is doubted in an environment; nearly always none.
    pub(super) async fn doubted_in(&self, environment: &str) -> Result<BTreeSet<ContractName>, Fault> {
        let list = format!("{SELECT} WHERE e.name = $1");
        let names = self.connection.all(&list, &[&environment], |row| named(row, 1)).await?;
        Ok(names.into_iter().collect())
    }

    /// The capability upon whose word a dataset is to go away that is doubted, or would be with this word.
    pub(super) async fn doubted_upon(&mut self, change: &ChangeRow) -> Result<Option<ContractName>, Fault> {
        let Some(upon) = &change.upon else { return Ok(None) };
        let environment = self.environment(&change.environment).await?;
        let contract = self.contract(environment, &upon.to_string()).await?;
        // The last ones with this one are this one and one less of the others.
        let read = "SELECT EXISTS (SELECT 1 FROM capability_doubt WHERE contract = $1),
                           (SELECT count(*) FROM (
                                SELECT holds FROM capability_said WHERE contract = $1 AND tree <> $2
                                ORDER BY place DESC LIMIT $3) AS others
                            WHERE NOT holds)";
        let others = LOOK as i64 - 1;
        let read_both = |row: &Row| Ok((get::<bool>(row, 0)?, number::<usize>(row, 1)?));
        let found = self.connection.one(read, &[&contract, &change.tree.0, &others], read_both).await?;
        let (is_doubted, invalid) = found.expect("a count gives a row");
        Ok((is_doubted || is_doubtful(invalid + 1)).then(|| upon.clone()))
    }

    /// Keeps what capabilities have said about a dataset in stock, begins to doubt them, or believes them again. One of which
    /// nothing was known when the contracts were held has only said that something holds, as nearly all do: that is not kept.
    pub(super) async fn note_said(&mut self, change: &ChangeRow) -> Result<(), Fault> {
        for said in &change.said {
            let environment = self.environment(&change.environment).await?;
            let name = said.contract.to_string();
            let contract = self.contract(environment, &name).await?;
            if !self.held.contract(contract) {
                continue;
            }
            let known = "SELECT 1 FROM capability_said WHERE contract = $1 LIMIT 1";
            let is_known = self.connection.one(known, &[&contract], |_| Ok(())).await?.is_some();
            if is_known || !said.holds {
                self.keep_said(contract, change.tree, said.holds).await?;
            }
            if said.holds {
                self.note_probe_held(&change.environment, (contract, &name), change.tree).await?;
            } else {
                self.note_invalid(&change.environment, contract, change.tree, said).await?;
            }
        }
        Ok(())
    }

    async fn keep_said(&self, contract: i64, tree: TreeId, holds: bool) -> Result<(), Fault> {
        let forget = "DELETE FROM capability_said WHERE contract = $1 AND tree = $2";
        self.connection.later(forget, &[&contract, &tree.0]).await?;
        let keep = "INSERT INTO capability_said (contract, tree, holds) VALUES ($1, $2, $3)";
        self.connection.later(keep, &[&contract, &tree.0, &holds]).await?;
        let bound = "DELETE FROM capability_said WHERE contract = $1 AND place NOT IN (
                         SELECT place FROM capability_said WHERE contract = $1 ORDER BY place DESC LIMIT $2)";
        self.connection.later(bound, &[&contract, &(LOOK as i64)]).await?;
        let all_hold = "DELETE FROM capability_said WHERE contract = $1
                          AND NOT EXISTS (SELECT 1 FROM capability_said WHERE contract = $1 AND NOT holds)";
        self.connection.later(all_hold, &[&contract]).await
    }

    /// A dataset was found to hold: that counts when it is the one that the capability is probed with.
    async fn note_probe_held(
        &mut self,
        environment: &str,
        contract: (i64, &str),
        tree: TreeId,
    ) -> Result<(), Fault> {
        let count =
            "UPDATE capability_doubt SET held = held + 1, probe = NULL WHERE contract = $1 AND probe = $2
                     RETURNING held";
        let held = self.connection.one(count, &[&contract.0, &tree.0], |row| number::<u32>(row, 0)).await?;
        match held.filter(|held| *held >= PROBES) {
            Some(held) => {
                let why = format!("{held} datasets in a row were found to hold");
                self.believe(environment, contract, &why).await
            }
            None => Ok(()),
        }
    }

    async fn note_invalid(
        &mut self,
        environment: &str,
        contract: i64,
        tree: TreeId,
        said: &Said,
    ) -> Result<(), Fault> {
        let count =
            "SELECT count(*) FILTER (WHERE NOT holds), count(*) FROM capability_said WHERE contract = $1";
        let read = |row: &Row| Ok((get::<i64>(row, 0)?, get::<i64>(row, 1)?));
        let counted = self.connection.one(count, &[&contract], read).await?;
        let (invalid, of) = counted.expect("a count gives a row");
        let message = said.message.as_deref().unwrap_or_default();
        let update = "UPDATE capability_doubt SET invalid = $2, of = $3, message = $4,
                             held = CASE WHEN probe = $5 THEN 0 ELSE held END, probe = nullif(probe, $5)
                      WHERE contract = $1";
        let known = self.connection.run(update, &[&contract, &invalid, &of, &message, &tree.0]).await?;
        if known > 0 || !is_doubtful(usize::try_from(invalid).expect("a count is not negative")) {
            return Ok(());
        }
        let insert = "INSERT INTO capability_doubt (contract, since, invalid, of, message, held)
                      VALUES ($1, $2, $3, $4, $5, 0)";
        self.connection.later(insert, &[&contract, &self.now, &invalid, &of, &message]).await?;
        let data = json!({ "contract": said.contract.to_string(), "invalid": invalid, "of": of, "message": message });
        let event = Event::of_environment(environment, time(self.now), "capability.doubted", data);
        self.tell(&EventRow::from(event));
        Ok(())
    }

    /// Ends a doubt and tells of it, if there is one.
    async fn believe(&mut self, environment: &str, contract: (i64, &str), why: &str) -> Result<(), Fault> {
        let end = "DELETE FROM capability_doubt WHERE contract = $1 RETURNING since";
        let Some(since) = self.connection.one(end, &[&contract.0], |row| time_at(row, 0)).await? else {
            return Ok(());
        };
        let spent = time(self.now).duration_since(since).max(SignedDuration::ZERO);
        let data = json!({ "contract": contract.1, "message": why, "doubted_ms": spent.as_millis() as u64 });
        let event = Event::of_environment(environment, time(self.now), "capability.believed", data);
        self.tell(&EventRow::from(event));
        Ok(())
    }
}

fn read_doubt(row: &Row) -> Result<Doubt, Fault> {
    Ok(Doubt {
        environment: get(row, 0)?,
        contract: named(row, 1)?,
        since: time_at(row, 2)?,
        invalid: number(row, 3)?,
        of: number(row, 4)?,
        message: get(row, 5)?,
        held: number(row, 6)?,
        probed_at: time_of(row, 7)?,
    })
}
