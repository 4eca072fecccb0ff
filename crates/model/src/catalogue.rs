//! The catalogue: every contract of one environment, as it stood at one moment, in memory.
//!
//! It is built once and then only read: a change of any contract makes a new one. Readers hold on to the one they began
//! with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::contract::{Contract, ContractKind};
use crate::diagnostic::Diagnostic;
use crate::fault::Fault;
use crate::limits::SEARCH_BYTES;
use crate::name::ContractName;
use crate::plan::Versions;
use crate::text::fold;

/// One contract that is offered.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its current version.
    pub contract: Arc<Contract>,
    /// Of what others depend on.
    pub fingerprint: String,
    /// Earlier versions, for requests that run on them.
    pub older: Vec<(u32, Arc<Contract>)>,
    /// Why a scenario cannot be requested since a contract that it uses has changed; empty when it can.
    pub faults: Vec<Diagnostic>,
    /// When the current version was published.
    pub registered_at: Timestamp,
}

/// All contracts of one environment.
#[derive(Debug, Default)]
pub struct Catalogue {
    entries: Vec<Entry>,
    /// The texts of each entry as search compares them.
    texts: Vec<Texts>,
    places: BTreeMap<ContractName, usize>,
    used_by: BTreeMap<ContractName, Vec<ContractName>>,
    withdrawn: BTreeMap<ContractName, Vec<(u32, Arc<Contract>)>>,
}

#[derive(Debug)]
struct Texts {
    name: String,
    rest: String,
    team: String,
}

/// What to look for; everything that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Words that must all occur in the name, description, owner or labels; case and accents do not matter.
    pub text: String,
    /// The team; case and accents do not matter.
    pub owner: Option<String>,
    /// Labels that a contract must have.
    pub labels: Vec<(String, String)>,
    /// Only this kind.
    pub kind: Option<ContractKind>,
    /// Only this domain.
    pub domain: Option<String>,
}

impl Catalogue {
    /// A catalogue of these contracts, and of versions that are no longer offered but may still be in use.
    pub fn new(mut entries: Vec<Entry>, withdrawn: Vec<Arc<Contract>>) -> Self {
        entries.sort_by(|one, other| one.contract.name.cmp(&other.contract.name));
        let mut catalogue = Self { texts: entries.iter().map(Texts::of).collect(), ..Self::default() };
        for (place, entry) in entries.iter().enumerate() {
            let name = &entry.contract.name;
            catalogue.places.insert(name.clone(), place);
            for used in entry.contract.scenario().into_iter().flat_map(|scenario| scenario.uses()) {
                let users = catalogue.used_by.entry(used.clone()).or_default();
                // Entries are sorted: a scenario that uses a contract twice is the last in the list.
                if users.last() != Some(name) {
                    users.push(name.clone());
                }
            }
        }
        catalogue.entries = entries;
        for contract in withdrawn {
            let versions = catalogue.withdrawn.entry(contract.name.clone()).or_default();
            versions.push((contract.version, contract));
        }
        catalogue
    }

    /// The contract offered now under a name.
    pub fn get(&self, name: &ContractName) -> Option<&Entry> {
        self.places.get(name).map(|place| &self.entries[*place])
    }

    /// One version of a contract: the current, an older one, or one that is no longer offered.
    pub fn get_version(&self, name: &ContractName, version: u32) -> Option<&Arc<Contract>> {
        let offered = self.get(name);
        if let Some(entry) = offered.filter(|entry| entry.contract.version == version) {
            return Some(&entry.contract);
        }
        let kept = offered.map(|entry| &entry.older).into_iter().chain(self.withdrawn.get(name));
        kept.flatten().find(|(kept, _)| *kept == version).map(|(_, contract)| contract)
    }

    /// Everything that is offered, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// How many contracts are offered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when nothing is offered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The scenarios that use a contract in a step, by name; not those that use these in turn.
    pub fn used_by(&self, name: &ContractName) -> &[ContractName] {
        self.used_by.get(name).map_or(&[], Vec::as_slice)
    }

    /// The scenarios that use one of these contracts, directly or through scenarios that they use.
    pub fn reached_from<'a>(
        &self,
        names: impl IntoIterator<Item = &'a ContractName>,
    ) -> BTreeSet<ContractName> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&ContractName> = names.into_iter().flat_map(|name| self.used_by(name)).collect();
        while let Some(name) = open.pop() {
            if reached.insert(name.clone()) {
                open.extend(self.used_by(name));
            }
        }
        reached
    }

    /// The contracts offered that meet a search: first those with every word in the name, then the others, each by name.
    pub fn search(&self, search: &Search) -> Vec<&Entry> {
        let text = fold(&search.text);
        let words: Vec<&str> = text.split_whitespace().collect();
        let owner = search.owner.as_deref().map(fold);
        let (mut by_name, mut others) = (Vec::new(), Vec::new());
        for (entry, texts) in self.entries.iter().zip(&self.texts) {
            if !search.admits(&entry.contract) || owner.as_ref().is_some_and(|owner| *owner != texts.team) {
                continue;
            }
            if words.iter().all(|word| texts.name.contains(word)) {
                by_name.push(entry);
            } else if words.iter().all(|word| texts.name.contains(word) || texts.rest.contains(word)) {
                others.push(entry);
            }
        }
        by_name.append(&mut others);
        by_name
    }
}

impl Versions for Catalogue {
    fn version(&self, name: &ContractName, version: u32) -> Option<Arc<Contract>> {
        self.get_version(name, version).cloned()
    }

    fn current(&self, name: &ContractName) -> Option<Arc<Contract>> {
        self.get(name).map(|entry| Arc::clone(&entry.contract))
    }
}

impl Search {
    /// Refuses a text that nobody types: every word is looked for in every contract.
    pub fn check(&self) -> Result<(), Fault> {
        if self.text.len() <= SEARCH_BYTES {
            return Ok(());
        }
        let message = format!("has {} bytes; at most {SEARCH_BYTES} bytes are allowed", self.text.len());
        Err(Fault::new("/text", "too_long", message))
    }

    fn admits(&self, contract: &Contract) -> bool {
        let labelled = |(key, value): &(String, String)| contract.labels.get(key) == Some(value);
        self.kind.is_none_or(|kind| contract.kind() == kind)
            && self.domain.as_deref().is_none_or(|domain| contract.name.domain() == domain)
            && self.labels.iter().all(labelled)
    }
}

impl Texts {
    fn of(entry: &Entry) -> Self {
        let Contract { name, description, owner, labels, .. } = entry.contract.as_ref();
        let mut rest =
            format!("{description}\n{}\n{}", owner.team, owner.contact.as_deref().unwrap_or_default());
        for (key, value) in labels {
            rest.push_str(&format!("\n{key} {value} {key}={value}"));
        }
        Self { name: fold(&name.to_string()), rest: fold(&rest), team: fold(&owner.team) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::CapabilityDefinition;

    fn entry(name: &str, description: &str, team: &str, label: &str) -> Entry {
        let (domain, name) = name.split_once('/').unwrap();
        let definition = serde_json::json!({
            "name": name, "description": description, "owner": {"team": team}, "labels": {"tier": label},
            "input": true, "output": true
        });
        let contract =
            CapabilityDefinition::from_json(&definition).unwrap().into_contract(domain, 3).unwrap();
        let older = Contract { version: 2, ..contract.clone() };
        Entry {
            contract: Arc::new(contract),
            fingerprint: String::new(),
            older: vec![(2, Arc::new(older))],
            faults: Vec::new(),
            registered_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn shop() -> Catalogue {
        let withdrawn = entry("order/draft", "", "Order", "gold").contract;
        let entries = vec![
            entry("order/prepared-order", "An order of a customer", "Order", "gold"),
            entry("customer/active-customer", "Can place orders", "Kundenmanagement Straße", "silver"),
            entry("billing/payment-account", "Crème de la crème", "Billing", "gold"),
        ];
        Catalogue::new(entries, vec![withdrawn])
    }

    fn names(found: &[&Entry]) -> Vec<String> {
        found.iter().map(|entry| entry.contract.name.to_string()).collect()
    }

    fn text(text: &str) -> Search {
        Search { text: text.to_owned(), ..Search::default() }
    }

    #[test]
    fn contracts_are_listed_by_name() {
        let shop = shop();
        let all: Vec<&Entry> = shop.iter().collect();
        assert_eq!(
            names(&all),
            ["billing/payment-account", "customer/active-customer", "order/prepared-order"]
        );
        assert_eq!(names(&shop.search(&Search::default())), names(&all));
    }

    #[test]
    fn every_version_that_may_be_in_use_is_found() {
        let shop = shop();
        let name: ContractName = "order/prepared-order".parse().unwrap();
        let versions = [1, 2, 3].map(|version| shop.get_version(&name, version).map(|found| found.version));
        assert_eq!(versions, [None, Some(2), Some(3)]);
        let gone: ContractName = "order/draft".parse().unwrap();
        assert!(shop.get(&gone).is_none() && shop.current(&gone).is_none());
        assert_eq!(shop.version(&gone, 3).unwrap().name, gone);
    }

    #[test]
    fn a_contract_knows_the_scenarios_that_use_it() {
        let scenario = |name: &str, first: &str, second: &str| {
            let text = format!(
                "scenario: {name}\nowner: {{ team: T, contact: c }}\nsteps:\n  a: {{ uses: {first} }}\n  b: {{ uses: {second} }}\n\
                 output: {{}}\n"
            );
            let contract = crate::scenario::parse("s.yaml", &text).unwrap().unchecked(1);
            Entry { contract: Arc::new(contract), ..entry("a/b", "", "T", "x") }
        };
        let catalogue = Catalogue::new(
            vec![
                scenario("z/two", "x/used", "x/absent"),
                scenario("a/one", "x/used", "x/used"),
                entry("x/used", "", "T", "x"),
                scenario("m/none", "a/one", "z/two"),
            ],
            Vec::new(),
        );
        let users = |name: &str| -> Vec<String> {
            catalogue.used_by(&name.parse().unwrap()).iter().map(ToString::to_string).collect()
        };
        assert_eq!(users("x/used"), ["a/one", "z/two"]);
        assert_eq!(users("x/absent"), ["z/two"]);
        assert_eq!(users("a/one"), ["m/none"]);
        assert!(users("m/none").is_empty());
        let reached = |names: &[&str]| -> Vec<String> {
            let names: Vec<ContractName> = names.iter().map(|name| name.parse().unwrap()).collect();
            catalogue.reached_from(&names).iter().map(ToString::to_string).collect()
        };
        assert_eq!(reached(&["x/used"]), ["a/one", "m/none", "z/two"]);
        assert_eq!(reached(&["x/absent", "a/one"]), ["m/none", "z/two"]);
        assert!(reached(&["m/none"]).is_empty());
        let scenarios = Search { kind: Some(ContractKind::Scenario), ..Search::default() };
        assert_eq!(names(&catalogue.search(&scenarios)), ["a/one", "m/none", "z/two"]);
    }

    #[test]
    fn a_match_in_the_name_comes_first() {
        assert_eq!(
            names(&shop().search(&text("order"))),
            ["order/prepared-order", "customer/active-customer"]
        );
    }

    #[test]
    fn every_word_must_occur_somewhere() {
        for (words, found) in [
            ("ORDER customer", vec!["customer/active-customer", "order/prepared-order"]),
            ("creme", vec!["billing/payment-account"]),
            ("strasse", vec!["customer/active-customer"]),
            ("tier=gold order", vec!["order/prepared-order"]),
            ("  ", vec!["billing/payment-account", "customer/active-customer", "order/prepared-order"]),
            ("order unicorn", vec![]),
            ("%", vec![]),
        ] {
            assert_eq!(names(&shop().search(&text(words))), found, "{words}");
        }
    }

    #[test]
    fn a_text_that_nobody_types_is_refused() {
        assert_eq!(text(&"a".repeat(256)).check(), Ok(()));
        assert_eq!(text(&"a ".repeat(129)).check().unwrap_err().code, "too_long");
    }

    #[test]
    fn filters_narrow_a_search() {
        let shop = shop();
        for (search, found) in [
            (Search { owner: Some("kundenmanagement strasse".to_owned()), ..Search::default() }, 1),
            (Search { owner: Some("kunden".to_owned()), ..Search::default() }, 0),
            (Search { labels: vec![("tier".to_owned(), "gold".to_owned())], ..Search::default() }, 2),
            (Search { labels: vec![("tier".to_owned(), "g".to_owned())], ..Search::default() }, 0),
            (Search { domain: Some("order".to_owned()), ..Search::default() }, 1),
            (Search { kind: Some(ContractKind::Capability), ..Search::default() }, 3),
            (Search { kind: Some(ContractKind::Scenario), ..Search::default() }, 0),
        ] {
            assert_eq!(shop.search(&search).len(), found, "{search:?}");
        }
    }
}
