//! Contracts: versions, verdicts, what breaks, and scenarios applied together.

use serde_json::json;
use sixpack_engine::{Applying, ContractState, Refusal, ScenarioFile};
use sixpack_model::request::RequestStatus;

use crate::town::{ALL, PAIR, Town, capability, wanted, with, with_pair};

#[tokio::test]
async fn the_same_contract_stays_the_same_version() {
    let (town, ..) = with_pair().await;
    let again = town.connect_as("a", "two", &[capability("first", ALL)]).await.expect("accepted");
    assert_eq!((again.contracts[0].version, again.contracts[0].change), (1, "same"));
}

#[tokio::test]
async fn a_breaking_change_names_the_scenarios_that_it_breaks_and_they_are_refused() {
    let (town, ..) = with_pair().await;
    let renamed = with(
        capability("first", ALL),
        json!({ "output": { "type": "object", "properties": { "key": { "type": "string" } }, "required": ["key"] } }),
    );
    // The old supplier goes away first: this is the new build, not one of two.
    let changed = town.connect_as("a", "one", &[renamed]).await.expect("accepted");
    let applied = &changed.contracts[0];
    assert_eq!((applied.version, applied.change), (2, "breaking"));
    assert_eq!(applied.breaks.len(), 1);
    assert_eq!(applied.breaks[0].contract.to_string(), "shop/pair");
    match town.ask_for(wanted("shop/pair", json!({}))).await {
        Err(Refusal::ContractBroken { faults, .. }) => assert!(!faults.is_empty()),
        other => panic!("{other:?}"),
    }
    let name = "shop/pair".parse().expect("a name");
    let view = town.engine.contract(&town.consumer(), "default", None, &name, None).await.expect("listed");
    assert_eq!(view.state, ContractState::Broken);
}

#[tokio::test]
async fn a_running_request_finishes_on_the_version_it_was_begun_with() {
    let (town, a, b) = with_pair().await;
    let id = town.ask("shop/pair", json!({})).await;
    town.serve(a).await;
    let wider = with(
        capability("second", ALL),
        json!({ "output": {
            "type": "object",
            "properties": { "id": { "type": "string", "x-entity": "second" }, "more": { "type": "string" } },
            "required": ["id"],
        } }),
    );
    let newer = town.connect_as("b", "one", &[wider]).await.expect("accepted");
    assert_eq!((newer.contracts[0].version, newer.contracts[0].change), (2, "compatible"));
    let _ = b;
    let task = town.claim_one(newer.id).await;
    assert_eq!(task.version, 1, "a compatible build goes on with what was begun");
    town.answer(newer.id, &task, crate::town::made("x")).await;
    for session in [newer.id, a] {
        town.serve(session).await;
    }
    assert_eq!(town.request(id).await.request.status, RequestStatus::Fulfilled);
}

#[tokio::test]
async fn an_absent_supplier_leaves_its_contracts_listed_as_offline() {
    let (town, a, _) = with_pair().await;
    town.engine.drain_session(&town.supplier(), a).await.expect("drained");
    town.sweep().await;
    let listed = town.engine.search_contracts(&town.consumer(), "default", None, &Default::default()).await;
    let states: Vec<_> = listed
        .expect("a list")
        .iter()
        .map(|view| format!("{} {}", view.contract.name, view.state.name()))
        .collect();
    assert_eq!(states, ["a/first offline", "b/second online", "shop/pair offline"]);
}

fn file(path: &str, text: &str) -> ScenarioFile {
    ScenarioFile { path: path.to_owned(), text: text.to_owned(), named: None }
}

#[tokio::test]
async fn files_that_use_each_other_are_applied_together_in_any_order() {
    let (town, ..) = with_pair().await;
    let outer = "scenario: shop/outer\nowner: { team: Shop }\nsteps:\n  inner: { uses: shop/inner, with: {} }\noutput: { id: \"${{ steps.inner.first }}\" }\n";
    let files = [file("outer.yaml", outer), file("inner.yaml", &PAIR.replace("shop/pair", "shop/inner"))];
    let applied = town.engine.apply(&town.supplier(), "default", &files, Applying::default()).await;
    let changes: Vec<_> =
        applied.expect("applied").scenarios.iter().map(|file| file.applied.change).collect();
    assert_eq!(changes, ["new", "new"]);
    let again = town.engine.apply(&town.supplier(), "default", &files, Applying::default()).await;
    let changes: Vec<_> = again.expect("applied").scenarios.iter().map(|file| file.applied.change).collect();
    assert_eq!(changes, ["same", "same"]);
}

#[tokio::test]
async fn one_faulty_file_keeps_all_from_being_applied() {
    let (town, ..) = with_pair().await;
    let bad = PAIR.replace("shop/pair", "shop/bad").replace("steps.first.id", "steps.frist.id");
    let files = [file("good.yaml", &PAIR.replace("shop/pair", "shop/good")), file("bad.yaml", &bad)];
    let applied = town.engine.apply(&town.supplier(), "default", &files, Applying::default()).await;
    match applied {
        Err(Refusal::ScenarioFaults(faults)) => {
            assert!(faults.iter().all(|fault| fault.file == "bad.yaml"), "{faults:?}");
            assert!(faults.iter().any(|fault| fault.code == "unknown_step"), "{faults:?}");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(town.ask_for(wanted("shop/good", json!({}))).await, Err(Refusal::Unknown { .. })));
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let town = Town::new().await;
    town.connect("a", &[capability("first", ALL)]).await;
    town.connect("b", &[capability("second", ALL)]).await;
    let files = [file("pair.yaml", PAIR)];
    let checked = town
        .engine
        .apply(&town.consumer(), "default", &files, Applying { dry_run: true, ..Applying::default() })
        .await;
    assert_eq!(checked.expect("whole").scenarios[0].applied.change, "new");
    assert!(matches!(town.ask_for(wanted("shop/pair", json!({}))).await, Err(Refusal::Unknown { .. })));
}

#[tokio::test]
async fn a_scenario_in_use_is_not_deleted_and_a_free_one_is() {
    let (town, ..) = with_pair().await;
    town.apply("scenario: shop/outer\nowner: { team: Shop }\nsteps:\n  pair: { uses: shop/pair, with: {} }\noutput: {}\n").await;
    let delete = |name: &str| {
        let (engine, supplier, name) = (town.engine.clone(), town.supplier(), name.parse().expect("a name"));
        async move { engine.delete_scenario(&supplier, "default", &name).await }
    };
    match delete("shop/pair").await {
        Err(Refusal::ContractInUse { by, .. }) => assert_eq!(by, ["shop/outer"]),
        other => panic!("{other:?}"),
    }
    delete("shop/outer").await.expect("deleted");
    delete("shop/outer").await.expect("deleting twice changes nothing");
    delete("shop/pair").await.expect("free now");
    assert!(matches!(delete("shop/never").await, Err(Refusal::Unknown { .. })));
}

#[tokio::test]
async fn catalogues_survive_a_restart() {
    let (town, ..) = with_pair().await;
    let town = town.restarted().await;
    let listed = town.engine.search_contracts(&town.consumer(), "default", None, &Default::default()).await;
    assert_eq!(listed.expect("a list").len(), 3);
}

#[tokio::test]
async fn what_was_made_before_a_breaking_change_is_undone_by_the_build_after_it() {
    let (town, a, b) = with_pair().await;
    let id = town.ask("shop/pair", json!({})).await;
    for session in [a, b, a] {
        town.serve(session).await;
    }
    let renamed = with(
        capability("second", ALL),
        json!({ "output": { "type": "object", "properties": { "key": { "type": "string" } }, "required": ["key"] } }),
    );
    let newer = town.connect_as("b", "one", &[renamed]).await.expect("accepted");
    assert_eq!(newer.contracts[0].change, "breaking");
    let lease = town.request(id).await.leases.remove(0);
    let outcome = sixpack_model::lease::LeaseOutcome::Used;
    town.engine
        .release_lease(&town.consumer(), lease.id, lease.fence, outcome, None)
        .await
        .expect("released");
    assert_eq!(town.serve(newer.id).await, ["undo b/second"]);
}
