//! Imports in PostgreSQL.

use async_trait::async_trait;
use sixpack_model::ids::{LineId, TreeId};
use sixpack_model::name::ContractName;
use sixpack_model::plan::HeldEntity;
use sixpack_model::schema::Entity;
use uuid::Uuid;

use super::PostgresStore;
use super::columns::{Int, number};
use super::faults::Fault;
use super::writer::Tx;
use crate::error::StoreError;
use crate::imports::{Imported, ImportedStock, Imports, NewImport};
use crate::stored::accepting::NewRequestRow;
use crate::stored::entities::Owned;
use crate::stored::places::Place;

#[async_trait]
impl Imports for PostgresStore {
    async fn import(&self, imports: Vec<NewImport>) -> Result<Imported, StoreError> {
        let rows: Vec<(LineId, NewRequestRow)> = imports
            .into_iter()
            .map(|NewImport { line, request }| (line, NewRequestRow::from(request).refilling(line)))
            .collect();
        self.write("importing datasets", rows, |tx, rows| Box::pin(tx.import(rows))).await
    }

    async fn held(
        &self,
        environment: &str,
        owned: Vec<Vec<Entity>>,
    ) -> Result<Vec<(usize, HeldEntity)>, StoreError> {
        let columns = |entity: Entity| (0, entity.kind, entity.key);
        let owned: Vec<Vec<Owned>> =
            owned.into_iter().map(|owned| owned.into_iter().map(columns).collect()).collect();
        let input = (environment.to_owned(), owned);
        self.write("looking whether datasets can be imported", input, |tx, (environment, owned)| {
            Box::pin(async move {
                let environment = tx.environment(environment).await?;
                let mut held = Vec::new();
                for (place, owned) in owned.iter().enumerate() {
                    // No tree has this id: there is none yet.
                    let none = TreeId(Uuid::nil());
                    held.extend(tx.first_taken(none, environment, owned).await?.map(|held| (place, held)));
                }
                tx.refuse(held)
            })
        })
        .await
    }

    async fn imported(
        &self,
        environment: &str,
        contract: &ContractName,
    ) -> Result<ImportedStock, StoreError> {
        let input = (environment.to_owned(), contract.to_string());
        self.read("counting what was imported", input, |connection, (environment, contract)| {
            Box::pin(async move {
                let count = "WITH lines AS MATERIALIZED (
                                 SELECT l.id FROM stock_line l JOIN contract c ON c.id = l.contract
                                 JOIN environment e ON e.id = c.environment WHERE e.name = $1 AND c.name = $2)
                             SELECT (SELECT count(*) FROM lines JOIN stock s ON s.line = lines.id WHERE s.imported),
                                    (SELECT count(*) FROM lines JOIN stock_coming s ON s.line = lines.id WHERE s.imported)";
                let counted = connection
                    .one(count, &[environment, contract], |row| {
                        Ok(ImportedStock { ready: number(row, 0)?, coming: number(row, 1)? })
                    })
                    .await?;
                Ok(counted.expect("a count gives a row"))
            })
        })
        .await
    }
}

impl Tx {
    /// All of them, or none: of two that import the same at once, the second begins anew and sees the first.
    async fn import(&mut self, rows: &[(LineId, NewRequestRow)]) -> Result<Imported, Fault> {
        let mut lines: Vec<LineId> = rows.iter().map(|(line, _)| *line).collect();
        lines.sort_unstable_by_key(|line| line.0);
        lines.dedup();
        for line in &lines {
            self.hold_line(*line).await?;
        }
        let mut held = Vec::new();
        for (place, (_, row)) in rows.iter().enumerate() {
            let change = row.only_tree();
            let environment = self.environment(&change.environment).await?;
            let found = change.found.as_deref().unwrap_or_default();
            held.extend(self.first_taken(change.tree, environment, found).await?.map(|held| (place, held)));
        }
        if !held.is_empty() {
            return self.refuse(Imported::Held(held));
        }
        for line in &lines {
            let settle = rows.iter().filter(|(of, row)| of == line && row.only_tree().settles()).count();
            self.hold_waiters(*line, settle).await?;
        }
        for (line, row) in rows {
            self.accept(row).await?;
            let change = row.only_tree();
            // One that nobody has to be asked about is in stock by now.
            if !change.settles() {
                self.come_imported(change.tree, *line).await?;
            }
        }
        Ok(Imported::All)
    }

    /// Notes that a dataset that is there already is being checked for stock.
    async fn come_imported(&self, tree: TreeId, line: LineId) -> Result<(), Fault> {
        let come = "INSERT INTO stock_coming (line, tree, imported) VALUES ($1, $2, true)";
        self.connection.later(come, &[&line.0, &tree.0]).await?;
        let write = "UPDATE tree SET line = $2, place = $3 WHERE id = $1";
        let place = Int(Place::Coming.code());
        self.connection.later(write, &[&tree.0, &line.0, &place]).await
    }
}
