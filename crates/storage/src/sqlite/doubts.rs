//! Doubts in SQLite.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::SignedDuration;
use rusqlite::{Row, params};
use serde_json::json;
use sixpack_model::doubt::{Doubt, LOOK, PROBE_PAUSE_MS, PROBES, is_doubtful};
use sixpack_model::event::Event;
use sixpack_model::ids::TreeId;
use sixpack_model::name::ContractName;
use sixpack_model::plan::Said;

use super::SqliteStore;
use super::columns::{int, name, time, time_at, time_of};
use super::events::EventRow;
use super::statements::Statements;
use super::writer::Tx;
use super::writes::ChangeRow;
use crate::doubts::{Doubts, Probing};
use crate::error::StoreError;

/// Every capability that is doubted, with its environment.
const SELECT: &str = "SELECT e.name, c.name, d.since, d.invalid, d.of, d.message, d.held, d.probed_at
    FROM capability_doubt d JOIN contract c ON c.id = d.contract JOIN environment e ON e.id = c.environment";

#[async_trait]
impl Doubts for SqliteStore {
    async fn doubts(&self) -> Result<Vec<Doubt>, StoreError> {
        self.read("reading doubts", |connection| {
            connection.all(&format!("{SELECT} ORDER BY d.contract"), [], read_doubt)
        })
        .await
    }

    async fn begin_probe(
        &self,
        environment: &str,
        contract: &ContractName,
        tree: TreeId,
    ) -> Result<Probing, StoreError> {
        let (environment, contract) = (environment.to_owned(), contract.to_string());
        self.write("beginning a probe", move |tx| {
            let environment = tx.environment(&environment)?;
            let contract = tx.contract(environment, &contract)?;
            let latest = tx.now.saturating_sub(int(PROBE_PAUSE_MS));
            let rows = tx.connection.run(
                "UPDATE capability_doubt SET probe = ?2, probed_at = ?3
                 WHERE contract = ?1 AND (probed_at IS NULL OR probed_at <= ?4)",
                params![contract, tree.0.as_bytes(), tx.now, latest],
            )?;
            Ok(if rows > 0 { Probing::Begun } else { Probing::NotNow })
        })
        .await
    }

    async fn end_doubt(&self, environment: &str, contract: &ContractName) -> Result<(), StoreError> {
        let (environment, name) = (environment.to_owned(), contract.to_string());
        self.write("ending a doubt", move |tx| {
            let number = tx.environment(&environment)?;
            let contract = tx.contract(number, &name)?;
            tx.believe(
                &environment,
                (contract, &name),
                "nothing that it has a part in is in stock any more",
            )?;
            // What is made from now on is not to be judged by what is gone.
            tx.connection.run("DELETE FROM capability_said WHERE contract = ?1", [contract]).map(|_| ())
        })
        .await
    }
}

impl Tx<'_> {
    /// The names of what is doubted in an environment; nearly always none.
    pub(super) fn doubted_in(&self, environment: &str) -> rusqlite::Result<BTreeSet<ContractName>> {
        let list = format!("{SELECT} WHERE e.name = ?1");
        Ok(self.connection.all(&list, [environment], |row| name(row, 1))?.into_iter().collect())
    }

    /// The capability upon whose word a dataset is to go away that is doubted, or would be with this word.
    pub(super) fn doubted_upon(&mut self, change: &ChangeRow) -> rusqlite::Result<Option<ContractName>> {
        let Some(upon) = &change.upon else { return Ok(None) };
        let environment = self.environment(&change.environment)?;
        let contract = self.contract(environment, &upon.to_string())?;
        let known = "SELECT 1 FROM capability_doubt WHERE contract = ?1";
        let is_doubted = self.connection.one(known, [contract], |_| Ok(()))?.is_some();
        // The last ones with this one are this one and one less of the others.
        let others = "SELECT count(*) FROM (
                 SELECT holds FROM capability_said WHERE contract = ?1 AND tree <> ?2 ORDER BY place DESC LIMIT ?3)
             WHERE holds = 0";
        let invalid = self
            .connection
            .prepare_cached(others)?
            .query_row(params![contract, change.tree.0.as_bytes(), LOOK as i64 - 1], |row| {
                row.get::<_, u32>(0)
            })?;
        Ok((is_doubted || is_doubtful(invalid as usize + 1)).then(|| upon.clone()))
    }

    /// Keeps what capabilities have said about a dataset in stock, begins to doubt them, or believes them again.
    pub(super) fn note_said(&mut self, change: &ChangeRow) -> rusqlite::Result<()> {
        for said in &change.said {
            let environment = self.environment(&change.environment)?;
            let contract = self.contract(environment, &said.contract.to_string())?;
            let known = "SELECT 1 FROM capability_said WHERE contract = ?1 LIMIT 1";
            let is_known = self.connection.one(known, [contract], |_| Ok(()))?.is_some();
            if is_known || !said.holds {
                self.keep_said(contract, change.tree, said.holds)?;
            }
            if said.holds {
                self.note_probe_held(
                    &change.environment,
                    (contract, &said.contract.to_string()),
                    change.tree,
                )?;
            } else {
                self.note_invalid(&change.environment, contract, change.tree, said)?;
            }
        }
        Ok(())
    }

    fn keep_said(&self, contract: i64, tree: TreeId, holds: bool) -> rusqlite::Result<()> {
        let key = params![contract, tree.0.as_bytes()];
        self.connection.run("DELETE FROM capability_said WHERE contract = ?1 AND tree = ?2", key)?;
        self.connection.run(
            "INSERT INTO capability_said (contract, tree, holds) VALUES (?1, ?2, ?3)",
            params![contract, tree.0.as_bytes(), holds],
        )?;
        self.connection.run(
            "DELETE FROM capability_said WHERE contract = ?1 AND place NOT IN (
                 SELECT place FROM capability_said WHERE contract = ?1 ORDER BY place DESC LIMIT ?2)",
            params![contract, LOOK as i64],
        )?;
        self.connection.run(
            "DELETE FROM capability_said WHERE contract = ?1
               AND NOT EXISTS (SELECT 1 FROM capability_said WHERE contract = ?1 AND holds = 0)",
            [contract],
        )?;
        Ok(())
    }

    /// A dataset was found to hold: that counts when it is the one that the capability is probed with.
    fn note_probe_held(
        &mut self,
        environment: &str,
        contract: (i64, &str),
        tree: TreeId,
    ) -> rusqlite::Result<()> {
        let held = self.connection.one(
            "SELECT held + 1 FROM capability_doubt WHERE contract = ?1 AND probe = ?2",
            params![contract.0, tree.0.as_bytes()],
            |row| row.get::<_, u32>(0),
        )?;
        let Some(held) = held else { return Ok(()) };
        if held >= PROBES {
            let why = format!("{held} datasets in a row were found to hold");
            return self.believe(environment, contract, &why);
        }
        let count = "UPDATE capability_doubt SET held = ?2, probe = NULL WHERE contract = ?1";
        self.connection.run(count, params![contract.0, held]).map(|_| ())
    }

    fn note_invalid(
        &mut self,
        environment: &str,
        contract: i64,
        tree: TreeId,
        said: &Said,
    ) -> rusqlite::Result<()> {
        let (invalid, of) = self
            .connection
            .prepare_cached(
                "SELECT count(*) FILTER (WHERE holds = 0), count(*) FROM capability_said WHERE contract = ?1",
            )?
            .query_row([contract], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?)))?;
        let message = said.message.as_deref().unwrap_or_default();
        let known = self.connection.run(
            "UPDATE capability_doubt SET invalid = ?2, of = ?3, message = ?4, held = iif(probe = ?5, 0, held),
                                         probe = nullif(probe, ?5)
             WHERE contract = ?1",
            params![contract, invalid, of, message, tree.0.as_bytes()],
        )?;
        if known > 0 || !is_doubtful(invalid as usize) {
            return Ok(());
        }
        self.connection.run(
            "INSERT INTO capability_doubt (contract, since, invalid, of, message, held) VALUES (?1, ?2, ?3, ?4, ?5, 0)",
            params![contract, self.now, invalid, of, message],
        )?;
        let data = json!({ "contract": said.contract.to_string(), "invalid": invalid, "of": of, "message": message });
        self.tell(&EventRow::from(Event::of_environment(
            environment,
            time(self.now),
            "capability.doubted",
            data,
        )))
    }

    /// Ends a doubt and tells of it, if there is one.
    fn believe(&mut self, environment: &str, contract: (i64, &str), why: &str) -> rusqlite::Result<()> {
        let end = "DELETE FROM capability_doubt WHERE contract = ?1 RETURNING since";
        let Some(since) = self.connection.one(end, [contract.0], |row| time_at(row, 0))? else {
            return Ok(());
        };
        let spent = time(self.now).duration_since(since).max(SignedDuration::ZERO);
        let data = json!({ "contract": contract.1, "message": why, "doubted_ms": spent.as_millis() as u64 });
        self.tell(&EventRow::from(Event::of_environment(
            environment,
            time(self.now),
            "capability.believed",
            data,
        )))
    }
}

fn read_doubt(row: &Row<'_>) -> rusqlite::Result<Doubt> {
    Ok(Doubt {
        environment: row.get(0)?,
        contract: name(row, 1)?,
        since: time_at(row, 2)?,
        invalid: row.get(3)?,
        of: row.get(4)?,
        message: row.get(5)?,
        held: row.get(6)?,
        probed_at: time_of(row, 7)?,
    })
}
