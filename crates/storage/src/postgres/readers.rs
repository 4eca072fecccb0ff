//! Readers: statements that change nothing.

use tokio::time::timeout;

use super::Inner;
use super::faults::Fault;
use super::limits::ATTEMPTS;
use super::statements::Connection;
use super::writer::Doing;
use crate::error::StoreError;

impl Inner {
    /// The database's time.
    pub(super) async fn now(&self, doing: &'static str) -> Result<i64, StoreError> {
        let mut attempt = 1;
        loop {
            match ended(self.time.now().await, attempt) {
                Some(result) => return result.map_err(|fault| self.failed(doing, fault)),
                None => attempt += 1,
            }
        }
    }

    /// Runs `work` with a connection; each of its statements sees what was committed when it began.
    pub(super) async fn look<I, T, F>(
        &self,
        doing: &'static str,
        input: &I,
        work: &F,
    ) -> Result<T, StoreError>
    where
        F: for<'a> Fn(&'a Connection, &'a I) -> Doing<'a, T>,
    {
        let mut attempt = 1;
        loop {
            let looked = async {
                let connection = self.pool.get().await?;
                connection.begin_to_read();
                let Ok(result) = timeout(self.patience, work(&connection, input)).await else {
                    connection.give_up();
                    return Err(Fault::Late("the reading"));
                };
                connection.end_reading();
                result
            };
            match ended(looked.await, attempt) {
                Some(result) => return result.map_err(|fault| self.failed(doing, fault)),
                None => attempt += 1,
            }
        }
    }

    /// Runs `work` on one snapshot of the store: all of its statements see the same.
    pub(super) async fn look_at_once<I, T, F>(
        &self,
        doing: &'static str,
        input: &I,
        work: &F,
    ) -> Result<T, StoreError>
    where
        F: for<'a> Fn(&'a Connection, &'a I) -> Doing<'a, T>,
    {
        let mut attempt = 1;
        loop {
            let looked = async {
                let connection = self.pool.get().await?;
                connection.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
                let Ok(result) = timeout(self.patience, work(&connection, input)).await else {
                    connection.give_up();
                    return Err(Fault::Late("the reading"));
                };
                connection.roll_back().await;
                result
            };
            match ended(looked.await, attempt) {
                Some(result) => return result.map_err(|fault| self.failed(doing, fault)),
                None => attempt += 1,
            }
        }
    }

    fn failed(&self, doing: &'static str, fault: Fault) -> StoreError {
        tracing::error!(doing, ?fault, "a read failed");
        let error = fault.told(doing);
        self.measures.failed(&error);
        error
    }
}

/// What came out of an attempt, unless there is to be another one: a connection of the pool may have been lost unnoticed, all of
/// them when the database was started anew.
fn ended<T>(result: Result<T, Fault>, attempt: u32) -> Option<Result<T, Fault>> {
    match result {
        Err(fault) if fault.is_passing() && attempt < ATTEMPTS => {
            tracing::debug!(?fault, attempt, "a read is done again");
            None
        }
        result => Some(result),
    }
}
