//! Parts of trees as rows: what is searched in columns, the rest as JSON.

use std::sync::Arc;

use rusqlite::{Row, params};
use serde_json::Value;
use sixpack_model::ids::TreeId;
use sixpack_model::tree::Part;

use super::columns::{code, name, parsed, shared_of, time_at, time_of, unreadable};
use super::statements::Statements;
use super::writer::Tx;
use crate::stored::parts::{Detail, PartColumns, PartRow};

/// The columns that [`read_part`] reads, in its order.
pub(super) const PART_COLUMNS: &str = "d.part, d.parent, d.step, d.place, c.name, d.version, d.status, \
     d.created_at, d.started_at, d.input, d.output, d.facts, d.detail";

impl Tx<'_> {
    /// Writes a part that is new.
    pub(super) fn insert_part(
        &mut self,
        environment: i64,
        tree: TreeId,
        part: &PartRow,
    ) -> rusqlite::Result<()> {
        let contract = self.contract(environment, &part.contract)?;
        self.connection.run(
            "INSERT INTO dataset (tree, part, parent, step, place, contract, version, status, failed, created_at,
                                  started_at, input, output, facts, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            params![
                tree.0.as_bytes(),
                part.part,
                part.parent,
                part.step,
                part.place,
                contract,
                part.version,
                part.status,
                part.failed,
                part.created_at,
                part.started_at,
                part.input,
                part.output,
                part.facts,
                part.detail,
            ],
        )?;
        Ok(())
    }

    /// Writes what can change of a part.
    pub(super) fn update_part(&self, tree: TreeId, part: &PartRow) -> rusqlite::Result<()> {
        let rows = self.connection.run(
            "UPDATE dataset SET status = ?3, failed = ?4, started_at = ?5, input = ?6, output = ?7, facts = ?8,
                                detail = ?9, version = ?10
             WHERE tree = ?1 AND part = ?2",
            params![
                tree.0.as_bytes(),
                part.part,
                part.status,
                part.failed,
                part.started_at,
                part.input,
                part.output,
                part.facts,
                part.detail,
                part.version,
            ],
        )?;
        assert_eq!(rows, 1, "part {} of {tree} is to be changed and has never been created", part.part);
        Ok(())
    }
}

/// Reads a part from [`PART_COLUMNS`].
pub(super) fn read_part(row: &Row<'_>) -> rusqlite::Result<Part> {
    let input: Value = parsed(row, 9)?;
    let detail: Detail<'_> = parsed(row, 12)?;
    let columns = PartColumns {
        part: row.get(0)?,
        parent: row.get(1)?,
        step: row.get(2)?,
        index: row.get(3)?,
        contract: name(row, 4)?,
        version: row.get(5)?,
        status: code(row, 6)?,
        created_at: time_at(row, 7)?,
        started_at: time_of(row, 8)?,
        input: Arc::new(input),
        output: shared_of(row, 10)?,
        facts: shared_of(row, 11)?,
    };
    detail.into_part(columns).map_err(|cause| unreadable(12, cause))
}
