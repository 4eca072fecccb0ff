//! Looking through an index in PostgreSQL: a bounded stretch of it, of which the matching keys are taken.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::columns::{Int, number};
use super::faults::Fault;
use super::statements::Connection;
use crate::page::Listed;
use crate::stored::looks::{self, Look, rows_of_each, together};

/// A value of a statement that is put together.
pub(super) type Given = Box<dyn ToSql + Send + Sync>;

pub(super) type Source = looks::Source<Given>;

/// A way through an index.
pub(super) fn source(keys: &'static str, order: &'static str) -> Source {
    Source::new('$', keys, order)
}

/// Goes through every source for a page of `limit` keys, which `key` reads.
pub(super) async fn look<K: Copy + Ord + Send>(
    connection: &Connection,
    sources: &[Source],
    limit: u32,
    key: impl Fn(&Row) -> Result<K, Fault> + Send + Sync,
) -> Result<Listed<K, K>, Fault> {
    let most = rows_of_each(sources.len());
    let limit = limit as usize;
    let mut looks = Vec::with_capacity(sources.len());
    for source in sources {
        let (keys, from, order, matches) = (source.keys, source.from(), source.order, source.matches());
        let mut values: Vec<&(dyn ToSql + Sync)> =
            source.values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
        let (last, all) = (values.len() + 1, values.len() + 2);
        // Only as much of the stretch is read as it takes to find them; one more tells whether there are more.
        let list = format!(
            "SELECT * FROM (
                 SELECT {keys}, ({matches}) AS matches FROM {from} ORDER BY {order} LIMIT ${last}) looked
             WHERE matches ORDER BY {} LIMIT ${all}",
            outside(order)
        );
        let (stretch, before_last) = (Int(most as i64), Int(most as i64 - 1));
        let wanted = Int(limit as i64 + 1);
        values.extend([&stretch as &(dyn ToSql + Sync), &wanted]);
        let mut found = connection.all(&list, &values, &key).await?;
        let ended_at = if found.len() > limit {
            found.truncate(limit);
            found.last().copied()
        } else {
            // Without what is compared: a value that a statement does not name has no type.
            let way = source.values_of_the_way();
            let mut values: Vec<&(dyn ToSql + Sync)> =
                way.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
            values.push(&before_last);
            let place = values.len();
            let edge = format!("SELECT {keys} FROM {from} ORDER BY {order} OFFSET ${place} LIMIT 2");
            let edge = connection.all(&edge, &values, &key).await?;
            edge.first().filter(|_| edge.len() > 1).copied()
        };
        looks.push(Look { keys: found, ended_at });
    }
    Ok(together(looks, limit))
}

/// The order of a list by the names that the columns have outside of the stretch.
fn outside(order: &str) -> String {
    order
        .split(", ")
        .map(|column| column.split_once('.').map_or(column, |(_, name)| name))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The numbers of the environments that a list goes through.
pub(super) async fn environments(connection: &Connection, name: Option<&str>) -> Result<Vec<i64>, Fault> {
    let find = "SELECT id FROM environment WHERE $1::text IS NULL OR name = $1";
    connection.all(find, &[&name], |row| number(row, 0)).await
}

/// The numbers that a contract has in these environments.
pub(super) async fn contracts(
    connection: &Connection,
    name: &str,
    environments: &[i64],
) -> Result<Vec<i64>, Fault> {
    let find = "SELECT id FROM contract WHERE environment = ANY ($1) AND name = $2";
    connection.all(find, &[&environments, &name], |row| number(row, 0)).await
}
