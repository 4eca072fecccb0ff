//! Channels: what suppliers under development put over the deployed catalogue, for requests that name their channel.
//!
//! ```text
//! the deployed catalogue    a@3   b@1            c@7
//! a channel puts over it          b@1000000004         d@1000000001
//! requests in it run on     a@3   b@1000000004   c@7   d@1000000001
//! ```
//!
//! Versions of a channel have numbers of their own, so that the deployed ones count on as if there were no channels, and
//! so that the number alone says who makes a part: a version of a channel is made in its channel and nowhere else. Only
//! what it made may be checked and undone by a deployed supplier as well, when there is one that it [stands in
//! for](Place::stands_in_for).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::compatibility::{Verdict, compare};
use crate::contract::Contract;
use crate::limits::CHANNEL_VERSIONS_FROM;
use crate::name::ContractName;
use crate::tree::Tree;

/// Whether a version was registered in a channel.
pub fn is_of_channel(version: u32) -> bool {
    version >= CHANNEL_VERSIONS_FROM
}

/// The versions that a channel puts over the deployed catalogue; a clone shares them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Overlay {
    /// `None` when there are none, which is what every request without a channel has, and costs nothing.
    versions: Option<Arc<BTreeMap<ContractName, u32>>>,
}

impl Overlay {
    /// An overlay of these versions; those that are not of a channel are left out.
    pub fn of(versions: impl IntoIterator<Item = (ContractName, u32)>) -> Self {
        let versions = versions.into_iter().filter(|(_, version)| is_of_channel(*version));
        let versions: BTreeMap<_, _> = versions.collect();
        Self { versions: (!versions.is_empty()).then(|| Arc::new(versions)) }
    }

    /// What the channel of a tree had put over the catalogue when the tree was begun.
    pub fn of_tree(tree: &Tree) -> Self {
        Self::of(tree.pins.iter().map(|(name, version)| (name.clone(), *version)))
    }

    /// The version of a contract in the channel; `None` when it is the deployed one.
    pub fn version(&self, name: &ContractName) -> Option<u32> {
        self.versions.as_ref()?.get(name).copied()
    }

    /// Everything in it, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&ContractName, u32)> {
        self.versions.iter().flat_map(|versions| versions.iter()).map(|(name, version)| (name, *version))
    }

    /// True when the channel changes nothing.
    pub fn is_empty(&self) -> bool {
        self.versions.is_none()
    }
}

/// The newest version of a contract in one channel.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// The contract as it was registered.
    pub contract: &'a Contract,
    /// See [`Place::since`].
    pub since: u32,
    /// See [`Place::stands_in_for`].
    pub stands_in_for: Option<u32>,
}

/// Where a contract that a supplier under development offers has its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its version; the one before when nothing that others depend on has changed since.
    pub version: u32,
    /// The oldest version of the channel whose datasets this one can still be asked about.
    pub since: u32,
    /// What it would be to those who depend on the deployed contract. It is told, and nothing follows from it.
    pub verdict: Verdict,
    /// The deployed version whose suppliers can check and undo what this one has made.
    pub stands_in_for: Option<u32>,
}

/// Finds the place of a contract that is offered in a channel. `highest` is the newest version that the name has had in
/// any channel.
pub fn place(
    offered: &Contract,
    deployed: Option<&Contract>,
    before: Option<Before<'_>>,
    highest: Option<u32>,
) -> Place {
    let next = highest.map_or(CHANNEL_VERSIONS_FROM, |highest| highest + 1);
    let verdict = deployed.map_or(Verdict::New, |deployed| compare(deployed, offered));
    let stands_in_for = deployed.and_then(|deployed| stands_in_for(deployed, offered));
    let Some(before) = before else {
        return Place { version: next, since: next, verdict, stands_in_for };
    };
    match compare(before.contract, offered) {
        Verdict::Same => Place {
            version: before.contract.version,
            since: before.since,
            verdict,
            // The deployed contract may have gone on; what could be undone by its suppliers still can.
            stands_in_for: stands_in_for.or(before.stands_in_for),
        },
        Verdict::Compatible(_) => Place { version: next, since: before.since, verdict, stands_in_for },
        Verdict::Breaking(_) | Verdict::New => Place { version: next, since: next, verdict, stands_in_for },
    }
}

/// The deployed version, when its suppliers can be asked about what the version of a channel has made: everything that
/// is promised there was promised by the deployed contract as well.
pub fn stands_in_for(deployed: &Contract, of_channel: &Contract) -> Option<u32> {
    match compare(deployed, of_channel) {
        Verdict::Same | Verdict::Compatible(_) => Some(deployed.version),
        Verdict::Breaking(_) | Verdict::New => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::manifest::CapabilityDefinition;

    const FIRST: u32 = CHANNEL_VERSIONS_FROM;

    /// A capability that promises these texts.
    fn account(version: u32, promised: &[&str]) -> Contract {
        let text = || json!({ "type": "string" });
        let properties: serde_json::Map<String, Value> =
            promised.iter().map(|name| ((*name).to_owned(), text())).collect();
        let definition = json!({
            "name": "account", "owner": { "team": "Billing" }, "input": { "type": "object" },
            "output": { "type": "object", "properties": properties, "required": promised },
        });
        let definition = CapabilityDefinition::from_json(&definition).unwrap();
        definition.into_contract("billing", version).unwrap()
    }

    fn before(contract: &Contract, since: u32) -> Option<Before<'_>> {
        Some(Before { contract, since, stands_in_for: None })
    }

    #[test]
    fn versions_of_channels_have_numbers_of_their_own() {
        let offered = account(1, &["id"]);
        assert_eq!(place(&offered, None, None, None).version, FIRST);
        assert_eq!(place(&offered, Some(&account(7, &["id"])), None, None).version, FIRST);
        assert_eq!(place(&offered, None, None, Some(FIRST + 4)).version, FIRST + 5);
        assert!(is_of_channel(FIRST) && !is_of_channel(FIRST - 1) && !is_of_channel(1));
    }

    #[test]
    fn the_verdict_is_that_against_the_deployed_contract() {
        let deployed = account(3, &["id"]);
        for (promised, verdict, stands_in_for) in [
            (&["id"][..], "same", Some(3)),
            (&["id", "currency"][..], "compatible", Some(3)),
            (&["currency"][..], "breaking", None),
        ] {
            let place = place(&account(1, promised), Some(&deployed), None, None);
            assert_eq!((place.verdict.name(), place.stands_in_for), (verdict, stands_in_for), "{promised:?}");
        }
        let new = place(&account(1, &["id"]), None, None, None);
        assert_eq!((new.verdict.name(), new.stands_in_for), ("new", None));
    }

    #[test]
    fn what_is_offered_again_unchanged_keeps_its_version() {
        let here = account(FIRST + 2, &["id"]);
        let again = place(&account(1, &["id"]), None, before(&here, FIRST), Some(FIRST + 9));
        assert_eq!((again.version, again.since), (FIRST + 2, FIRST));
    }

    #[test]
    fn a_change_is_the_next_version_and_a_breaking_one_begins_anew() {
        let here = account(FIRST + 2, &["id"]);
        let wider = place(&account(1, &["id", "currency"]), None, before(&here, FIRST), Some(FIRST + 9));
        assert_eq!((wider.version, wider.since), (FIRST + 10, FIRST));
        let other = place(&account(1, &["currency"]), None, before(&here, FIRST), Some(FIRST + 9));
        assert_eq!((other.version, other.since), (FIRST + 10, FIRST + 10));
    }

    #[test]
    fn whoever_could_undo_before_still_can_when_the_deployed_contract_goes_on() {
        let here = account(FIRST, &["id"]);
        let known = Some(Before { contract: &here, since: FIRST, stands_in_for: Some(3) });
        let again = place(&account(1, &["id"]), Some(&account(4, &["currency"])), known, Some(FIRST));
        assert_eq!((again.version, again.verdict.name(), again.stands_in_for), (FIRST, "breaking", Some(3)));
    }

    #[test]
    fn an_overlay_holds_versions_of_channels_only() {
        let name = |name: &str| -> ContractName { name.parse().unwrap() };
        let overlay = Overlay::of([(name("a/x"), 3), (name("b/y"), FIRST + 1)]);
        assert_eq!((overlay.version(&name("a/x")), overlay.version(&name("b/y"))), (None, Some(FIRST + 1)));
        assert_eq!(overlay.iter().collect::<Vec<_>>(), [(&name("b/y"), FIRST + 1)]);
        assert_eq!(Overlay::of([(name("a/x"), 3)]), Overlay::default());
        assert!(!overlay.is_empty() && Overlay::default().is_empty());
    }
}
