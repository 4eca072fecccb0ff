//! Reruns: a dataset asked for again, made from the same input and seed, on the same versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use sixpack_model::channel::is_of_channel;
use sixpack_model::contract::Contract;
use sixpack_model::fault::Fault;
use sixpack_model::ids::{DatasetId, TreeId};
use sixpack_model::name::ContractName;
use sixpack_model::request::{Priority, Request, RequestStatus, Selection, Source};
use sixpack_model::rerun::{Comparison, compare};
use sixpack_model::tree::{Part, Tree};
use sixpack_storage::requests::NewRequest;

use crate::Engine;
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::requests::{Asked, Made, new_request};
use crate::shelf::Shelf;

/// What a consumer wants who asks for a dataset again. It is made anew, whatever there is in stock.
#[derive(Debug, Clone)]
pub struct Rerun {
    /// The dataset.
    pub of: DatasetId,
    /// Where the consumer believes it to be, if they say so.
    pub environment: Option<String>,
    /// The channel in which the consumer believes it to have been made, if they say so.
    pub channel: Option<String>,
    /// How long the lease lasts.
    pub ttl_ms: u64,
    /// Who it is for; the token's name when empty.
    pub holder: String,
    /// The total time allowed.
    pub timeout_ms: u64,
    /// Who waits.
    pub priority: Priority,
    /// The caller's key and the fingerprint of its body.
    pub idempotency: Option<(String, [u8; 32])>,
}

/// How a request relates to the dataset that it asks for again.
#[derive(Debug, Clone)]
pub struct RerunView {
    /// That dataset.
    pub of: TreeId,
    /// The same with its parts; `None` until the request is fulfilled, and when it is not known any more.
    pub original: Option<Arc<Tree>>,
    /// Whether the facts are the same; `None` until the request has ended.
    pub facts: Option<Comparison>,
}

/// A version that a dataset was made on, and that is not on offer any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoneVersion {
    /// The contract.
    pub contract: ContractName,
    /// The version.
    pub wanted: u32,
    /// The one that is on offer now; `None` when there is none at all.
    pub offered: Option<u32>,
}

/// What of a dataset is taken over when it is made again.
pub(crate) struct Again {
    pub(crate) of: TreeId,
    pub(crate) seed: u64,
    /// The versions of everything below it.
    pub(crate) versions: BTreeMap<ContractName, u32>,
}

impl Engine {
    /// Accepts a request for a dataset that was made before, or finds the one that the same call made.
    pub async fn rerun_dataset(&self, caller: &Caller, rerun: Rerun) -> Result<Made, Refusal> {
        let idempotency = rerun.idempotency.clone();
        let planned = self.plan_rerun(caller, rerun).await;
        self.make_request(caller, planned, idempotency).await
    }

    async fn plan_rerun(&self, caller: &Caller, rerun: Rerun) -> Result<NewRequest, Refusal> {
        let original = self.tree(rerun.of.tree).await?;
        let known =
            |tree: &Arc<Tree>| caller.sees(&tree.environment) && (rerun.of.part as usize) < tree.parts.len();
        let original = original.filter(known).ok_or_else(|| Refusal::unknown("dataset", rerun.of))?;
        let faults = misplaced(&rerun, &original);
        if !faults.is_empty() {
            return Err(Refusal::Invalid(faults));
        }
        if original.root().ready_at.is_none() {
            let status = original.root().status.name();
            return Err(Refusal::NeverMade { dataset: rerun.of, status });
        }
        let (environment, channel) = (original.environment.to_string(), original.channel.as_deref());
        let (shelf, overlay) = self.visible_shelf_in(caller, &environment, channel).await?;
        let versions = versions_of(&original);
        let contract = shelf.offered_again(&original, &versions)?;
        self.may_use_input(caller, &original, &contract).await?;
        let input = Arc::clone(&original.root().input);
        let again = Again { of: original.id, seed: original.seed, versions };
        let now = self.store().now().await?;
        let asked = Asked {
            environment: &environment,
            stock: None,
            source: Source::Fresh,
            selection: Selection::default(),
            refills: None,
            again: Some(&again),
            listed: false,
            ttl_ms: rerun.ttl_ms,
            holder: if rerun.holder.is_empty() { caller.name.clone() } else { rerun.holder },
            token: caller.token,
            priority: rerun.priority,
            channel: channel.map(str::to_owned),
            timeout_ms: rerun.timeout_ms,
        };
        Ok(new_request(asked, &[(contract, input)], &[], (&shelf, &overlay), now))
    }

    /// Secrets in an input belong to the token that gave them: the holder of a lease is shown what is in the dataset, and
    /// must not come to see what somebody else put there.
    async fn may_use_input(
        &self,
        caller: &Caller,
        original: &Tree,
        contract: &Contract,
    ) -> Result<(), Refusal> {
        let input = &*original.root().input;
        if !contract.input.has_secrets() || contract.input.redacted(input) == *input {
            return Ok(());
        }
        let request = self.store().request(original.request).await?;
        match request.is_some_and(|request| caller.owns(request.token)) {
            true => Ok(()),
            false => Err(Refusal::SecretInput { dataset: original.id.root() }),
        }
    }

    /// How a request relates to the dataset that it asks for again.
    pub(crate) async fn view_rerun(
        &self,
        request: &Request,
        trees: &[Arc<Tree>],
        shelf: &Shelf,
    ) -> Result<Option<RerunView>, Refusal> {
        let Some(of) = request.rerun_of else { return Ok(None) };
        if !request.has_ended() {
            return Ok(Some(RerunView { of, original: None, facts: None }));
        }
        let again = trees.first().filter(|_| request.status == RequestStatus::Fulfilled);
        let original = match again {
            Some(_) => self.tree(of).await?,
            None => None,
        };
        let facts = match (&original, again) {
            (Some(original), Some(again)) => compare(original, again, shelf),
            _ => Comparison::Unknown,
        };
        Ok(Some(RerunView { of, original, facts: Some(facts) }))
    }
}

impl Shelf {
    /// The contract of a dataset that is to be made again on these versions, if all of them are on offer still.
    fn offered_again(
        &self,
        original: &Tree,
        versions: &BTreeMap<ContractName, u32>,
    ) -> Result<Arc<Contract>, Refusal> {
        let root = original.root();
        let all = versions.iter().map(|(name, version)| (name, *version));
        let wanted = std::iter::once((&root.contract, root.version)).chain(all);
        let gone: Vec<GoneVersion> = wanted
            .filter(|(name, version)| !self.is_offered(name, *version))
            .map(|(contract, wanted)| GoneVersion {
                contract: contract.clone(),
                wanted,
                offered: self.entry(contract).map(|entry| entry.contract.version),
            })
            .collect();
        let contract = self.contract(&root.contract, root.version);
        match (contract, gone.is_empty()) {
            (Some(contract), true) => {
                self.requestable(&root.contract)?;
                Ok(contract)
            }
            _ => Err(Refusal::VersionGone { dataset: original.id.root(), gone }),
        }
    }

    /// Whether a version is on offer: the one that new requests get, or one before it from which nothing but compatible
    /// changes lead to it, so that whoever performs the newest performs that one as well.
    ///
    /// Who is connected does not matter: a version without suppliers is waited for, as in any other request.
    fn is_offered(&self, name: &ContractName, version: u32) -> bool {
        self.entry(name).is_some_and(|entry| {
            let current = entry.contract.version;
            let known = entry.versions.iter().any(|note| note.version == version);
            known && (self.oldest(entry, current)..=current).contains(&version)
        })
    }
}

/// The versions that a tree was made on, but for those that its channel had beside them and that nothing of it uses, and
/// those that it was extended with: a rerun makes what was requested.
fn versions_of(tree: &Tree) -> BTreeMap<ContractName, u32> {
    let is_own = |part: &Part| tree.extension_of(part.part).is_none();
    let used = |name: &ContractName| tree.parts.iter().any(|part| part.contract == *name && is_own(part));
    // Of a dataset that could be extended everything was made that had to be.
    let is_extended = tree.extensions().next().is_some();
    let pins =
        tree.pins.iter().filter(|(name, version)| !(is_extended || is_of_channel(**version)) || used(name));
    pins.map(|(name, version)| (name.clone(), *version)).collect()
}

/// What a consumer says about the dataset that is not so; all at once.
fn misplaced(rerun: &Rerun, original: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    if rerun.of.part > 0 {
        let message = format!(
            "{} is a part ({}); only a whole dataset can be made again, and it belongs to {}",
            rerun.of,
            original.path_of(rerun.of.part),
            original.id
        );
        faults.push(Fault::new("/rerun_of", "not_a_root", message));
    }
    if rerun.environment.as_deref().is_some_and(|environment| *environment != *original.environment) {
        let message = format!(
            "{} is in the environment `{}`, and is made again there; leave `environment` out",
            original.id, original.environment
        );
        faults.push(Fault::new("/environment", "other_environment", message));
    }
    if rerun.channel.as_deref().is_some_and(|channel| original.channel.as_deref() != Some(channel)) {
        let made = match &original.channel {
            Some(channel) => format!("was made in the channel `{channel}`"),
            None => "was made without a channel".to_owned(),
        };
        let message = format!("{} {made}, and is made again as it was; leave `channel` out", original.id);
        faults.push(Fault::new("/channel", "other_channel", message));
    }
    faults
}
