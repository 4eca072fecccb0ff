//! Imports in SQLite.

use async_trait::async_trait;
use rusqlite::params;
use sixpack_model::ids::{LineId, TreeId};
use sixpack_model::name::ContractName;
use sixpack_model::plan::HeldEntity;
use sixpack_model::schema::Entity;

use super::SqliteStore;
use super::accepting::NewRequestRow;
use super::columns::unsigned;
use super::placing::Place;
use super::statements::Statements;
use super::writer::Tx;
use crate::error::StoreError;
use crate::imports::{Imported, ImportedStock, Imports, NewImport};

#[async_trait]
impl Imports for SqliteStore {
    async fn import(&self, imports: Vec<NewImport>) -> Result<Imported, StoreError> {
        let rows: Vec<(LineId, NewRequestRow)> = imports
            .into_iter()
            .map(|NewImport { line, request }| (line, NewRequestRow::from(request).refilling(line)))
            .collect();
        self.write("importing datasets", move |tx| {
            let mut held = Vec::new();
            for (place, (_, row)) in rows.iter().enumerate() {
                let change = row.only_tree();
                let environment = tx.environment(&change.environment)?;
                let found = change.found.as_deref().unwrap_or_default();
                held.extend(tx.first_taken(change.tree, environment, found)?.map(|held| (place, held)));
            }
            if !held.is_empty() {
                return Ok(Imported::Held(held));
            }
            for (line, row) in &rows {
                tx.accept(row)?;
                let change = row.only_tree();
                // One that nobody has to be asked about is in stock by now.
                if !change.settles() {
                    tx.come_imported(change.tree, *line)?;
                }
            }
            Ok(Imported::All)
        })
        .await
    }

    async fn held(
        &self,
        environment: &str,
        owned: Vec<Vec<Entity>>,
    ) -> Result<Vec<(usize, HeldEntity)>, StoreError> {
        let environment = environment.to_owned();
        let columns = |entity: Entity| (0, entity.kind, entity.key);
        let owned: Vec<Vec<_>> =
            owned.into_iter().map(|owned| owned.into_iter().map(columns).collect()).collect();
        self.write("looking whether datasets can be imported", move |tx| {
            let environment = tx.environment(&environment)?;
            let mut held = Vec::new();
            for (place, owned) in owned.iter().enumerate() {
                // No tree has this id: there is none yet.
                let none = TreeId(uuid::Uuid::nil());
                held.extend(tx.first_taken(none, environment, owned)?.map(|held| (place, held)));
            }
            Ok(held)
        })
        .await
    }

    async fn imported(
        &self,
        environment: &str,
        contract: &ContractName,
    ) -> Result<ImportedStock, StoreError> {
        let (environment, contract) = (environment.to_owned(), contract.to_string());
        self.read("counting what was imported", move |connection| {
            let lines = "(SELECT l.id FROM stock_line l JOIN contract c ON c.id = l.contract
                          JOIN environment e ON e.id = c.environment WHERE e.name = ?1 AND c.name = ?2)";
            let count = |table: &str| {
                let sql = format!("SELECT count(*) FROM {table} WHERE line IN {lines} AND imported = 1");
                connection
                    .prepare_cached(&sql)?
                    .query_row(params![environment, contract], |row| unsigned(row, 0))
            };
            Ok(ImportedStock { ready: count("stock")?, coming: count("stock_coming")? })
        })
        .await
    }
}

impl Tx<'_> {
    /// Notes that a dataset that is there already is being checked for stock.
    fn come_imported(&self, tree: TreeId, line: LineId) -> rusqlite::Result<()> {
        let come = "INSERT INTO stock_coming (line, tree, imported) VALUES (?1, ?2, 1)";
        self.connection.run(come, params![line.0, tree.0.as_bytes()])?;
        let write = "UPDATE tree SET line = ?2, place = ?3 WHERE id = ?1";
        self.connection.run(write, params![tree.0.as_bytes(), line.0, Place::Coming.code()]).map(|_| ())
    }
}
