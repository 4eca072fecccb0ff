//! Connections: made when they are needed, handed out one by one, and never more than so many.

use deadpool::managed::QueueMode;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};

use super::address::Address;
use super::epoch::Epoch;
use super::faults::Fault;
use super::limits::{CONNECT, POOL_WAIT};
use super::opening;
use super::pooler::Way;
use super::statements::Connection;
use crate::error::StoreError;
use crate::health;

/// Connections to the database.
pub(super) struct Connections {
    pool: Pool,
    way: Way,
}

impl Connections {
    pub(super) fn new(
        address: &Address,
        way: Way,
        epoch: &Epoch,
        connections: usize,
    ) -> Result<Self, StoreError> {
        let how = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let config = if way.is_pooled() { address.config.clone() } else { address.of_a_session() };
        let pool = Pool::builder(Manager::from_config(config, opening::connector(address)?, how))
            .max_size(connections)
            // The one that was used last: what PostgreSQL's process for it works with is still in the caches of the machine.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(POOL_WAIT))
            .create_timeout(Some(CONNECT))
            .recycle_timeout(Some(CONNECT))
            .post_create(epoch.hook(address))
            .runtime(Runtime::Tokio1)
            .build();
        Ok(Self { pool: pool.expect("a pool with timeouts is told its runtime"), way })
    }

    /// One that nobody else has meanwhile.
    pub(super) async fn get(&self) -> Result<Connection, Fault> {
        Ok(Connection::of(self.pool.get().await?, self.way.clone()))
    }

    /// The same for statements that need no setting and are sent with the types of their values.
    pub(super) async fn plain(&self) -> Result<Object, Fault> {
        Ok(self.pool.get().await?)
    }

    /// How many there are.
    pub(super) fn status(&self) -> health::Connections {
        let status = self.pool.status();
        health::Connections { used: status.size.saturating_sub(status.available), waiting: status.waiting }
    }

    /// Whether none are handed out any more.
    pub(super) fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }

    /// Hands none out any more.
    pub(super) fn close(&self) {
        self.pool.close();
    }
}
