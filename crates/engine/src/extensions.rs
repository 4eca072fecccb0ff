//! Extensions: a leased dataset is advanced by one more contract, just in time, for whoever holds it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sixpack_model::contract::Contract;
use sixpack_model::extension::{NotExtended, extension_input};
use sixpack_model::fault::Fault;
use sixpack_model::ids::LeaseId;
use sixpack_model::lease::Lease;
use sixpack_model::name::ContractName;
use sixpack_model::plan::Happened;
use sixpack_model::tree::Tree;
use sixpack_storage::trees::Guard;
use tokio::time::Instant;

use crate::Engine;
use crate::caller::Caller;
use crate::leases::ended;
use crate::refusal::Refusal;
use crate::trees::Changed;

/// How often a dataset may have changed between looking at it and extending it before the caller is told to come back:
/// only what suppliers say about it at that very moment can change it.
const CHANGED_LIMIT: u32 = 20;

/// Whoever waits for an extension reads the dataset again after this long even if nothing woke it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// By what a dataset is to be extended.
#[derive(Debug, Clone)]
pub struct Extending {
    /// The fence that the caller holds.
    pub fence: u64,
    /// What is to be made.
    pub contract: ContractName,
    /// What it is made from, as far as the dataset does not say it.
    pub input: Value,
    /// Which extension of the lease this is, from 1: a call that is repeated answers the same. `None` for the next one.
    pub number: Option<usize>,
}

impl Engine {
    /// Begins to extend the dataset under a lease; it joins the tree, and ends with the lease.
    pub async fn extend_lease(
        &self,
        caller: &Caller,
        id: LeaseId,
        extending: Extending,
    ) -> Result<(), Refusal> {
        let lease = self.held_by(caller, id).await?;
        if lease.fence != extending.fence {
            return Err(self.fenced("extend"));
        }
        for _ in 0..CHANGED_LIMIT {
            let tree = self.leased_tree(lease.tree).await?.ok_or_else(|| Refusal::unknown("lease", id))?;
            let Some(happened) = self.extended(caller, &lease, &tree, &extending).await? else {
                return Ok(());
            };
            let guard = Guard::Held { lease: id, fence: extending.fence };
            match self.change_tree(lease.tree, guard, happened).await? {
                // It was decided upon what was looked at, and so it is this one that has begun.
                Changed::Done(after) if after.version == tree.version + 1 => return Ok(()),
                Changed::Done(_) => {}
                Changed::Unknown => return Err(Refusal::unknown("lease", id)),
                Changed::Refused(_) => return Err(ended(self.held_by(caller, id).await?)),
            }
        }
        Err(Refusal::Busy)
    }

    /// Reads a lease once no extension is under way, or the lease has ended, or the time is up.
    pub async fn wait_for_extension(
        &self,
        caller: &Caller,
        id: LeaseId,
        wait: Duration,
    ) -> Result<(Lease, Arc<Tree>), Refusal> {
        let until = Instant::now() + wait;
        let (lease, tree) = self.lease(caller, id).await?;
        if tree.extension_under_way().is_none() {
            return Ok((lease, tree));
        }
        let watching = self.inner.requests.watch(lease.request);
        loop {
            // Listening begins before looking: a change in between is not missed.
            let news = watching.next();
            let (lease, tree) = self.lease(caller, id).await?;
            if tree.extension_under_way().is_none() || Instant::now() >= until {
                return Ok((lease, tree));
            }
            // Woken or not, it is read again.
            let _ = tokio::time::timeout_at(until.min(Instant::now() + LOOK_AGAIN), news).await;
        }
    }

    /// What is to happen to a tree that was looked at: contract and input are held against the catalogue. `None` when the
    /// same call has begun it before.
    async fn extended(
        &self,
        caller: &Caller,
        lease: &Lease,
        tree: &Tree,
        extending: &Extending,
    ) -> Result<Option<Happened>, Refusal> {
        // What was begun before is looked for first: it may be under way.
        let before = extending.number.and_then(|number| tree.extensions().nth(number.saturating_sub(1)));
        if before.is_none() {
            self.may_extend(caller, lease, tree).await?;
        }
        let (contract, input) = self.bound(tree, extending).await?;
        if let Some(before) = before {
            return match before.contract == contract.name && before.input == input {
                true => Ok(None),
                false => Err(Refusal::OtherExtension { step: before.step.clone() }),
            };
        }
        let next = tree.extensions().count() + 1;
        if extending.number.is_some_and(|number| number != next) {
            let fault = Fault::new(
                "/number",
                "range",
                format!("must be {next}: the lease has {} extensions", next - 1),
            );
            return Err(Refusal::Invalid(vec![fault]));
        }
        Ok(Some(Happened::Extended {
            seen: tree.version,
            contract: contract.name.clone(),
            version: contract.version,
            input: Value::clone(&input),
        }))
    }

    async fn may_extend(&self, caller: &Caller, lease: &Lease, tree: &Tree) -> Result<(), Refusal> {
        match tree.may_be_extended() {
            Ok(()) => Ok(()),
            Err(NotExtended::NotLeased) => Err(ended(self.held_by(caller, lease.id).await?)),
            Err(NotExtended::Extending(part)) => Err(Refusal::Extending { step: tree.steps_to(part) }),
            Err(NotExtended::TooMany | NotExtended::TooLarge) => {
                Err(Refusal::TooManyExtensions { dataset: tree.id.root(), parts: tree.parts.len() })
            }
        }
    }

    /// The contract of an extension, and what it is made from.
    async fn bound(
        &self,
        tree: &Tree,
        extending: &Extending,
    ) -> Result<(Arc<Contract>, Arc<Value>), Refusal> {
        let shelf = self.shelf_of(tree).await?.unwrap_or_default();
        // What the dataset was made with goes on being used, so that all of it fits together.
        let pinned = tree.pins.get(&extending.contract);
        let pinned = pinned.and_then(|version| shelf.contract(&extending.contract, *version));
        let contract = match pinned {
            Some(contract) => contract,
            None => shelf.requestable(&extending.contract)?,
        };
        let root = tree.root();
        let gone = || Refusal::unknown("contract", &root.contract);
        let made_of = shelf.contract(&root.contract, root.version).ok_or_else(gone)?;
        let output = root.output.as_deref().unwrap_or(&Value::Null);
        let input = extension_input(&contract, (&made_of, output), extending.input.clone());
        let under = |faults: Vec<Fault>| faults.into_iter().map(|fault| fault.under("/input")).collect();
        let input = input.map_err(|faults| Refusal::InputInvalid(under(faults)))?;
        Ok((contract, input))
    }
}
