//! The bare loop: what the store alone does with the write that a server does most often, for benchmarks to compare with.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use serde_json::json;
use sixpack_model::ids::LineId;
use sixpack_model::tree::Tree;

use super::factories::ENVIRONMENT;
use super::fixture::Fixture;
use super::stock::{asking_stock_only, line, refill_of, wish};
use crate::StoreError;
use crate::requests::{Created, NewRequest};
use crate::stock::{FillTo, StockWish};
use crate::trees::{Guard, RequestAfter, Written};

/// Datasets are brought into stock so many at once: they share their commits.
const FILLED_AT_ONCE: usize = 64;

/// A store with datasets of one line in stock.
pub struct StockLoop {
    fixture: Fixture,
    line: LineId,
    wish: Arc<StockWish>,
}

impl StockLoop {
    /// Begins without any; a store of another version may have no lines as this build writes them.
    pub async fn empty(fixture: Fixture) -> Result<Self, StoreError> {
        let contract = "shop/ready-customer".parse().expect("a name");
        let line = fixture.store.line(ENVIRONMENT, &contract, &json!({})).await?;
        let wish = wish(&fixture, &[line]);
        Ok(Self { fixture, line, wish })
    }

    /// Brings so many datasets into stock.
    pub async fn filled(fixture: Fixture, datasets: usize) -> Self {
        let line = line(&fixture, json!({})).await;
        for begun in (0..datasets).step_by(FILLED_AT_ONCE) {
            let more = FILLED_AT_ONCE.min(datasets - begun);
            let new: Vec<NewRequest> = (0..more).map(|_| refill_of(&fixture, line)).collect();
            let trees: Vec<Arc<Tree>> = new.iter().map(|new| Arc::clone(&new.trees[0].tree)).collect();
            let full = FillTo { target: datasets as u32, ahead: FILLED_AT_ONCE as u32 };
            assert_eq!(fixture.store.refill(line, full, new).await.unwrap(), more);
            let written = trees.iter().map(|tree| fixture.write(Guard::None, fixture.ready(tree)));
            let written = join_all(written).await;
            let stocked = |written: &Written| *written == Written::Done(RequestAfter::Stocked);
            assert!(written.iter().all(stocked), "{written:?}");
        }
        let wish = wish(&fixture, &[line]);
        Self { fixture, line, wish }
    }

    /// Brings one dataset into stock and leases one, whatever comes of it.
    pub async fn turn(&self) -> Result<(), StoreError> {
        let new = refill_of(&self.fixture, self.line);
        let tree = Arc::clone(&new.trees[0].tree);
        let full = FillTo { target: u32::MAX, ahead: FILLED_AT_ONCE as u32 };
        if self.fixture.store.refill(self.line, full, vec![new]).await? > 0 {
            self.fixture.try_write(Guard::None, self.fixture.ready(&tree)).await?;
        }
        self.fixture.store.create_request(asking_stock_only(&self.fixture, &self.wish, 1)).await?;
        Ok(())
    }

    /// Leases so many datasets, `at_once` at a time; each of them is one request that is fulfilled from the beginning.
    pub async fn take(&self, datasets: usize, at_once: usize) {
        let left = AtomicUsize::new(datasets);
        let one_more = |left: usize| left.checked_sub(1);
        let taking = (0..at_once).map(async |_| {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok() {
                let new = asking_stock_only(&self.fixture, &self.wish, 1);
                let created = self.fixture.store.create_request(new).await.unwrap();
                assert!(matches!(created, Created::Served(_)), "{created:?}");
            }
        });
        join_all(taking).await;
    }
}
