//! Diagnosis: what has become of a leased dataset since it was handed over.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sixpack_engine::{DiagnosisView, Engine};
use sixpack_model::contract::Contract;
use sixpack_model::diagnosis::{Conclusion, PartDiagnosis, PartState};
use sixpack_model::ids::{DatasetId, LeaseId};
use sixpack_model::name::ContractName;
use sixpack_model::plan::Judged;
use sixpack_model::rerun::Difference;
use sixpack_model::tree::{Evidence, Handed, Verdict};
use utoipa::ToSchema;

use super::auth::Authorized;
use super::document::ProblemJson;
use super::shapes::difference::DifferenceJson;
use super::shapes::owner::OwnerJson;
use super::shapes::scalar::{Text, Time};
use super::shapes::secret::Secrets;
use super::shapes::word::{DiagnosisVerdict, PartStateWord, PartVerdict, Said, Word};
use crate::edge::json::Json;
use crate::edge::path::Path;
use crate::edge::problem::Problem;
use crate::edge::query::{NoParameters, Query};

/// What has become of a leased dataset.
#[derive(Serialize, ToSchema)]
#[schema(as = Diagnosis)]
pub(super) struct DiagnosisJson<'a> {
    #[schema(value_type = String)]
    lease_id: Text<LeaseId>,
    #[schema(value_type = String)]
    dataset_id: Text<DatasetId>,
    #[schema(inline)]
    verdict: DiagnosisVerdict<'static>,
    /// The same for people.
    message: &'a str,
    /// The part that the verdict is about: of those that have changed, or whose check fails, the one that was made first.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<NamedPartJson<'a>>,
    #[schema(value_type = String, format = DateTime)]
    handed_over_at: Time,
    #[schema(value_type = String, format = DateTime)]
    diagnosed_at: Time,
    /// Parts that were asked about.
    checked: usize,
    /// Parts in all.
    of: usize,
    /// Every part that a capability made.
    parts: Vec<PartDiagnosisJson<'a>>,
    /// Where facts differ from those at hand-over, but for what a schema marks `x-volatile`; at most 100.
    differences: Vec<DifferenceJson<'a>>,
    /// How many there are beyond those.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<usize>,
    /// What the scenarios demand, over the facts of now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    invariants: Vec<JudgedInvariantJson<'a>>,
}

/// A part by its names.
#[derive(Serialize, ToSchema)]
#[schema(as = NamedPart)]
struct NamedPartJson<'a> {
    /// From the root's step to the contract: `payment › billing/payment-account@3`.
    path: String,
    #[schema(value_type = String)]
    dataset_id: Text<DatasetId>,
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<OwnerJson<'a>>,
}

/// What has become of one part.
#[derive(Serialize, ToSchema)]
#[schema(as = PartDiagnosis)]
struct PartDiagnosisJson<'a> {
    /// Step names from the root, joined by ` › `; empty for the root.
    path: String,
    #[schema(value_type = String)]
    dataset_id: Text<DatasetId>,
    #[schema(value_type = String)]
    contract: Text<&'a ContractName>,
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<OwnerJson<'a>>,
    /// `same`; `changed`: it does not hold, or its facts differ; `failed`: its service cannot tell, or did not answer;
    /// `unchecked`: it has no check, or a later part speaks for it.
    #[schema(inline)]
    state: PartStateWord,
    /// What was known at hand-over.
    then: KnownJson<'a>,
    /// What is known now.
    now: KnownJson<'a>,
}

/// What a service has said about its part.
#[derive(Serialize, ToSchema)]
#[schema(as = Known)]
struct KnownJson<'a> {
    #[schema(inline)]
    verdict: PartVerdict<'static>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    facts: Option<Cow<'a, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    checked_at: Option<Time>,
    /// When it had last said that the part is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    valid_at: Option<Time>,
    /// The build of the supplier that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<&'a str>,
    /// The instance of the supplier that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
}

/// A condition of a scenario over the facts of now.
#[derive(Serialize, ToSchema)]
#[schema(as = JudgedInvariant)]
struct JudgedInvariantJson<'a> {
    /// Step names down to the scenario; empty for the root.
    path: String,
    /// What it says.
    says: &'a str,
    held: bool,
    /// Why it does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

/// Asks every service about a leased dataset, and says what has become of it
///
/// Answers within about three seconds; a service that has not answered by then is part of the answer.
#[utoipa::path(post, path = "/v1/leases/{id}/diagnose", tag = "leases", params(("id" = String, Path)), responses(
    (status = 200, description = "What has become of it", body = DiagnosisJson<'_>),
    (status = 404, description = "`lease_not_found`", body = ProblemJson),
    (status = 409, description = "`lease_ended`, `extending`", body = ProblemJson),
))]
pub(super) async fn diagnose_lease(
    State(engine): State<Engine>,
    Authorized(caller): Authorized,
    Path((id,)): Path<(LeaseId,)>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Response, Problem> {
    let view = engine.diagnose_lease(&caller, id).await?;
    let secrets = Secrets::of_lease(&caller, &view.lease);
    let parts = view.tree.parts.iter();
    let contracts: Vec<_> = parts.map(|part| view.shelf.contract(&part.contract, part.version)).collect();
    let shown = Shown { view: &view, contracts: &contracts, secrets };
    Ok(Json(shown.diagnosis(engine.now().await?)).into_response())
}

/// A diagnosis as one caller sees it.
#[derive(Clone, Copy)]
struct Shown<'a> {
    view: &'a DiagnosisView,
    /// By part.
    contracts: &'a [Option<Arc<Contract>>],
    secrets: Secrets,
}

impl<'a> Shown<'a> {
    fn diagnosis(self, now: Timestamp) -> DiagnosisJson<'a> {
        let DiagnosisView { lease, tree, diagnosis, .. } = self.view;
        let first = match diagnosis.conclusion {
            Conclusion::Changed { first } => Some(first),
            Conclusion::CheckFailed { first } => first,
            Conclusion::StillValid => None,
        };
        DiagnosisJson {
            lease_id: Text(lease.id),
            dataset_id: Text(tree.id.root()),
            verdict: Said::new(diagnosis.conclusion.name()),
            message: &diagnosis.message,
            first: first.map(|part| self.named(part)),
            handed_over_at: Time(lease.granted_at),
            diagnosed_at: Time(now),
            checked: diagnosis.asked(),
            of: diagnosis.parts.len(),
            parts: diagnosis.parts.iter().map(|part| self.part(part)).collect(),
            differences: diagnosis.differences.iter().map(|it| self.difference(it)).collect(),
            more: (diagnosis.more > 0).then_some(diagnosis.more),
            invariants: diagnosis.invariants.iter().map(|judged| self.invariant(judged)).collect(),
        }
    }

    fn named(self, number: u32) -> NamedPartJson<'a> {
        let part = &self.view.tree.parts[number as usize];
        NamedPartJson {
            path: self.view.tree.path_of(number),
            dataset_id: Text(self.view.tree.dataset(number)),
            contract: Text(&part.contract),
            version: part.version,
            owner: self.owner(number),
        }
    }

    fn part(self, known: &'a PartDiagnosis) -> PartDiagnosisJson<'a> {
        let part = &self.view.tree.parts[known.part as usize];
        PartDiagnosisJson {
            path: self.view.tree.steps_to(known.part),
            dataset_id: Text(self.view.tree.dataset(known.part)),
            contract: Text(&part.contract),
            version: part.version,
            owner: self.owner(known.part),
            state: Word(known.state),
            then: self.known(known, &known.then),
            now: self.known(known, &known.now),
        }
    }

    fn known(self, of: &PartDiagnosis, known: &'a Handed) -> KnownJson<'a> {
        let evidence: Option<&Evidence> = known.evidence.as_ref();
        KnownJson {
            verdict: Said::new(match evidence {
                Some(evidence) => evidence.verdict.name(),
                None if of.state == PartState::Unchecked => PartState::Unchecked.name(),
                None => Verdict::Unknown.name(),
            }),
            facts: self.facts(of.part, known),
            message: evidence.and_then(|evidence| evidence.message.as_deref()),
            checked_at: evidence.map(|evidence| Time(evidence.at)),
            valid_at: evidence.and_then(|evidence| evidence.valid_at).map(Time),
            build: evidence.and_then(|evidence| evidence.build.as_deref()),
            instance: evidence.and_then(|evidence| evidence.instance.as_deref()),
        }
    }

    fn difference(self, difference: &'a Difference) -> DifferenceJson<'a> {
        let parts = &self.view.diagnosis.parts;
        let of = |part: Option<u32>| parts.iter().find(|known| Some(known.part) == part);
        let before = of(difference.before).and_then(|known| self.facts(known.part, &known.then));
        let after = of(difference.after).and_then(|known| self.facts(known.part, &known.now));
        DifferenceJson::of(difference, before, after)
    }

    fn invariant(self, judged: &'a Judged) -> JudgedInvariantJson<'a> {
        JudgedInvariantJson {
            path: self.view.tree.steps_to(judged.part),
            says: &judged.says,
            held: judged.broken.is_none(),
            message: judged.broken.as_deref(),
        }
    }

    fn facts(self, number: u32, known: &'a Handed) -> Option<Cow<'a, Value>> {
        Some(self.secrets.facts(self.contract(number), known.facts.as_deref()?))
    }

    fn owner(self, number: u32) -> Option<OwnerJson<'a>> {
        self.contract(number).map(|contract| OwnerJson::from(&contract.owner))
    }

    fn contract(self, number: u32) -> Option<&'a Contract> {
        self.contracts[number as usize].as_deref()
    }
}
