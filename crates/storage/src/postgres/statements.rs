//! Statements: prepared once a connection, then only bound and run.

use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::Object;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::faults::Fault;

/// The values of a statement.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection of the pool, and short forms for the three ways in which a statement is run.
///
/// Statements are remembered by their text, of which there are only so many: a text is never made from a value. What does not
/// need the answer of the statement before it is sent behind it at once, by [`futures::future::try_join`], which polls in order.
pub(super) struct Connection {
    /// `None` only while it is taken apart.
    client: Option<Object>,
    /// Whether a transaction stands open on it.
    open: AtomicBool,
    /// Whether a statement has failed: PostgreSQL answers the commit of such a transaction with a silent rollback.
    failed: AtomicBool,
}

impl Connection {
    pub(super) fn of(client: Object) -> Self {
        Self { client: Some(client), open: AtomicBool::new(false), failed: AtomicBool::new(false) }
    }

    /// Runs a change; returns how many rows it touched.
    pub(super) async fn run(&self, sql: &str, params: Params<'_>) -> Result<u64, Fault> {
        let run = async {
            let statement = self.client().prepare_cached(sql).await?;
            self.client().execute(&statement, params).await
        };
        self.noted(run.await)
    }

    /// Reads the first row, if there is one.
    pub(super) async fn one<T>(
        &self,
        sql: &str,
        params: Params<'_>,
        read: impl FnOnce(&Row) -> Result<T, Fault> + Send,
    ) -> Result<Option<T>, Fault> {
        self.query(sql, params).await?.first().map(read).transpose()
    }

    /// Reads every row.
    pub(super) async fn all<T>(
        &self,
        sql: &str,
        params: Params<'_>,
        read: impl FnMut(&Row) -> Result<T, Fault> + Send,
    ) -> Result<Vec<T>, Fault> {
        self.query(sql, params).await?.iter().map(read).collect()
    }

    /// Begins a transaction; what is run in the same poll behind it belongs to it.
    pub(super) async fn begin(&self, how: &str) -> Result<(), Fault> {
        self.open.store(true, Ordering::Relaxed);
        self.noted(self.client().batch_execute(how).await)
    }

    /// Commits. An error that is no refusal leaves open whether it was done.
    pub(super) async fn commit(&self) -> Result<(), Fault> {
        if self.failed.load(Ordering::Relaxed) {
            let what = "a transaction goes on behind a statement that failed";
            return Err(Fault::Wrong(what.to_owned()));
        }
        self.noted(self.client().batch_execute("COMMIT").await)?;
        self.open.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Undoes the transaction. When that fails as well, the connection is given up, and the database undoes it.
    pub(super) async fn roll_back(&self) {
        if self.client().batch_execute("ROLLBACK").await.is_ok() {
            self.open.store(false, Ordering::Relaxed);
        }
    }

    async fn query(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let query = async {
            let statement = self.client().prepare_cached(sql).await?;
            self.client().query(&statement, params).await
        };
        self.noted(query.await)
    }

    fn noted<T>(&self, result: Result<T, tokio_postgres::Error>) -> Result<T, Fault> {
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        result.map_err(Fault::from)
    }

    fn client(&self) -> &Object {
        self.client.as_ref().expect("a connection has its client until it is dropped")
    }
}

impl Drop for Connection {
    /// A connection with an open transaction is closed instead of handed to somebody else.
    fn drop(&mut self) {
        if let Some(client) = self.client.take()
            && self.open.load(Ordering::Relaxed)
        {
            drop(Object::take(client));
        }
    }
}
