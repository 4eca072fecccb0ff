//! Importing: existing data comes into stock as a whole, is checked, kept, handed out, and never undone.

use serde_json::{Value, json};
use sixpack_engine::{Import, ImportView, Refusal};
use sixpack_model::import::{ImportedRow, RowFaults};
use sixpack_model::lease::LeaseOutcome;
use sixpack_model::plan::Answer;
use sixpack_model::request::{RequestStatus, Source};
use sixpack_model::token::Role;
use sixpack_model::tree::{PartStatus, Verdict};

use crate::town::{ALL, Town, capability, wanted, with, with_pair};

fn rows(ids: &[&str]) -> Vec<ImportedRow> {
    let row = |id: &&str| ImportedRow { input: json!({}).into(), output: json!({ "id": id }).into() };
    ids.iter().map(row).collect()
}

fn import(contract: &str, rows: Vec<ImportedRow>) -> Import {
    Import { environment: "default".to_owned(), contract: contract.parse().expect("a name"), rows }
}

async fn imported(town: &Town, ids: &[&str]) -> ImportView {
    town.engine.import(&town.supplier(), import("a/first", rows(ids))).await.expect("sound rows")
}

async fn faults(town: &Town, contract: &str, rows: Vec<ImportedRow>) -> RowFaults {
    match town.engine.import(&town.supplier(), import(contract, rows)).await {
        Err(Refusal::Rows(faults)) => faults,
        other => panic!("{other:?}"),
    }
}

/// Takes a dataset from stock, or nothing.
async fn taken(town: &Town) -> Option<Value> {
    let wanted = sixpack_engine::Wanted { source: Source::StockOnly, ..wanted("a/first", json!({})) };
    let id = town.ask_for(wanted).await.ok()?;
    let view = town.request(id).await;
    assert_eq!(view.request.status, RequestStatus::Fulfilled);
    let lease = &view.leases[0];
    let output = view.trees[0].root().output.as_deref().cloned();
    town.engine
        .release_lease(&town.consumer(), lease.id, lease.fence, LeaseOutcome::Used, None)
        .await
        .expect("the lease is held");
    output
}

#[tokio::test]
async fn what_was_imported_is_checked_taken_from_stock_and_left_alone_in_the_end() {
    let town = Town::new().await;
    let a = town.connect("a", &[capability("first", ALL)]).await;
    let view = imported(&town, &["one", "two"]).await;
    assert_eq!((view.contract.to_string(), view.version, view.datasets.len()), ("a/first".into(), 1, 2));
    assert_eq!(taken(&town).await, None, "nobody has said yet that it holds");
    assert_eq!(town.serve(a).await, ["check a/first", "check a/first"]);
    assert_eq!(taken(&town).await, Some(json!({ "id": "one" })));
    assert_eq!(taken(&town).await, Some(json!({ "id": "two" })));
    assert_eq!(taken(&town).await, None);
    assert_eq!(town.serve(a).await, [""; 0], "nothing of it is undone");
    imported(&town, &["one"]).await;
}

#[tokio::test]
async fn what_nobody_checks_can_be_taken_at_once() {
    let town = Town::new().await;
    town.connect("a", &[capability("first", &["produce", "undo"])]).await;
    imported(&town, &["one"]).await;
    assert_eq!(taken(&town).await, Some(json!({ "id": "one" })));
}

#[tokio::test]
async fn one_bad_row_keeps_all_of_them_out() {
    let town = Town::new().await;
    town.connect("a", &[capability("first", ALL)]).await;
    let mut bad = rows(&["one", "two", "one"]);
    bad.push(ImportedRow { input: json!({}).into(), output: json!({ "id": 7 }).into() });
    let found = faults(&town, "a/first", bad).await;
    let told: Vec<(&str, &str)> =
        found.faults.iter().map(|fault| (fault.pointer.as_str(), fault.code)).collect();
    assert_eq!(told, [("/rows/2/output", "duplicate_entity"), ("/rows/3/output/id", "type")]);
    imported(&town, &["one"]).await;
    let again = faults(&town, "a/first", rows(&["two", "one"])).await;
    assert_eq!((again.total, again.faults[0].pointer.as_str()), (1, "/rows/1/output"));
    assert_eq!(again.faults[0].code, "entity_held");
    assert!(again.faults[0].message.contains("belongs to ds_"), "{}", again.faults[0].message);
}

#[tokio::test]
async fn what_does_not_hold_fails_alone_and_is_not_undone() {
    let town = Town::new().await;
    let a = town.connect("a", &[with(capability("first", ALL), json!({ "settle_s": 0 }))]).await;
    let view = imported(&town, &["good", "bad"]).await;
    for task in town.claim(a).await {
        let verdict = if task.output.as_deref() == Some(&json!({ "id": "bad" })) {
            Verdict::Invalid
        } else {
            Verdict::Valid
        };
        town.answer(a, &task, Answer::Checked { verdict, facts: None, message: None }).await;
    }
    assert_eq!(town.serve(a).await, [""; 0]);
    let status = async |row: usize| {
        let view = town.engine.dataset(&town.supplier(), view.datasets[row]).await.unwrap();
        view.tree.root().status
    };
    assert_eq!((status(0).await, status(1).await), (PartStatus::Ready, PartStatus::Failed));
    assert_eq!(taken(&town).await, Some(json!({ "id": "good" })));
}

#[tokio::test]
async fn it_stays_without_a_rule_and_however_often_stock_is_looked_after() {
    let town = Town::new().await;
    let a = town.connect("a", &[capability("first", ALL)]).await;
    imported(&town, &["one"]).await;
    town.sweep().await;
    town.serve(a).await;
    town.pass_s(12, &[a]).await;
    town.pass_s(12, &[a]).await;
    assert_eq!(town.serve(a).await, [""; 0]);
    assert_eq!(taken(&town).await, Some(json!({ "id": "one" })));
}

#[tokio::test]
async fn who_may_import_what() {
    let (town, _, _) = with_pair().await;
    town.connect("k", &[with(capability("keyless", ALL), json!({ "output": { "type": "object" } }))]).await;
    let refused =
        async |contract: &str| town.engine.import(&town.supplier(), import(contract, rows(&["x"]))).await;
    for contract in ["shop/pair", "k/keyless"] {
        match refused(contract).await {
            Err(Refusal::Invalid(faults)) => {
                assert_eq!((faults[0].pointer.as_str(), faults[0].code), ("/contract", "not_importable"));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(refused("a/unknown").await, Err(Refusal::Unknown { what: "contract", .. })));
    let mut other = town.supplier();
    other.domain = Some("b".to_owned());
    let foreign = town.engine.import(&other, import("a/first", rows(&["x"]))).await;
    assert!(matches!(foreign, Err(Refusal::Unknown { what: "domain", .. })), "{foreign:?}");
    other.domain = Some("a".to_owned());
    other.role = Role::Supplier;
    assert!(town.engine.import(&other, import("a/first", rows(&["x"]))).await.is_ok());
}

#[tokio::test]
async fn what_nobody_can_check_now_is_refused() {
    let town = Town::new().await;
    let a = town.connect("a", &[capability("first", ALL)]).await;
    town.engine.drain_session(&town.supplier(), a).await.unwrap();
    let refused = town.engine.import(&town.supplier(), import("a/first", rows(&["x"]))).await;
    assert!(matches!(refused, Err(Refusal::Unserved { .. })), "{refused:?}");
}
