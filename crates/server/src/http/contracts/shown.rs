//! Contracts as they are shown: in a list, as a whole, and by version.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use sixpack_engine::{ContractView, VersionView};
use sixpack_model::contract::{Contract, RetryPolicy};
use sixpack_model::name::ContractName;
use sixpack_model::scenario::{Source, Step};
use utoipa::ToSchema;

use crate::http::scenarios::ChangeJson;
use crate::http::shapes::diagnostic::DiagnosticJson;
use crate::http::shapes::doubted::DoubtedJson;
use crate::http::shapes::owner::OwnerJson;
use crate::http::shapes::scalar::{Text, Time};
use crate::http::shapes::word::{Change, ContractStanding, KindWord, OperationSaid, Said, StepSource, Word};

/// A contract as the catalogue lists it.
#[derive(Serialize, ToSchema)]
#[schema(as = ContractEntry)]
pub(in crate::http) struct ContractJson<'a> {
    #[schema(value_type = String)]
    name: Text<&'a ContractName>,
    version: u32,
    #[schema(inline)]
    kind: KindWord,
    /// `online`, `offline` or `broken`.
    #[schema(inline)]
    status: ContractStanding<'static>,
    description: &'a str,
    owner: OwnerJson<'a>,
    labels: &'a BTreeMap<String, String>,
    /// What a capability offers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    operations: Option<Vec<OperationSaid<'static>>>,
    /// How many live sessions perform a capability in this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<u64>,
    /// Leaves that have a check.
    checked: u32,
    /// Leaves in all.
    of: u32,
    /// Contracts that a scenario uses.
    #[schema(value_type = Vec<String>)]
    uses: Vec<Text<&'a ContractName>>,
    /// The channel that offers it in place of what is deployed; only where a channel is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
}

/// A contract with everything that is known about it.
#[derive(Serialize, ToSchema)]
#[schema(as = Contract)]
pub(in crate::http) struct WholeContractJson<'a> {
    #[serde(flatten)]
    entry: ContractJson<'a>,
    #[serde(flatten)]
    detail: ContractDetailJson<'a>,
}

/// What one contract says beyond its line in the list.
#[derive(Serialize, ToSchema)]
#[schema(as = ContractDetail)]
struct ContractDetailJson<'a> {
    /// JSON Schema 2020-12.
    #[schema(value_type = Value)]
    input: &'a Value,
    /// JSON Schema 2020-12; of a scenario derived from its steps.
    #[schema(value_type = Value)]
    output: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    facts: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fresh_for_s: Option<u32>,
    settle_s: u32,
    /// Of one task, or of a whole scenario.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reusable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<RateJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<RetryJson>,
    /// Of a scenario, in an order in which dependencies come first.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<ScenarioStepJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invariants: Option<Vec<InvariantJson<'a>>>,
    /// Scenarios that use this contract.
    #[schema(value_type = Vec<String>)]
    used_by: Vec<Text<&'a ContractName>>,
    /// In how many datasets in stock it was the first that did not hold any more.
    drifted: u64,
    /// Datasets that were imported; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    imported: Option<ImportedStockJson>,
    /// Why nothing of it is handed out from stock: it is doubted, or something that it uses is.
    #[serde(skip_serializing_if = "Option::is_none")]
    doubted: Option<DoubtedJson<'a>>,
    /// Newest first.
    versions: Vec<ContractVersionJson<'a>>,
    /// Why it is broken.
    faults: Vec<DiagnosticJson<'a>>,
}

/// How often tasks may begin.
#[derive(Serialize, ToSchema)]
#[schema(as = Rate)]
struct RateJson {
    per_s: f64,
}

/// When an attempt that failed is made again.
#[derive(Serialize, ToSchema)]
#[schema(as = Retry)]
struct RetryJson {
    max_attempts: u32,
    first_delay_ms: u64,
    max_delay_ms: u64,
}

/// A step of a scenario.
#[derive(Serialize, ToSchema)]
#[schema(as = ScenarioStep)]
struct ScenarioStepJson<'a> {
    name: &'a str,
    #[schema(value_type = String)]
    uses: Text<&'a ContractName>,
    /// The input, with expressions in `${{ }}`.
    #[schema(value_type = Value)]
    with: Value,
    /// Steps that must be there first, those that the bindings imply included.
    needs: &'a [String],
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    condition: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    for_each: Option<&'a str>,
    /// `stock_first` or `fresh`.
    #[schema(inline)]
    from: StepSource<'static>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<RetryJson>,
}

/// A condition over the facts of all parts.
#[derive(Serialize, ToSchema)]
#[schema(as = Invariant)]
struct InvariantJson<'a> {
    that: &'a str,
    says: &'a str,
}

/// One version of a contract.
#[derive(Serialize, ToSchema)]
#[schema(as = ContractVersion)]
pub(in crate::http) struct ContractVersionJson<'a> {
    version: u32,
    /// `new`, `compatible` or `breaking`; of a version of a channel, against the deployed one, also `same`.
    #[schema(inline)]
    change: Change<'a>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// What changed.
    #[schema(value_type = Vec<ChangeJson<'a>>)]
    changes: &'a Value,
    /// Live sessions that have registered this version of a capability; of deployed versions only.
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<u64>,
}

/// Imported datasets of a contract.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportedStock)]
struct ImportedStockJson {
    /// In stock.
    ready: u64,
    /// Being checked, so that they can be taken.
    checking: u64,
}

impl ImportedStockJson {
    fn of(view: &ContractView) -> Option<Self> {
        let (ready, checking) = (view.imported.ready, view.imported.coming);
        (ready + checking > 0).then_some(Self { ready, checking })
    }
}

impl<'a> ContractJson<'a> {
    pub(in crate::http) fn listed(view: &'a ContractView) -> Self {
        let contract = &*view.contract;
        let (checked, of) = view.checked;
        let mut uses: Vec<&ContractName> =
            contract.scenario().into_iter().flat_map(|scenario| scenario.uses()).collect();
        uses.sort_unstable();
        uses.dedup();
        Self {
            name: Text(&contract.name),
            version: contract.version,
            kind: Word(contract.kind()),
            status: Said::new(view.state.name()),
            description: &contract.description,
            owner: OwnerJson::from(&contract.owner),
            labels: &contract.labels,
            operations: contract
                .capability()
                .map(|capability| capability.operations.names().into_iter().map(Said::new).collect()),
            sessions: view.sessions,
            checked,
            of,
            uses: uses.into_iter().map(Text).collect(),
            channel: view.channel.as_deref(),
            updated_at: Time(view.updated_at),
        }
    }
}

impl<'a> WholeContractJson<'a> {
    pub(in crate::http) fn of(view: &'a ContractView) -> Self {
        Self { entry: ContractJson::listed(view), detail: ContractDetailJson::of(view) }
    }
}

impl<'a> ContractDetailJson<'a> {
    fn of(view: &'a ContractView) -> Self {
        let contract: &'a Contract = &view.contract;
        let (capability, scenario) = (contract.capability(), contract.scenario());
        Self {
            input: contract.input.document(),
            output: contract.output.document(),
            facts: capability.and_then(|capability| capability.facts.as_ref()).map(|facts| facts.document()),
            fresh_for_s: capability.map(|capability| capability.fresh_for_s),
            settle_s: scenario.map_or_else(
                || capability.map_or(0, |capability| capability.settle_s),
                |scenario| scenario.settle_s,
            ),
            timeout_s: capability
                .map(|capability| capability.timeout_s)
                .or(scenario.and_then(|scenario| scenario.timeout_s)),
            reusable: capability.map(|capability| capability.reusable),
            concurrency: capability.and_then(|capability| capability.concurrency),
            rate: capability
                .and_then(|capability| capability.rate)
                .map(|rate| RateJson { per_s: rate.per_s }),
            retry: capability.map(|capability| RetryJson::from(capability.retry)),
            steps: scenario.map(|scenario| scenario.steps.iter().map(ScenarioStepJson::from).collect()),
            invariants: scenario.map(|scenario| {
                let invariants = scenario.invariants.iter();
                invariants.map(|one| InvariantJson { that: one.that.text(), says: &one.says }).collect()
            }),
            used_by: view.used_by.iter().map(Text).collect(),
            drifted: view.drifted.unwrap_or(0),
            imported: ImportedStockJson::of(view),
            doubted: view.doubted.as_ref().map(DoubtedJson::from),
            versions: view.versions.iter().map(ContractVersionJson::from).collect(),
            faults: view.faults.iter().map(DiagnosticJson::from).collect(),
        }
    }
}

impl<'a> From<&'a Step> for ScenarioStepJson<'a> {
    fn from(step: &'a Step) -> Self {
        Self {
            name: &step.name,
            uses: Text(&step.uses),
            with: step.with.document(),
            needs: &step.depends_on,
            condition: step.condition.as_ref().map(|condition| condition.text()),
            for_each: step.for_each.as_ref().map(|list| list.text()),
            from: Said::new(match step.from {
                Source::StockFirst => "stock_first",
                Source::Fresh => "fresh",
            }),
            timeout_s: step.timeout_s,
            retry: step.retry.map(RetryJson::from),
        }
    }
}

impl From<RetryPolicy> for RetryJson {
    fn from(retry: RetryPolicy) -> Self {
        let RetryPolicy { max_attempts, first_delay_ms, max_delay_ms } = retry;
        Self { max_attempts, first_delay_ms, max_delay_ms }
    }
}

impl<'a> From<&'a VersionView> for ContractVersionJson<'a> {
    fn from(version: &'a VersionView) -> Self {
        let VersionView { version, change, changes, published_at, sessions } = version;
        Self {
            version: *version,
            change: Said::new(change),
            created_at: Time(*published_at),
            changes,
            sessions: *sessions,
        }
    }
}
