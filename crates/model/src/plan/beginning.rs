//! Beginning: a new tree is its root, pinned to the versions of now, and whatever can begin at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::{Change, Plan, Versions, World};
use crate::channel::Overlay;
use crate::contract::Contract;
use crate::find::Origin;
use crate::ids::{LineId, RequestId, TreeId};
use crate::name::ContractName;
use crate::request::Priority;
use crate::tree::{Part, Tree};

/// A dataset to be made.
#[derive(Debug, Clone)]
pub struct NewTree {
    /// The id.
    pub id: TreeId,
    /// Where it shall live.
    pub environment: Arc<str>,
    /// The request that it is made for.
    pub request: RequestId,
    /// Its place in the request.
    pub unit: u32,
    /// What is to be made.
    pub contract: Arc<Contract>,
    /// From what: valid, with defaults filled in.
    pub input: Arc<Value>,
    /// Who waits for it.
    pub priority: Priority,
    /// The channel that the request named.
    pub channel: Option<Arc<str>>,
    /// What the channel puts over the deployed catalogue now; empty without a channel.
    pub overlay: Overlay,
    /// The stock line that it is made for.
    pub line: Option<LineId>,
    /// Versions of contracts that everything below is made in; of those that are not among them, the current ones.
    pub given: BTreeMap<ContractName, u32>,
    /// See [`Tree::seed`].
    pub seed: u64,
    /// See [`Tree::unique`].
    pub unique: String,
    /// Until when its scenario allows it to be made, where that is before the request's own deadline.
    pub until: Option<Timestamp>,
    /// How it comes to its data.
    pub beginning: Beginning,
    /// Whether children of its scenarios may be taken from stock.
    pub takes_stock: bool,
}

/// How a dataset comes to its data.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Beginning {
    /// It is made.
    #[default]
    Make,
    /// Its service is asked for something that fits, and it is made when there is nothing. Of a capability that offers
    /// `find` only.
    Find,
    /// It is there: this is what making it would have answered. Of a capability only.
    Import(Arc<Value>),
}

/// Plans a new tree: its root and whatever can begin at once.
pub fn begin(new: NewTree, world: World<'_>) -> Change {
    Plan::begun(new, world).into_change()
}

/// The versions of everything below a contract: those that are given, and otherwise those that it has now. What a tree of it
/// that is begun now is pinned to.
pub fn pins_of(
    contract: &Contract,
    versions: &dyn Versions,
    given: &BTreeMap<ContractName, u32>,
) -> BTreeMap<ContractName, u32> {
    let mut pins = BTreeMap::new();
    let mut open: Vec<ContractName> = used_by(contract);
    while let Some(name) = open.pop() {
        if pins.contains_key(&name) {
            continue;
        }
        // A name that is unknown here is found out when its step is to begin, with a failure that names it.
        let used = match given.get(&name) {
            Some(version) => versions.version(&name, *version),
            None => versions.current(&name),
        };
        if let Some(used) = used {
            pins.insert(name, used.version);
            open.extend(used_by(&used));
        }
    }
    pins
}

fn used_by(contract: &Contract) -> Vec<ContractName> {
    contract.scenario().map(|scenario| scenario.uses().cloned().collect()).unwrap_or_default()
}

impl<'w> Plan<'w> {
    pub(super) fn begun(new: NewTree, world: World<'w>) -> Self {
        let mut pins = pins_of(&new.contract, world.versions, &new.given);
        // All of it, because what an orchestrator is going to obtain is not known yet.
        pins.extend(new.overlay.iter().map(|(name, version)| (name.clone(), version)));
        pins.extend(new.given);
        let mut told = serde_json::json!({ "contract": new.contract.name.to_string() });
        if let Some(channel) = &new.channel {
            told["channel"] = Value::from(channel.as_ref());
        }
        let mut root = Part::planned(0, None, &new.contract, new.input, world.now);
        root.attempt_until = new.until;
        match new.beginning {
            Beginning::Make => {}
            Beginning::Find => root.search = Some(Box::default()),
            Beginning::Import(output) => {
                told["origin"] = Value::from(Origin::Imported.name());
                root.origin = Origin::Imported;
                root.output = Some(output);
            }
        }
        let tree = Tree {
            id: new.id,
            version: 0,
            environment: new.environment,
            request: new.request,
            unit: new.unit,
            priority: new.priority,
            channel: new.channel,
            pins: Arc::new(pins),
            seed: new.seed,
            unique: new.unique,
            line: new.line,
            takes_stock: new.takes_stock,
            recheck: None,
            lease: None,
            ending: None,
            made: 0,
            parts: vec![root],
        };
        let mut plan = Self::of(tree, 0, world);
        plan.tell(0, "dataset.building", told);
        plan.advance();
        plan
    }
}
