//! Offers: which version of a capability is on offer follows the suppliers that are there.
//!
//! ```text
//! v1 live                     v1 is on offer
//! v1 and v2 live              v2, from the moment at which it registers
//! v2 ends, v1 is still live   v1 again
//! v1 ends as well             v1, offline
//! ```
//!
//! A registration decides with the catalogue and publishes what it puts on offer itself. That a session has ended is noticed
//! here: by whoever ended it, and again with each look at the catalogues, so that a server that is killed in between leaves
//! nothing behind.

use std::collections::{BTreeMap, HashMap};

use sixpack_model::compatibility::compare;
use sixpack_model::contract::Contract;
use sixpack_model::name::ContractName;
use sixpack_storage::contracts::{Publication, Published};
use sixpack_storage::sessions::ServedVersion;

use crate::Engine;
use crate::apply::{Applied, STALE_LIMIT};
use crate::publish::{changes_of, contract_events};
use crate::refusal::Refusal;

/// How many capabilities one look takes.
const PAGE: u32 = 200;

/// What live deployed sessions perform in an environment.
#[derive(Debug, Default)]
pub(crate) struct Supply(HashMap<String, Vec<ServedVersion>>);

impl Supply {
    pub(crate) fn of(served: Vec<ServedVersion>) -> Self {
        let mut supply: HashMap<String, Vec<ServedVersion>> = HashMap::new();
        for version in served {
            supply.entry(version.contract.clone()).or_default().push(version);
        }
        Self(supply)
    }

    /// How many sessions can be given tasks of a version.
    pub(crate) fn performs(&self, name: &ContractName, version: u32) -> u64 {
        let covers = |served: &&ServedVersion| (served.oldest_version..=served.version).contains(&version);
        self.versions(name).iter().filter(covers).map(|served| served.sessions).sum()
    }

    /// How many sessions have registered any version.
    pub(crate) fn sessions(&self, name: &ContractName) -> u64 {
        self.versions(name).iter().map(|served| served.sessions).sum()
    }

    /// How many sessions have registered a version.
    pub(crate) fn registered(&self, name: &ContractName, version: u32) -> u64 {
        let same = |served: &&ServedVersion| served.version == version;
        self.versions(name).iter().filter(same).map(|served| served.sessions).sum()
    }

    /// The newest version that somebody has registered.
    pub(crate) fn newest(&self, name: &ContractName) -> Option<u32> {
        self.versions(name).iter().filter(|served| served.sessions > 0).map(|served| served.version).max()
    }

    /// Leaves out what one session has registered.
    pub(crate) fn leave_out(&mut self, serves: &[(String, u32)]) {
        for (name, version) in serves {
            let all = self.0.get_mut(name).into_iter().flatten();
            all.filter(|served| served.version == *version)
                .for_each(|served| served.sessions = served.sessions.saturating_sub(1));
        }
    }

    fn versions(&self, name: &ContractName) -> &[ServedVersion] {
        self.0.get(&name.to_string()).map_or(&[], Vec::as_slice)
    }
}

impl Engine {
    pub(crate) async fn supply(&self, environment: &str) -> Result<Supply, Refusal> {
        Ok(Supply::of(self.store().served(environment).await?))
    }

    /// Puts the newest version on offer that live deployed sessions perform, wherever it is another one. A capability that
    /// nobody performs stays as it is.
    pub(crate) async fn follow_suppliers(&self) -> Result<(), Refusal> {
        // Whoever comes or goes meanwhile makes another round necessary; what is left is found by the next look.
        for _ in 0..STALE_LIMIT {
            let mut newest: BTreeMap<String, Vec<(String, u32)>> = BTreeMap::new();
            for served in self.store().served_otherwise(PAGE).await? {
                newest.entry(served.environment).or_default().push((served.contract, served.version));
            }
            if newest.is_empty() {
                return Ok(());
            }
            for (environment, versions) in newest {
                self.offer_again(&environment, &versions).await?;
            }
        }
        Ok(())
    }

    /// Puts deployed versions in the place of those on offer; nothing is written when the catalogue has changed.
    async fn offer_again(&self, environment: &str, versions: &[(String, u32)]) -> Result<(), Refusal> {
        let Some(stored) = self.store().catalogue(environment).await? else { return Ok(()) };
        if self.shelf(environment).is_none_or(|shelf| shelf.revision != stored.revision) {
            self.refresh_catalogue(environment).await?;
        }
        let shelf = self.shelf(environment).unwrap_or_default();
        let mut publication = Publication { expected_revision: stored.revision, ..Publication::default() };
        let mut applied = Vec::new();
        for found in stored.contracts {
            if !versions.iter().any(|(name, version)| found.name == *name && found.version == *version) {
                continue;
            }
            let Ok(name) = found.name.parse::<ContractName>() else { continue };
            let (Some(entry), Some(contract)) = (shelf.entry(&name), shelf.contract(&name, found.version))
            else {
                continue;
            };
            applied.push(Applied::in_place_of(&entry.contract, &contract));
            publication.stand_ins.extend(shelf.stand_ins(&contract, shelf.in_channels(&name)));
            publication.contracts.push(found);
        }
        shelf.note_breaks(|| shelf.with(&publication.contracts), &mut applied);
        let at = self.store().now().await?;
        let events = contract_events(&applied, environment, at);
        let published = self.store().publish(environment, publication, events).await?;
        self.refresh_catalogue(environment).await?;
        if let Published::Revision(_) = published {
            for applied in &applied {
                tracing::info!(environment, contract = %applied.name, version = applied.version, instead_of = applied.against, "what is on offer follows the suppliers that are there");
            }
            self.beat_published();
            self.ask_suspects_soon();
        }
        Ok(())
    }
}

impl Applied {
    /// A deployed version that comes into the place of another one that was on offer until now.
    pub(crate) fn in_place_of(before: &Contract, again: &Contract) -> Self {
        let verdict = compare(before, again);
        Self {
            change: verdict.name(),
            changes: changes_of(verdict),
            against: Some(before.version),
            ..Self::unchanged(&again.name, again.version)
        }
    }
}
