//! Looking through an index in SQLite: step by step, until there is enough or enough was looked at.

use rusqlite::{Connection, Row, ToSql, params_from_iter};

use super::statements::Statements;
use crate::page::Listed;
use crate::stored::looks::{self, Look, rows_of_each, together};

/// A value of a statement that is put together.
pub(super) type Given = Box<dyn ToSql + Send>;

pub(super) type Source = looks::Source<Given>;

/// A way through an index.
pub(super) fn source(keys: &'static str, order: &'static str) -> Source {
    Source::new('?', keys, order)
}

/// Goes through every source for a page of `limit` keys, which `key` reads.
pub(super) fn look<K: Copy + Ord>(
    connection: &Connection,
    sources: &[Source],
    limit: u32,
    key: impl Fn(&Row<'_>) -> rusqlite::Result<K>,
) -> rusqlite::Result<Listed<K, K>> {
    let (limit, most) = (limit as usize, rows_of_each(sources.len()));
    let mut looks = Vec::with_capacity(sources.len());
    for source in sources {
        let mut statement = connection.prepare_cached(&statement_of(source))?;
        // One more than is looked at tells whether there are more.
        let rows_at_most = most as i64 + 1;
        let values = source.values.iter().map(|value| &**value as &dyn ToSql).chain([&rows_at_most as _]);
        let mut rows = statement.query(params_from_iter(values))?;
        let mut look = Look { keys: Vec::new(), ended_at: None };
        let (mut looked, mut last) = (0, None);
        while let Some(row) = rows.next()? {
            if looked == most {
                look.ended_at = last;
                break;
            }
            looked += 1;
            last = Some(key(row)?);
            // A comparison with nothing is no match.
            if row.get::<_, Option<bool>>(0)?.unwrap_or(false) {
                if look.keys.len() == limit {
                    look.ended_at = look.keys.last().copied();
                    break;
                }
                look.keys.extend(last);
            }
        }
        looks.push(look);
    }
    Ok(together(looks, limit))
}

/// The statement that goes through a source; whether a row matches stands before its key, and the limit is the last value.
fn statement_of(source: &Source) -> String {
    let (keys, from, order, limit) = (source.keys, source.from(), source.order, source.values.len() + 1);
    format!("SELECT {}, {keys} FROM {from} ORDER BY {order} LIMIT ?{limit}", source.matches())
}

/// Reads the rows of a page by their keys; one that has gone meanwhile is left out.
pub(super) fn rows<K, R>(
    listed: Listed<K, K>,
    mut read: impl FnMut(&K) -> rusqlite::Result<Option<R>>,
) -> rusqlite::Result<Listed<R, K>> {
    let rows: rusqlite::Result<Vec<Option<R>>> = listed.rows.iter().map(&mut read).collect();
    Ok(Listed { rows: rows?.into_iter().flatten().collect(), next: listed.next })
}

/// The numbers of the environments that a list goes through.
pub(super) fn environments(connection: &Connection, name: Option<&str>) -> rusqlite::Result<Vec<i64>> {
    match name {
        None => connection.all("SELECT id FROM environment", [], |row| row.get(0)),
        Some(name) => connection.all("SELECT id FROM environment WHERE name = ?1", [name], |row| row.get(0)),
    }
}

/// The numbers that a contract has in these environments.
pub(super) fn contracts(
    connection: &Connection,
    name: &str,
    environments: &[i64],
) -> rusqlite::Result<Vec<i64>> {
    let find = "SELECT id FROM contract WHERE environment = ?1 AND name = ?2";
    let found: rusqlite::Result<Vec<Option<i64>>> = environments
        .iter()
        .map(|environment| connection.one(find, (environment, name), |row| row.get(0)))
        .collect();
    Ok(found?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use sixpack_model::lease::LeaseStatus;
    use sixpack_model::request::RequestStatus;
    use sixpack_model::tree::PartStatus;

    use super::*;
    use crate::datasets::DatasetFilter;
    use crate::leases::LeaseFilter;
    use crate::requests::RequestFilter;
    use crate::sqlite::requests::OVERDUE;
    use crate::sqlite::{Durability, Settings, SqliteStore, datasets, leases, requests, statistics};

    /// How SQLite goes about a statement, step by step.
    fn plan(connection: &Connection, sql: &str) -> String {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let (mut rows, mut steps) = (statement.raw_query(), Vec::new());
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get::<_, String>(3).unwrap());
        }
        steps.join("; ")
    }

    fn reader() -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { durability: Durability::TestsOnly, ..Settings::default() };
        drop(SqliteStore::open(folder.path(), settings).unwrap());
        let file = folder.path().join(crate::sqlite::opening::DATABASE_FILE);
        let writer = Connection::open(&file).unwrap();
        let names = "INSERT INTO environment (id, name, revision, created_at) VALUES (1, 'qa', 0, 0), (2, 'qa2', 0, 0);
                     INSERT INTO contract (id, environment, name, offered) VALUES (1, 1, 'shop/a', 0), (2, 2, 'shop/a', 0)";
        writer.execute_batch(names).unwrap();
        (folder, crate::sqlite::opening::open_reader(&file).unwrap())
    }

    fn is_read_in_its_order(connection: &Connection, sources: &[Source], expected: &str) {
        assert!(!sources.is_empty());
        for source in sources {
            let plan = plan(connection, &statement_of(source));
            assert!(plan.starts_with(expected) && !plan.contains("TEMP B-TREE"), "{expected}: {plan}");
        }
    }

    #[test]
    fn lists_of_requests_and_the_sweep_read_an_index_in_its_order_and_sort_nothing() {
        let (_folder, connection) = reader();
        let of_status = |status| RequestFilter { status, ..RequestFilter::default() };
        for (status, expected) in [
            (None, "SEARCH r USING PRIMARY KEY (id<?)"),
            (Some(RequestStatus::Fulfilled), "SEARCH r USING PRIMARY KEY (id<?)"),
            (Some(RequestStatus::Queued), "SEARCH r USING COVERING INDEX request_open (id<?)"),
            (Some(RequestStatus::Building), "SEARCH r USING COVERING INDEX request_open (id<?)"),
            (
                Some(RequestStatus::Failed),
                "SEARCH r USING COVERING INDEX request_unhappy (status=? AND id<?)",
            ),
        ] {
            let sources = requests::sources_of(&of_status(status), &[1, 2], &[], None);
            is_read_in_its_order(&connection, &sources, expected);
        }
        let filter = RequestFilter { contract: Some("shop/a".to_owned()), ..RequestFilter::default() };
        let sources = requests::sources_of(&filter, &[1, 2], &[1, 2], None);
        let expected = "SEARCH r USING COVERING INDEX request_by_contract (contract=? AND id<?)";
        is_read_in_its_order(&connection, &sources, expected);
        let expected = "SEARCH request USING COVERING INDEX request_open (id>?)";
        assert_eq!(plan(&connection, OVERDUE), expected);
    }

    #[test]
    fn statistics_read_the_end_of_an_index_and_sort_nothing() {
        let (_folder, connection) = reader();
        for (statement, expected) in [
            (statistics::REQUESTS, "SEARCH r USING INDEX request_by_contract (contract=?)"),
            (statistics::PARTS, "SEARCH d USING INDEX dataset_by_contract (contract=?)"),
        ] {
            let plan = plan(&connection, statement);
            assert!(plan.starts_with(expected) && !plan.contains("TEMP B-TREE"), "{plan}");
            assert!(!plan.contains("SCAN"), "{plan}");
        }
    }

    #[test]
    fn lists_of_datasets_and_leases_read_an_index_in_its_order_and_sort_nothing() {
        let (_folder, connection) = reader();
        let (contract, entity) = (Some("shop/a".to_owned()), Some(("customer".to_owned(), "42".to_owned())));
        let status = Some(PartStatus::Leased);
        for (filter, expected) in [
            (DatasetFilter::default(), "SEARCH t USING PRIMARY KEY (id<?)"),
            (
                DatasetFilter { status, ..Default::default() },
                "SEARCH t USING COVERING INDEX tree_by_status (status=? AND id<?)",
            ),
            (
                DatasetFilter { contract, status, ..Default::default() },
                "SEARCH d USING INDEX dataset_by_contract (contract=? AND (tree,part)<(?,?))",
            ),
            (
                DatasetFilter { entity, status, ..Default::default() },
                "SEARCH n USING PRIMARY KEY (environment=? AND kind=? AND key=? AND (tree,part)<(?,?))",
            ),
        ] {
            let sources = datasets::sources_of(&connection, &filter, None).unwrap();
            is_read_in_its_order(&connection, &sources, expected);
        }
        let (status, contract) = (Some(LeaseStatus::Expired), Some("shop/a".to_owned()));
        let ended = LeaseFilter { status, contract, ..LeaseFilter::default() };
        let sources = [leases::source_of(ended, &[1, 2], &[1, 2], None)];
        is_read_in_its_order(&connection, &sources, "SEARCH l USING PRIMARY KEY (id<?)");
    }
}
