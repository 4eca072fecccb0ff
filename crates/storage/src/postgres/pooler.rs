//! Pooler: whether the database itself is spoken to or one that hands each transaction to any of its connections, and what follows.
//!
//! ```text
//!                                        | direct                          | through a pooler
//! settings                               | of the connection               | of each transaction
//! statements                             | prepared once a connection      | sent as text with the types of their values
//! reads                                  | statement by statement          | in a transaction that changes nothing
//! presence ([`super::presence`])         | a lock of the connection        | a lock of a transaction that stands
//! wake-ups                               | told and heard                  | told, not heard
//! ```
//!
//! Only what is proven counts as direct: taking a direct connection for a pooled one costs some time, the other way round
//! settings and statements of one server would turn up with another one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use deadpool_postgres::Object;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Statement};

use super::address::Address;
use super::{keys, opening};
use crate::error::StoreError;

/// How the database is spoken to.
#[derive(Clone)]
pub(super) enum Way {
    /// A connection is a session of the database for as long as it lives.
    Direct,
    /// Only a transaction is: the next one may be carried out in another session.
    Pooled(Arc<Pooled>),
}

/// What is kept in place of sessions.
pub(super) struct Pooled {
    /// Statements that every transaction begins with.
    settings: String,
    /// The types of values by statement, as the database has told them once. There are only so many: a text is never made from a
    /// value.
    types: Mutex<HashMap<String, Arc<[Type]>>>,
}

/// A statement that can be run.
pub(super) enum Ready {
    /// The connection knows it.
    Kept(Statement),
    /// It is sent with these types of its values.
    Once(Arc<[Type]>),
}

impl Ready {
    /// The types of its values.
    pub(super) fn types(&self) -> &[Type] {
        match self {
            Self::Kept(statement) => statement.params(),
            Self::Once(types) => types,
        }
    }
}

/// Finds out how the database at an address is spoken to.
pub(super) async fn find_out(address: &Address) -> Result<Way, StoreError> {
    if !address.is_pooled {
        match opening::try_connect(&address.of_a_session(), address).await? {
            Ok(client) if is_direct(&client, address).await? => return Ok(Way::Direct),
            Err(cause) if !is_refused_setting(&cause) => return Err(opening::not_connected(cause)),
            // PgBouncer refuses settings of a connection, or leaves them out when it is told to.
            Ok(_) | Err(_) => {}
        }
    }
    if address.config.get_options().is_some() {
        return Err(no_options(address));
    }
    tracing::info!(
        "a pooler stands before the database: statements are not kept prepared, and no wake-up of others is heard"
    );
    let settings = address.of_a_transaction(&[]);
    Ok(Way::Pooled(Arc::new(Pooled { settings, types: Mutex::default() })))
}

/// Whether whoever was asked for the connection also carries its statements out, with the settings that it was given.
async fn is_direct(client: &Client, address: &Address) -> Result<bool, StoreError> {
    let asked = "SELECT pg_backend_pid(), current_setting('search_path')";
    let row = client.query_typed_one(asked, &[]).await;
    let row = row.map_err(|cause| opening::told("asking who serves the connection", cause))?;
    let is_set = row.get::<_, &str>(1) == address.schema;
    Ok(is_set && keys::process_of(client).await == Some(row.get(0)))
}

/// Whether a connection was refused for a setting that it asked for. The database itself knows all of ours.
pub(super) fn is_refused_setting(cause: &tokio_postgres::Error) -> bool {
    cause.code() == Some(&SqlState::PROTOCOL_VIOLATION)
}

/// What an address has itself that gets through no pooler.
pub(super) fn no_options(address: &Address) -> StoreError {
    let reason = format!(
        "a pooler stands before {address}, which takes no `options` of a connection: leave them out of the address, and set them for \
         the role (ALTER ROLE … SET …)"
    );
    StoreError::Unsuitable { reason }
}

impl Way {
    pub(super) fn is_pooled(&self) -> bool {
        matches!(self, Self::Pooled(_))
    }

    /// The statements that begin a transaction.
    pub(super) fn begin(&self, how: &'static str) -> String {
        match self {
            Self::Direct => how.to_owned(),
            Self::Pooled(pooled) => format!("{how}; {}", pooled.settings),
        }
    }

    /// Makes a statement ready, in a transaction if there is a pooler.
    pub(super) async fn ready(&self, client: &Object, sql: &str) -> Result<Ready, tokio_postgres::Error> {
        match self {
            Self::Direct => client.prepare_cached(sql).await.map(Ready::Kept),
            Self::Pooled(pooled) => pooled.types(client, sql).await.map(Ready::Once),
        }
    }
}

impl Pooled {
    async fn types(&self, client: &Object, sql: &str) -> Result<Arc<[Type]>, tokio_postgres::Error> {
        let known = || self.types.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(types) = known().get(sql) {
            return Ok(Arc::clone(types));
        }
        // It has a name, which another server may give to another statement. It is closed before the transaction ends, or the
        // pooler closes its connection along with ours: nobody else ever meets it.
        let types: Arc<[Type]> = client.prepare(sql).await?.params().into();
        known().insert(sql.to_owned(), Arc::clone(&types));
        Ok(types)
    }
}
