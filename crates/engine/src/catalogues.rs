//! Catalogues: the shelves of all environments, in memory, put in place as a whole.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use sixpack_storage::StoreError;

use crate::Engine;
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::shelf::Shelf;

/// The shelves of all environments.
#[derive(Default)]
pub(crate) struct Catalogues {
    shelves: RwLock<HashMap<String, Arc<Shelf>>>,
}

impl Engine {
    /// The shelf of an environment, whoever asks.
    pub fn shelf(&self, environment: &str) -> Option<Arc<Shelf>> {
        let shelves = self.inner.catalogues.shelves.read().unwrap_or_else(PoisonError::into_inner);
        shelves.get(environment).cloned()
    }

    /// The shelf of an environment as it is by now, if it exists for the caller.
    pub async fn visible_shelf(&self, caller: &Caller, environment: &str) -> Result<Arc<Shelf>, Refusal> {
        self.catch_up().await?;
        let shelf = if caller.sees(environment) { self.shelf(environment) } else { None };
        shelf.ok_or_else(|| {
            let shelves = self.inner.catalogues.shelves.read().unwrap_or_else(PoisonError::into_inner);
            let names = shelves.keys().map(String::as_str).filter(|name| caller.sees(name));
            Refusal::Unknown {
                what: "environment",
                name: environment.to_owned(),
                nearest: sixpack_model::text::nearest(environment, names).map(str::to_owned),
            }
        })
    }

    /// Reads every catalogue that has changed since it was put on its shelf.
    pub(crate) async fn refresh_catalogues(&self) -> Result<(), StoreError> {
        for environment in self.store().environments().await? {
            let known = self.shelf(&environment.name).map(|shelf| shelf.revision);
            if known != Some(environment.revision) {
                self.refresh_catalogue(&environment.name).await?;
            }
        }
        Ok(())
    }

    /// Reads the catalogue of one environment.
    pub(crate) async fn refresh_catalogue(&self, environment: &str) -> Result<(), StoreError> {
        let Some(stored) = self.store().catalogue(environment).await? else { return Ok(()) };
        let before = self.shelf(environment).unwrap_or_default();
        let shelf = put_on_shelf(move || Shelf::of(stored, &before)).await?;
        let mut shelves = self.inner.catalogues.shelves.write().unwrap_or_else(PoisonError::into_inner);
        // Two readers may overtake each other; the newer catalogue stays.
        if shelves.get(environment).is_none_or(|known| known.revision <= shelf.revision) {
            shelves.insert(environment.to_owned(), shelf);
        }
        self.inner.stock.tend_all();
        Ok(())
    }
}

/// Type-checking a thousand scenarios takes a while: others must not wait for it.
pub(crate) async fn put_on_shelf(
    put: impl FnOnce() -> Shelf + Send + 'static,
) -> Result<Arc<Shelf>, StoreError> {
    let shelf = tokio::task::spawn_blocking(move || Arc::new(put()));
    shelf.await.map_err(|cause| StoreError::Broken {
        doing: "putting a catalogue on its shelf",
        cause: Box::new(cause),
    })
}
