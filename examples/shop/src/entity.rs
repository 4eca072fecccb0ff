//! Entities: what the services make, each a row with an id, findable by the key that made it.

use axum::Json;
use axum::extract::{Path, State};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, Transaction, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::http::{Denial, Made, Params};
use crate::service::Service;

/// One kind of entity: a table with the columns `id` and `key`, and a reading of its rows.
pub(crate) trait Entity: Serialize + Sized + Send + 'static {
    const TABLE: &'static str;
    const NOUN: &'static str;

    fn read(row: &Row<'_>) -> rusqlite::Result<Self>;

    /// Adds what stands in other tables.
    fn complete(&mut self, _database: &Connection) -> rusqlite::Result<()> {
        Ok(())
    }
}

/// Which entities a list is asked for; there is no list of all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ByKey {
    key: String,
}

/// A new id: the kind's prefix and letters that sort by time.
pub(crate) fn new_id(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::now_v7().simple())
}

/// The entity with this id, or 404.
pub(crate) fn get<E: Entity>(database: &Connection, id: &str) -> Result<E, Denial> {
    find(database, "id", &id)?.ok_or_else(|| Denial::missing(E::NOUN, id))
}

/// An entity by a column whose values are unique.
pub(crate) fn find<E: Entity>(
    database: &Connection,
    column: &'static str,
    value: &dyn ToSql,
) -> Result<Option<E>, Denial> {
    let statement = format!("SELECT * FROM {} WHERE {column} = ?1", E::TABLE);
    let mut found = database.prepare_cached(&statement)?.query_row([value], E::read).optional()?;
    if let Some(entity) = &mut found {
        entity.complete(database)?;
    }
    Ok(found)
}

/// Makes an entity, unless the same key has made one before, which is then the answer. `insert` checks the
/// rules, writes the row and says its id.
pub(crate) fn create<E: Entity>(
    transaction: &Transaction<'_>,
    key: Option<&str>,
    insert: impl FnOnce() -> Result<String, Denial>,
) -> Result<Made<E>, Denial> {
    if let Some(key) = key
        && let Some(before) = find(transaction, "key", &key)?
    {
        return Ok(Made::Before(before));
    }
    let id = insert()?;
    Ok(Made::New(get(transaction, &id)?))
}

/// Deletes an entity; says what it was, or `None` when there is none.
pub(crate) fn remove<E: Entity>(transaction: &Transaction<'_>, id: &str) -> Result<Option<E>, Denial> {
    let found = find::<E>(transaction, "id", &id)?;
    transaction.execute(&format!("DELETE FROM {} WHERE id = ?1", E::TABLE), params![id])?;
    Ok(found)
}

/// `GET /<collection>/{id}`.
pub(crate) async fn show<E: Entity>(
    State(service): State<Service>,
    Path(id): Path<String>,
) -> Result<Json<E>, Denial> {
    service.database().transaction(|transaction| get(transaction, &id)).map(Json)
}

/// `GET /<collection>?key=`: a list of none or one.
pub(crate) async fn list_by_key<E: Entity>(
    State(service): State<Service>,
    Params(by): Params<ByKey>,
) -> Result<Json<Vec<E>>, Denial> {
    let found = service.database().transaction(|transaction| find(transaction, "key", &by.key))?;
    Ok(Json(found.into_iter().collect()))
}
