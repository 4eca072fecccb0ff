//! Finding: who can be asked for data that exists already, and what they are told to leave out.

use std::cmp::Reverse;
use std::collections::HashSet;

use sixpack_model::contract::Contract;
use sixpack_model::fault::Fault;
use sixpack_model::ids::TreeId;
use sixpack_model::limits::FIND_EXCLUDED;
use sixpack_model::request::Source;
use sixpack_model::schema::Entity;
use sixpack_model::tree::{Part, Tree};
use sixpack_storage::entities::InUse;

use crate::Engine;
use crate::refusal::Refusal;
use crate::requests::{Accepted, Wanted};

impl Engine {
    /// What must not be the answer when a part's service is asked for something that it has already: first what it has
    /// answered in vain, then what datasets have to do with that are not over, those of the newest first.
    ///
    /// It spares questions and holds nothing: what slips through is refused when it is the answer.
    pub(crate) async fn excluded(&self, tree: &Tree, part: &Part) -> Vec<Entity> {
        let shelf = self.shelf_of(tree).await.ok().flatten().unwrap_or_default();
        let contract = shelf.contract(&part.contract, part.version);
        let kinds: HashSet<&str> = contract.iter().flat_map(|it| it.output.entity_kinds()).collect();
        let in_use = self.store().in_use(&tree.environment, tree.id).await.unwrap_or_else(|error| {
            tracing::warn!(dataset = %tree.id.root(), %error, "what a service is to leave out cannot be read");
            InUse::default()
        });
        let made = in_use.made.into_iter().flat_map(|(tree, made)| {
            let contract = shelf.contract(&made.contract, made.version);
            let named = contract.map(|contract| contract.output.entities(&made.output)).unwrap_or_default();
            named.into_iter().map(move |entity| (tree, entity))
        });
        let mut named: Vec<(TreeId, Entity)> = made.chain(in_use.owned).collect();
        // What the input names belongs to whoever asks, and may well be part of the answer.
        let given = contract.as_ref().map(|contract| contract.input.entities(&part.input));
        let given: HashSet<Entity> = given.into_iter().flatten().collect();
        named.retain(|(_, entity)| kinds.contains(entity.kind.as_str()) && !given.contains(entity));
        named.sort_by_key(|(tree, _)| Reverse(*tree));
        let refused = part.search.iter().flat_map(|search| search.refused.clone());
        let mut seen = HashSet::new();
        let excluded = refused.chain(named.into_iter().map(|(_, entity)| entity));
        excluded.filter(|entity| seen.insert(entity.clone())).take(FIND_EXCLUDED).collect()
    }
}

/// Refuses to look for existing data of contracts that nobody can be asked for; all of them at once.
pub(crate) fn accept_source(wanted: &Wanted, units: &[Accepted]) -> Result<(), Refusal> {
    if wanted.source != Source::FindFirst {
        return Ok(());
    }
    // A count of one contract repeats the very same unit.
    let asked = if wanted.listed { units } else { &units[..units.len().min(1)] };
    let faults = asked.iter().enumerate().filter(|(_, (contract, _))| !contract.can_find());
    let faults = faults.map(|(index, (contract, _))| {
        let pointer = if wanted.listed { format!("/items/{index}") } else { "/source".to_owned() };
        Fault::new(pointer, "not_findable", why_not_findable(contract))
    });
    let faults: Vec<Fault> = faults.collect();
    if faults.is_empty() { Ok(()) } else { Err(Refusal::Invalid(faults)) }
}

fn why_not_findable(contract: &Contract) -> String {
    let why = match contract.capability() {
        Some(capability) => {
            let offered = capability.operations.names().join(", ");
            format!("its supplier offers {offered}, and not `find`")
        }
        None => "it is a scenario, and only a capability can be asked for what is there already".to_owned(),
    };
    format!(
        "nothing of {} can be found: {why}; leave `source` out to have it made, or from stock",
        contract.name
    )
}
