//! Words: whatever the server can say of a state or a kind, this release of the SDK knows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sixpack::wire;

type Words = BTreeSet<String>;

fn known<T: ToString>(all: &[T]) -> Option<Words> {
    Some(all.iter().map(ToString::to_string).collect())
}

/// The words of the type that reads, or writes, what the description lists at this place: a property of a schema, a schema that is
/// only an enum, or a parameter. `None` where the SDK takes any text.
fn read_as(place: &str) -> Option<Words> {
    match place {
        "Applied.change" | "ContractVersion.change" => known(wire::Change::ALL),
        "AppliedStockRule.change" => known(wire::RuleChange::ALL),
        "ContractEntry.kind" | "Dataset.kind" | "contracts?kind" => known(wire::ContractKind::ALL),
        "ContractEntry.status" => known(wire::ContractStatus::ALL),
        "ContractEntry.operations"
        | "Served.operations"
        | "Step.operation"
        | "Task.operation"
        | "WaitsFor.operation"
        | "Event.operation"
        | "TimelineEntry.operation" => known(wire::Operation::ALL),
        "Dataset.origin" => known(wire::Origin::ALL),
        "Dataset.status" | "datasets?status" => known(wire::DatasetStatus::ALL),
        "Step.status" => known(wire::StepStatus::ALL),
        "Debt.status" | "debts?status" => known(wire::DebtStatus::ALL),
        "Diagnosis.verdict" => known(wire::DiagnosisVerdict::ALL),
        "PartDiagnosis.state" => known(wire::PartState::ALL),
        "Evidence.verdict" | "PartEvidence.verdict" | "Known.verdict" | "TaskResult.verdict" => {
            known(wire::CheckVerdict::ALL)
        }
        "Extension.status" => known(wire::ExtensionStatus::ALL),
        "Failure.class" | "FailureCause.class" | "DriftedPart.class" => known(wire::FailureClass::ALL),
        "Lease.outcome" | "ReleaseLease.outcome" => known(wire::Outcome::ALL),
        "Lease.status" | "leases?status" => known(wire::LeaseStatus::ALL),
        "NewToken.role" | "SignIn.role" | "Token.role" => known(wire::Role::ALL),
        "Priority" | "Request.priority" => known(wire::Priority::ALL),
        "Request.status" | "requests?status" => known(wire::RequestStatus::ALL),
        "Require" => known(wire::Require::ALL),
        "Rerun.facts" => known(wire::RerunFacts::ALL),
        "ResolveDataset.resolution" => known(wire::Resolution::ALL),
        "Session.state" | "sessions?state" => known(wire::SessionState::ALL),
        "Source" | "Request.source" => known(wire::Source::ALL),
        "Starved.code" => known(wire::StarvedCode::ALL),
        "StockRule.state" | "EditStockRule.state" => known(wire::RuleState::ALL),
        // Texts, so that nobody branches on them by a type.
        "Event.class" | "TimelineEntry.class" | "GivenUp.code" | "ScenarioStep.from" => None,
        // What a result of a supplier says is put together by the SDK itself.
        "Outcome" => None,
        other => {
            panic!("the server lists words at {other}: say in this table which type of the SDK reads them")
        }
    }
}

/// Every list of words in the API's description, by its place.
fn listed() -> BTreeMap<String, Words> {
    fn gather(value: &Value, place: &str, found: &mut BTreeMap<String, Words>) {
        if let Some(words) = value["enum"].as_array() {
            let words = words.iter().map(|word| word.as_str().unwrap().to_owned());
            found.entry(place.to_owned()).or_default().extend(words);
        }
        for inner in value["allOf"].as_array().into_iter().flatten().chain(value.get("items")) {
            gather(inner, place, found);
        }
        for (name, inner) in value["properties"].as_object().into_iter().flatten() {
            gather(inner, &format!("{place}.{name}"), found);
        }
    }

    let document: Value = serde_json::from_str(&sixpack_server::openapi()).unwrap();
    let mut found = BTreeMap::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        gather(schema, name, &mut found);
    }
    for (path, operations) in document["paths"].as_object().unwrap() {
        let list = path.rsplit('/').next().unwrap();
        for parameter in operations["get"]["parameters"].as_array().into_iter().flatten() {
            gather(
                &parameter["schema"],
                &format!("{list}?{}", parameter["name"].as_str().unwrap()),
                &mut found,
            );
        }
    }
    found
}

#[test]
fn every_word_that_the_server_can_say_is_known() {
    let listed = listed();
    assert!(listed.len() > 35 && listed["Dataset.status"].contains("quarantined"), "{listed:?}");
    for (place, words) in &listed {
        let Some(known) = read_as(place) else { continue };
        let unknown: Vec<_> = words.difference(&known).collect();
        assert!(unknown.is_empty(), "{place} may say {unknown:?}, which the SDK does not know");
    }
}

/// The one way in which a list could be missed: a property that has words, and is described as any text.
#[test]
fn every_enum_of_the_sdk_is_held_against_the_description() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire");
    let texts =
        std::fs::read_dir(source).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let names: BTreeSet<String> = texts
        .flat_map(|text| {
            let declared = text.split("\nwords! {").skip(1);
            let name = |rest: &str| {
                let line =
                    rest.lines().find(|line| line.starts_with("    ") && line.ends_with(" {")).unwrap();
                line.trim_end_matches('{').trim().to_owned()
            };
            declared.map(name).collect::<Vec<_>>()
        })
        .collect();
    assert!(names.contains("DatasetStatus") && names.len() > 20, "{names:?}");
    let table = include_str!("words.rs");
    for name in names {
        assert!(table.contains(&format!("wire::{name}::ALL")), "{name} is held against nothing");
    }
}
