//! Statistics in SQLite: the ends of two indexes.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use sixpack_model::channel::is_of_channel;
use sixpack_model::ids::{DatasetId, RequestId, TreeId};
use sixpack_model::name::ContractName;
use sixpack_model::statistics::{PartSample, RequestSample, Samples};

use super::SqliteStore;
use super::columns::{code, id, parsed, parsed_of, time_at, time_of, unreadable};
use super::failures::StoredFailure;
use super::statements::Statements;
use crate::error::StoreError;
use crate::statistics::Statistics;
use crate::stored::statistics::StoredMaking;

/// The newest requests for a contract, with when what they were given was begun.
pub(super) const REQUESTS: &str =
    "SELECT r.id, r.status, r.line IS NOT NULL, r.created_at, r.ended_at, r.failure,
         (SELECT d.created_at FROM lease l CROSS JOIN dataset d ON d.tree = l.tree AND d.part = 0
          WHERE l.request = r.id AND l.unit = 0 ORDER BY l.id LIMIT 1),
         r.channel IS NULL AND r.listed = 0
     FROM request r INDEXED BY request_by_contract WHERE r.contract = ?1 ORDER BY r.id DESC LIMIT ?2";

/// The newest datasets of a contract.
pub(super) const PARTS: &str = "SELECT d.tree, d.part, coalesce(d.started_at, d.created_at), d.version, d.detail
     FROM dataset d INDEXED BY dataset_by_contract WHERE d.contract = ?1 ORDER BY d.tree DESC, d.part DESC LIMIT ?2";

#[async_trait]
impl Statistics for SqliteStore {
    async fn samples(
        &self,
        environment: &str,
        contracts: &[ContractName],
        last: u32,
    ) -> Result<Vec<Samples>, StoreError> {
        let (environment, contracts) = (environment.to_owned(), contracts.to_vec());
        self.read("reading what statistics are told from", move |connection| {
            contracts.iter().map(|contract| samples_of(connection, &environment, contract, last)).collect()
        })
        .await
    }
}

fn samples_of(
    connection: &Connection,
    environment: &str,
    contract: &ContractName,
    last: u32,
) -> rusqlite::Result<Samples> {
    let number: Option<i64> = connection.one(
        "SELECT c.id FROM environment e CROSS JOIN contract c ON c.environment = e.id AND c.name = ?2 WHERE e.name = ?1",
        params![environment, contract.to_string()],
        |row| row.get(0),
    )?;
    let Some(number) = number else { return Ok(Samples::default()) };
    let requests = connection.all(REQUESTS, params![number, last], read_request)?;
    let parts = connection.all(PARTS, params![number, last], read_part)?;
    Ok(Samples {
        requests: requests.into_iter().flatten().collect(),
        parts: parts.into_iter().flatten().collect(),
    })
}

fn read_request(row: &Row<'_>) -> rusqlite::Result<Option<RequestSample>> {
    if !row.get::<_, bool>(7)? {
        return Ok(None);
    }
    let failure: Option<StoredFailure<'_>> = parsed_of(row, 5)?;
    Ok(Some(RequestSample {
        id: RequestId(id(row, 0)?),
        status: code(row, 1)?,
        refills: row.get(2)?,
        created_at: time_at(row, 3)?,
        ended_at: time_of(row, 4)?,
        given_at: time_of(row, 6)?,
        failure: failure
            .map(StoredFailure::into_failure)
            .transpose()
            .map_err(|cause| unreadable(5, cause))?,
    }))
}

fn read_part(row: &Row<'_>) -> rusqlite::Result<Option<PartSample>> {
    if is_of_channel(row.get(3)?) {
        return Ok(None);
    }
    let dataset = DatasetId { tree: TreeId(id(row, 0)?), part: row.get(1)? };
    let making: StoredMaking<'_> = parsed(row, 4)?;
    making.into_sample(dataset, time_at(row, 2)?).map(Some).map_err(|cause| unreadable(4, cause))
}
