//! Channels: what suppliers under development offer, and the shelves of those who ask in their channel.
//!
//! Who is live in a channel is read from the store with each request that names one, so that nothing has to be told to
//! anybody when a channel comes or goes. A dataset keeps what its channel offered when it was begun: the shelf that it
//! goes on with can be put together at any time, from the catalogue and from what the dataset has pinned.

use std::sync::Arc;

use jiff::Timestamp;
use moka::sync::Cache;
use sixpack_model::channel::{Before, Overlay, place};
use sixpack_model::compatibility::fingerprint;
use sixpack_model::contract::{Contract, ContractKind};
use sixpack_model::manifest::{CapabilityDefinition, Manifest};
use sixpack_model::tree::Tree;
use sixpack_storage::StoreError;
use sixpack_storage::contracts::{Definition, InChannel, StoredContract};

use crate::Engine;
use crate::apply::Applied;
use crate::caller::Caller;
use crate::catalogues::put_on_shelf;
use crate::publish::{PublicationPlan, changes_json, changes_of, service};
use crate::refusal::Refusal;
use crate::shelf::Shelf;

/// Contracts and versions on all shelves of channels that are kept in memory; each is about half a kilobyte. One that is
/// not kept is put together again.
const KEPT: u64 = 100_000;

/// The environment, the revision of its catalogue, and what lies over it.
type Key = (Arc<str>, u64, Overlay);

/// Shelves of channels that were asked for lately.
pub(crate) struct Overlaid {
    shelves: Cache<Key, Arc<Shelf>>,
}

impl Default for Overlaid {
    fn default() -> Self {
        let weigh = |_: &Key, shelf: &Arc<Shelf>| u32::try_from(shelf.size()).unwrap_or(u32::MAX);
        Self { shelves: Cache::builder().max_capacity(KEPT).weigher(weigh).build() }
    }
}

impl Engine {
    /// The shelf of an environment as it is seen in a channel, or without one, if it exists for the caller; and what the
    /// channel puts over the deployed catalogue.
    pub(crate) async fn visible_shelf_in(
        &self,
        caller: &Caller,
        environment: &str,
        channel: Option<&str>,
    ) -> Result<(Arc<Shelf>, Overlay), Refusal> {
        let shelf = self.visible_shelf(caller, environment).await?;
        let Some(channel) = channel else { return Ok((shelf, Overlay::default())) };
        let live = self.store().overlay(environment, channel).await?;
        if live.is_empty() {
            let (name, environment) = (channel.to_owned(), environment.to_owned());
            let live = self.store().channels(&environment).await?;
            return Err(Refusal::UnknownChannel { name, environment, live });
        }
        let names = live.into_iter().filter_map(|(name, version)| Some((name.parse().ok()?, version)));
        let overlay = Overlay::of(names);
        if shelf.lacks(&overlay) {
            // Another server has published it, and this one has not looked since.
            self.refresh_catalogues().await?;
        }
        let shelf = self.overlaid(&Arc::from(environment), &overlay).await?;
        Ok((shelf, overlay))
    }

    /// The shelf that a tree goes on with; `None` when its environment is not known here.
    pub async fn shelf_of(&self, tree: &Tree) -> Result<Option<Arc<Shelf>>, StoreError> {
        if !self.is_alone() && self.lacks_of(tree) {
            // Another server has made it of what this one has not seen yet.
            self.catch_up().await?;
        }
        match &tree.channel {
            None => Ok(self.shelf(&tree.environment)),
            Some(_) => self.overlaid(&tree.environment, &Overlay::of_tree(tree)).await.map(Some),
        }
    }

    /// Whether something that a tree is made of is not on the shelf.
    fn lacks_of(&self, tree: &Tree) -> bool {
        let Some(shelf) = self.shelf(&tree.environment) else { return true };
        let root = tree.root();
        let pinned = tree.pins.iter().map(|(name, version)| (name, *version));
        pinned
            .chain([(&root.contract, root.version)])
            .any(|(name, version)| shelf.contract(name, version).is_none())
    }

    async fn overlaid(&self, environment: &Arc<str>, overlay: &Overlay) -> Result<Arc<Shelf>, StoreError> {
        let deployed = self.shelf(environment).unwrap_or_default();
        let key = (Arc::clone(environment), deployed.revision, overlay.clone());
        if let Some(known) = self.inner.overlaid.shelves.get(&key) {
            return Ok(known);
        }
        let overlay = overlay.clone();
        let shelf = put_on_shelf(move || deployed.overlaid(&overlay)).await?;
        self.inner.overlaid.shelves.insert(key, Arc::clone(&shelf));
        Ok(shelf)
    }
}

impl Shelf {
    /// Decides what the capabilities of a supplier under development are in its channel. For everybody else the catalogue
    /// stays as it is.
    pub(crate) fn plan_channel(
        &self,
        manifest: &Manifest,
        channel: &str,
    ) -> Result<PublicationPlan, Refusal> {
        let mut plan = PublicationPlan::upon(self.revision);
        let mut over = Vec::new();
        for definition in &manifest.capabilities {
            let contract = definition.clone().into_contract(&manifest.domain, 1).map_err(Refusal::Invalid)?;
            let capability = contract.capability().expect("a manifest defines capabilities only");
            let (stored, applied, known) = self.in_channel(&contract, definition, channel)?;
            let since = stored.channel.as_ref().map_or(stored.version, |channel| channel.since);
            plan.services.push(service(stored.name.clone(), capability, (since, stored.version)));
            plan.applied.push(applied);
            if known.as_deref() != Some(&stored) {
                plan.publication.contracts.push(stored.clone());
            }
            over.push(Arc::new(stored));
        }
        self.note_breaks(|| self.under(&over), &mut plan.applied);
        Ok(plan)
    }

    /// One contract in a channel: as it is to be stored, what to tell its supplier, and how it is stored now if it is the
    /// same version.
    fn in_channel(
        &self,
        contract: &Contract,
        definition: &CapabilityDefinition,
        channel: &str,
    ) -> Result<(StoredContract, Applied, Option<Arc<StoredContract>>), Refusal> {
        let name = &contract.name;
        let deployed = self.entry(name);
        // What could never be deployed is not worth trying.
        if deployed.is_some_and(|deployed| deployed.contract.kind() == ContractKind::Scenario) {
            return Err(Refusal::NameTaken { name: name.to_string(), kind: "scenario" });
        }
        let all = self.in_channels(name);
        let newest = all.iter().rev().find_map(|stored| {
            let known = stored.channel.as_ref().filter(|known| known.name == channel)?;
            Some((stored, known, self.contract(name, stored.version)?))
        });
        let before = newest.as_ref().map(|(_, known, contract)| Before {
            contract,
            since: known.since,
            stands_in_for: known.stands_in_for,
        });
        let highest = all.last().map(|stored| stored.version);
        let deployed = deployed.map(|deployed| &*deployed.contract);
        let place = place(contract, deployed, before, highest);
        let known = newest.map(|(stored, ..)| Arc::clone(stored));
        let known = known.filter(|known| known.version == place.version);
        let change = place.verdict.name();
        let changes = changes_of(place.verdict);
        let stored = StoredContract {
            name: name.to_string(),
            version: place.version,
            definition: Definition::Capability(definition.to_json()),
            fingerprint: fingerprint(contract),
            change: change.to_owned(),
            changes: changes_json(&changes),
            channel: Some(InChannel {
                name: channel.to_owned(),
                since: place.since,
                stands_in_for: place.stands_in_for,
            }),
            published_at: known.as_ref().map_or(Timestamp::UNIX_EPOCH, |known| known.published_at),
        };
        let against = deployed.map(|deployed| deployed.version);
        let applied = Applied { change, changes, against, ..Applied::unchanged(name, place.version) };
        Ok((stored, applied, known))
    }
}
