//! Parts of trees as rows: what is searched in columns, the rest as JSON.

use sixpack_model::ids::TreeId;
use sixpack_model::tree::Part;
use tokio_postgres::Row;
use uuid::Uuid;

use super::columns::{code, get, named, number, number_of, parsed, shared_of, time_at, time_of, unreadable};
use super::faults::Fault;
use super::writer::Tx;
use crate::stored::parts::{Detail, PartColumns, PartRow};

/// The columns that [`read_part`] reads, in its order.
pub(super) const PART_COLUMNS: &str = "d.part, d.parent, d.step, d.place, c.name, d.version, d.status, \
     d.created_at, d.started_at, d.input, d.output, d.facts, d.detail";

/// A part with its tree.
pub(super) type PartOf<'p> = (TreeId, &'p PartRow);

impl Tx {
    /// Writes parts that are new, all at once; `contracts` are the numbers of theirs.
    pub(super) async fn insert_parts(&self, parts: &[PartOf<'_>], contracts: &[i64]) -> Result<(), Fault> {
        if parts.is_empty() {
            return Ok(());
        }
        let insert =
            "INSERT INTO dataset (tree, part, parent, step, place, contract, version, status, failed, created_at,
                                  started_at, input, output, facts, detail)
             SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[],
                                  $7::bigint[], $8::bigint[], $9::boolean[], $10::bigint[], $11::bigint[], $12::text[],
                                  $13::text[], $14::text[], $15::text[])";
        self.connection
            .later(
                insert,
                &[
                    &trees(parts),
                    &each(parts, |part| i64::from(part.part)),
                    &each(parts, |part| part.parent.map(i64::from)),
                    &each(parts, |part| part.step.as_str()),
                    &each(parts, |part| part.place.map(i64::from)),
                    &contracts,
                    &each(parts, |part| i64::from(part.version)),
                    &each(parts, |part| part.status),
                    &each(parts, |part| part.failed),
                    &each(parts, |part| part.created_at),
                    &each(parts, |part| part.started_at),
                    &each(parts, |part| part.input.as_str()),
                    &each(parts, |part| part.output.as_deref()),
                    &each(parts, |part| part.facts.as_deref()),
                    &each(parts, |part| part.detail.as_str()),
                ],
            )
            .await
    }

    /// Writes what can change of parts, all at once. Their trees are locked.
    pub(super) async fn update_parts(&self, parts: &[PartOf<'_>]) -> Result<(), Fault> {
        if parts.is_empty() {
            return Ok(());
        }
        let update =
            "UPDATE dataset d SET status = p.status, failed = p.failed, started_at = p.started_at, input = p.input,
                                  output = p.output, facts = p.facts, detail = p.detail, version = p.version
             FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::boolean[], $5::bigint[], $6::text[], $7::text[],
                         $8::text[], $9::text[], $10::bigint[])
                  AS p (tree, part, status, failed, started_at, input, output, facts, detail, version)
             WHERE d.tree = p.tree AND d.part = p.part";
        // A part that is to be changed was created.
        self.connection
            .later_all(
                update,
                &[
                    &trees(parts),
                    &each(parts, |part| i64::from(part.part)),
                    &each(parts, |part| part.status),
                    &each(parts, |part| part.failed),
                    &each(parts, |part| part.started_at),
                    &each(parts, |part| part.input.as_str()),
                    &each(parts, |part| part.output.as_deref()),
                    &each(parts, |part| part.facts.as_deref()),
                    &each(parts, |part| part.detail.as_str()),
                    &each(parts, |part| i64::from(part.version)),
                ],
                parts.len() as u64,
                None,
            )
            .await
    }
}

fn trees(parts: &[PartOf<'_>]) -> Vec<Uuid> {
    parts.iter().map(|(tree, _)| tree.0).collect()
}

/// One column of all rows.
fn each<'p, T>(parts: &[PartOf<'p>], column: impl Fn(&'p PartRow) -> T) -> Vec<T> {
    parts.iter().map(|(_, part)| column(part)).collect()
}

/// Reads a part from [`PART_COLUMNS`].
pub(super) fn read_part(row: &Row) -> Result<Part, Fault> {
    let detail: Detail<'_> = parsed(row, 12)?;
    let columns = PartColumns {
        part: number(row, 0)?,
        parent: number_of(row, 1)?,
        step: get(row, 2)?,
        index: number_of(row, 3)?,
        contract: named(row, 4)?,
        version: number(row, 5)?,
        status: code(row, 6)?,
        created_at: time_at(row, 7)?,
        started_at: time_of(row, 8)?,
        input: parsed(row, 9)?,
        output: shared_of(row, 10)?,
        facts: shared_of(row, 11)?,
    };
    detail.into_part(columns).map_err(|cause| unreadable(12, cause))
}
