//! Statistics in PostgreSQL: the ends of two indexes.

use async_trait::async_trait;
use futures::future::try_join;
use sixpack_model::channel::is_of_channel;
use sixpack_model::ids::{DatasetId, RequestId, TreeId};
use sixpack_model::name::ContractName;
use sixpack_model::statistics::{PartSample, RequestSample, Samples};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::PostgresStore;
use super::columns::{Int, code, get, id, number, parsed, parsed_of, time_at, time_of, unreadable};
use super::faults::Fault;
use crate::error::StoreError;
use crate::statistics::Statistics;
use crate::stored::failures::StoredFailure;
use crate::stored::statistics::StoredMaking;

/// The contracts that were asked for, by their place.
macro_rules! named {
    () => {
        "unnest($2::text[]) WITH ORDINALITY AS named (name, place)
         JOIN contract c ON c.name = named.name AND c.environment = (SELECT e.id FROM environment e WHERE e.name = $1)"
    };
}

/// The newest requests for each contract, with when what they were given was begun.
const REQUESTS: &str = concat!(
    "SELECT named.place, r.id, r.status, r.line IS NOT NULL, r.created_at, r.ended_at, r.failure,
         (SELECT d.created_at FROM lease l JOIN dataset d ON d.tree = l.tree AND d.part = 0
          WHERE l.request = r.id AND l.unit = 0 ORDER BY l.id LIMIT 1),
         r.channel IS NULL AND NOT r.listed
     FROM ",
    named!(),
    " CROSS JOIN LATERAL (SELECT * FROM request s WHERE s.contract = c.id ORDER BY s.id DESC LIMIT $3) r
     ORDER BY named.place, r.id DESC"
);

/// The newest datasets of each contract.
const PARTS: &str = concat!(
    "SELECT named.place, d.tree, d.part, coalesce(d.started_at, d.created_at), d.version, d.detail
     FROM ",
    named!(),
    " CROSS JOIN LATERAL (SELECT * FROM dataset s WHERE s.contract = c.id ORDER BY s.tree DESC LIMIT $3) d
     ORDER BY named.place, d.tree DESC, d.part DESC"
);

#[async_trait]
impl Statistics for PostgresStore {
    async fn samples(
        &self,
        environment: &str,
        contracts: &[ContractName],
        last: u32,
    ) -> Result<Vec<Samples>, StoreError> {
        let names: Vec<String> = contracts.iter().map(ContractName::to_string).collect();
        let input = (environment.to_owned(), names, Int::from(last));
        self.read_at_once("reading what statistics are told from", input, |connection, input| {
            Box::pin(async move {
                let (environment, names, last) = input;
                let values: &[&(dyn ToSql + Sync)] = &[environment, names, last];
                let (requests, parts) = try_join(
                    connection.all(REQUESTS, values, |row| placed(row, read_request)),
                    connection.all(PARTS, values, |row| placed(row, read_part)),
                )
                .await?;
                let mut samples: Vec<Samples> = names.iter().map(|_| Samples::default()).collect();
                for (place, request) in requests.into_iter().flatten() {
                    samples[place].requests.push(request);
                }
                for (place, part) in parts.into_iter().flatten() {
                    samples[place].parts.push(part);
                }
                Ok(samples)
            })
        })
        .await
    }
}

/// A sample with the place of its contract among those that were asked for; places are counted from 1.
fn placed<T>(
    row: &Row,
    read: impl FnOnce(&Row) -> Result<Option<T>, Fault>,
) -> Result<Option<(usize, T)>, Fault> {
    let place: u32 = number(row, 0)?;
    Ok(read(row)?.map(|sample| (place as usize - 1, sample)))
}

fn read_request(row: &Row) -> Result<Option<RequestSample>, Fault> {
    if !get::<bool>(row, 8)? {
        return Ok(None);
    }
    let failure: Option<StoredFailure<'_>> = parsed_of(row, 6)?;
    Ok(Some(RequestSample {
        id: RequestId(id(row, 1)?),
        status: code(row, 2)?,
        refills: get(row, 3)?,
        created_at: time_at(row, 4)?,
        ended_at: time_of(row, 5)?,
        given_at: time_of(row, 7)?,
        failure: failure
            .map(StoredFailure::into_failure)
            .transpose()
            .map_err(|cause| unreadable(6, cause))?,
    }))
}

fn read_part(row: &Row) -> Result<Option<PartSample>, Fault> {
    if is_of_channel(number(row, 4)?) {
        return Ok(None);
    }
    let dataset = DatasetId { tree: TreeId(id(row, 1)?), part: number(row, 2)? };
    let making: StoredMaking<'_> = parsed(row, 5)?;
    making.into_sample(dataset, time_at(row, 3)?).map(Some).map_err(|cause| unreadable(5, cause))
}
