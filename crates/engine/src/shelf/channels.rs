//! Channels on a shelf: their versions, and the shelf as it is seen in one of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sixpack_model::channel::Overlay;
use sixpack_model::contract::Contract;
use sixpack_model::name::ContractName;
use sixpack_model::schema::Schema;
use sixpack_storage::contracts::StoredContract;

use super::{Entry, Shelf, VersionNote, read};

impl Shelf {
    /// The shelf with what a channel puts over it.
    pub(crate) fn overlaid(&self, overlay: &Overlay) -> Self {
        let over: Vec<_> =
            overlay.iter().filter_map(|(name, version)| self.of_channel(name, version)).collect();
        self.under(&over)
    }

    /// Whether something of an overlay is not known here, because it is newer, or was forgotten.
    pub(crate) fn lacks(&self, overlay: &Overlay) -> bool {
        overlay.iter().any(|(name, version)| self.of_channel(name, version).is_none())
    }

    /// The shelf under these versions of a channel. Only the scenarios that they reach are checked anew.
    pub(crate) fn under(&self, over: &[Arc<StoredContract>]) -> Self {
        let mut shelf = self.copied();
        let mut names = Vec::with_capacity(over.len());
        for stored in over {
            let Ok(name) = stored.name.parse::<ContractName>() else { continue };
            let key = (name, stored.version);
            let known = shelf.versions.get(&key).cloned();
            let Some(contract) = known.or_else(|| read(&key.0, stored).map(Arc::new)) else { continue };
            shelf.versions.insert(key.clone(), Arc::clone(&contract));
            let (name, channel) = (key.0, stored.channel.as_ref().map(|channel| channel.name.clone()));
            let mut versions = vec![VersionNote::of(stored)];
            versions.extend(shelf.entries.remove(&name).into_iter().flat_map(|deployed| deployed.versions));
            shelf.channel.clone_from(&channel);
            let (definition, fingerprint) = (stored.definition.clone(), stored.fingerprint.clone());
            let entry = Entry { contract, definition, fingerprint, versions, faults: Vec::new(), channel };
            shelf.entries.insert(name.clone(), entry);
            names.push(name);
        }
        let reached = self.index.reached_from(&names);
        shelf.distrust(&reached);
        shelf.check_scenarios(|name| reached.contains(name));
        shelf
    }

    /// Versions of channels of one name, in ascending order.
    pub(crate) fn in_channels(&self, name: &ContractName) -> &[Arc<StoredContract>] {
        self.in_channels.get(name).map_or(&[], Vec::as_slice)
    }

    /// What a session in a channel, or a deployed one, offers under a name.
    pub fn offered_by(&self, channel: Option<&str>, name: &ContractName) -> Option<Arc<Contract>> {
        let Some(channel) = channel else {
            return self.entries.get(name).map(|entry| Arc::clone(&entry.contract));
        };
        let of_channel = |stored: &&Arc<StoredContract>| {
            stored.channel.as_ref().is_some_and(|found| found.name == channel)
        };
        let newest = self.in_channels(name).iter().rev().find(of_channel)?;
        self.contract(name, newest.version)
    }

    fn of_channel(&self, name: &ContractName, version: u32) -> Option<Arc<StoredContract>> {
        self.in_channels(name).iter().find(|stored| stored.version == version).cloned()
    }

    /// Keeps the versions of channels. There may be many, and they rarely change: what is known is not read again.
    pub(super) fn keep_channels(&mut self, stored: Vec<StoredContract>, before: &Self) {
        let mut in_channels: HashMap<ContractName, Vec<Arc<StoredContract>>> = HashMap::new();
        for stored in stored {
            let Ok(name) = stored.name.parse::<ContractName>() else { continue };
            let version = stored.version;
            let known = before.of_channel(&name, version).filter(|known| **known == stored);
            let known = known.and_then(|known| Some((known, before.contract(&name, version)?)));
            let (stored, contract) = match known {
                Some(known) => known,
                None => match read(&name, &stored) {
                    Some(contract) => (Arc::new(stored), Arc::new(contract)),
                    None => continue,
                },
            };
            self.versions.insert((name.clone(), version), contract);
            in_channels.entry(name).or_default().push(stored);
        }
        self.in_channels = Arc::new(in_channels);
    }

    /// What these scenarios hand on is not known as long as they are not checked against what is on the shelf now: until
    /// then nobody may rely on the secrets that they were known to have.
    fn distrust(&mut self, scenarios: &BTreeSet<ContractName>) {
        for ((name, version), contract) in &mut self.versions {
            if !scenarios.contains(name) {
                continue;
            }
            let unknown = Contract { output: Schema::any(), ..Contract::clone(contract) };
            *contract = Arc::new(unknown);
            if let Some(entry) = self.entries.get_mut(name).filter(|entry| entry.contract.version == *version)
            {
                entry.contract = Arc::clone(contract);
                entry.faults.clear();
            }
        }
    }
}
