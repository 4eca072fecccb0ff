//! Epoch: the upper part of every fence, which a restore raises.
//!
//! A server reads it once, and works with no store that was restored since: what it remembers is not true any more, and its fences may be
//! ones that were given out before.
//!
//! Each new connection is asked for it before it is used, as a restore of the database leaves none of the old ones; behind a pooler, which may keep
//! them, the regular look finds it out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deadpool::managed::{Hook, HookError};
use deadpool_postgres::{ClientWrapper, Manager};
use tokio::time::timeout;

use super::address::Address;
use super::columns::get;
use super::limits::CONNECT;

/// Why a connection is not used.
pub(super) const RESTORED: &str = "the store was restored while this server ran";

/// The epoch of this server.
#[derive(Debug, Clone)]
pub(super) struct Epoch(Arc<AtomicU64>);

impl Epoch {
    pub(super) fn new(epoch: u64) -> Self {
        Self(Arc::new(AtomicU64::new(epoch)))
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// For whoever has raised it, and goes on.
    pub(super) fn set(&self, epoch: u64) {
        self.0.store(epoch, Ordering::Relaxed);
    }

    /// Whether it is still that of the store.
    pub(super) async fn is_current(
        &self,
        client: &tokio_postgres::Client,
        address: &Address,
    ) -> Result<bool, tokio_postgres::Error> {
        // With the schema, and without being prepared: it may be somebody else's connection next.
        let read = format!("SELECT fence_epoch FROM {}.meta", address.schema());
        let row = client.query_typed_one(&read, &[]).await?;
        let found = get::<i64>(&row, 0).unwrap_or(-1);
        Ok(u64::try_from(found).is_ok_and(|found| found == self.get()))
    }

    /// Looks at it on every new connection.
    pub(super) fn hook(&self, address: &Address) -> Hook<Manager> {
        let (epoch, address) = (self.clone(), address.clone());
        Hook::async_fn(move |client: &mut ClientWrapper, _| {
            let (epoch, address) = (epoch.clone(), address.clone());
            Box::pin(async move {
                let looked = timeout(CONNECT, epoch.is_current(client, &address)).await;
                match looked.map_err(|_| HookError::message("the new connection answers nothing"))? {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(HookError::message(RESTORED)),
                    Err(cause) => Err(HookError::Backend(cause)),
                }
            })
        })
    }
}
