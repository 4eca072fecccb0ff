//! Trees: written whole or not at all, guarded by their version and by what must still be true.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use sixpack_model::debt::ResolvedDebt;
use sixpack_model::extension::Extension;
use sixpack_model::find::{GivenUp, Origin, Search, WhyGivenUp};
use sixpack_model::ids::{LeaseId, TreeId};
use sixpack_model::schema::Entity;
use sixpack_model::tree::{Evidence, Operation, PartStatus, Retrying, Task, Verdict};

use super::factories::{Order, Supplier, TIMEOUT_MS, first_task, ready_task};
use super::fixture::Fixture;
use crate::datasets::DatasetFilter;
use crate::page::Page;
use crate::trees::{Guard, Lately, RequestAfter, Written};

const DONE: Written = Written::Done(RequestAfter::GoesOn);

pub async fn a_tree_reads_back_as_it_was_planned(f: &Fixture) {
    let (_, trees) = f.accept(Order::of(&["shop/customer", "shop/account"])).await;
    assert_eq!(f.load(trees[0].id).await, trees[0]);
    assert_eq!(f.store.load_tree(TreeId(f.id())).await.unwrap(), None);
    let environment = f.store.environment_of(trees[0].id).await.unwrap();
    assert_eq!(environment.as_deref(), Some("staging"));
    assert_eq!(f.store.environment_of(TreeId(f.id())).await.unwrap(), None);
}

pub async fn every_field_of_a_part_reads_back_as_it_was_written(f: &Fixture) {
    let tree = f.one("shop/customer").await;
    let mut change = f.part_change(&tree, 1, |part| {
        part.version = 2;
        part.status = PartStatus::Debt;
        // Numbers keep their digits, null is not nothing.
        part.input = Arc::new(json!({ "n": 12_345_678_901_234_567_890_u64, "x": null, "s": "é\u{1F600}" }));
        part.origin = Origin::Found;
        part.search = Some(Box::new(Search {
            asked: 2,
            refused: vec![Entity { kind: "customer".to_owned(), key: "c-1".to_owned() }],
            given_up: Some(GivenUp { why: WhyGivenUp::Refused, message: "it is taken".to_owned() }),
        }));
        part.output = Some(Arc::new(serde_json::from_str("{\"price\":1.10,\"big\":1e400}").unwrap()));
        part.facts = Some(Arc::new(serde_json::Value::Null));
        part.evidence = Some(Evidence {
            verdict: Verdict::Invalid,
            at: f.in_ms(3),
            message: Some("closed".to_owned()),
            valid_at: Some(f.in_ms(1)),
            build: Some(Arc::from("git:1a2b")),
            instance: Some(Arc::from("billing-1")),
        });
        part.state = Some(serde_json::Value::Null);
        part.task = Some(Task {
            serial: 2,
            operation: Operation::Undo,
            ready_at: f.in_ms(4),
            priority: sixpack_model::request::Priority::Pipeline,
            attempt: 3,
            spent_from: 1,
            cancelled: true,
            message: Some("it takes a moment".to_owned()),
        });
        part.serials = 2;
        part.made = Some(1);
        part.effect_possible = true;
        part.orphans = vec![json!({ "id": 1 }), json!(null)];
        part.undone = 1;
        part.settle_until = Some(f.in_ms(5));
        part.deadline_at = Some(f.in_ms(9));
        part.attempt_until = Some(f.in_ms(10));
        part.failed_attempts = 2;
        part.retrying = Some(Retrying::Pausing { until: f.in_ms(11) });
        part.failure = Some(f.failure());
        let (by, reason) = ("ada".to_owned(), "removed by hand \u{1F600}".to_owned());
        part.resolved = Some(Box::new(ResolvedDebt { by, reason, at: f.in_ms(12) }));
        part.extension = Some(Extension::Failed(Box::new(f.failure())));
        part.started_at = Some(f.in_ms(6));
        part.ready_at = Some(f.in_ms(7));
        part.ended_at = Some(f.in_ms(8));
    });
    Arc::make_mut(&mut change.tree).made = 1;
    let expected = change.tree.clone();
    assert_eq!(f.write(Guard::None, change).await, DONE);
    assert_eq!(f.load(tree.id).await, *expected);
}

pub async fn parts_and_pins_that_come_later_are_kept(f: &Fixture) {
    let tree = f.one("shop/customer").await;
    let mut change = f.change(&tree);
    let grown = Arc::make_mut(&mut change.tree);
    let mut child = grown.parts[1].clone();
    child.part = 2;
    child.parent = Some(1);
    child.attempts_before = 1;
    child.retrying = Some(Retrying::TakingDown);
    child.extension = Some(Extension::Ready);
    child.index = Some(4);
    child.task = None;
    grown.parts.push(child);
    grown.pins = Arc::new(BTreeMap::from([("shop/address".parse().unwrap(), 9)]));
    change.created.push(2);
    change.pins_changed = true;
    let expected = change.tree.clone();
    assert_eq!(f.write(Guard::None, change).await, DONE);
    assert_eq!(f.load(tree.id).await, *expected);
}

pub async fn a_decision_about_an_older_version_is_stale(f: &Fixture) {
    let tree = f.one("shop/customer").await;
    assert_eq!(f.write(Guard::None, f.made(&tree, 1)).await, DONE);
    let late = f.part_change(&tree, 1, |part| part.status = PartStatus::Failed);
    assert_eq!(f.write(Guard::None, late).await, Written::Stale);
    assert_eq!(f.load(tree.id).await.parts[1].status, PartStatus::Ready);
}

pub async fn a_stale_decision_leaves_its_claim_alone(f: &Fixture) {
    let session = f.supplier(Supplier::of(&["shop/customer"])).await;
    let tree = f.one("shop/customer").await;
    let claim = f.claim_one(session).await;
    f.write(Guard::None, f.change(&tree)).await;
    assert_eq!(f.write(Guard::Claim(claim), f.made(&tree, 1)).await, Written::Stale);
    assert_eq!(f.store.claims_of(session).await.unwrap(), [claim]);
}

pub async fn an_answer_is_recorded_once(f: &Fixture) {
    let session = f.supplier(Supplier::of(&["shop/customer"])).await;
    let tree = f.one("shop/customer").await;
    let claim = f.claim_one(session).await;
    assert_eq!(f.write(Guard::Claim(claim), f.made(&tree, 1)).await, DONE);
    let now = f.load(tree.id).await;
    assert_eq!(f.write(Guard::Claim(claim), f.made(&now, 1)).await, Written::Refused);
    assert_eq!(f.load(tree.id).await, now);
    assert_eq!(f.store.claims_of(session).await.unwrap(), []);
}

pub async fn an_answer_of_another_session_or_attempt_is_refused(f: &Fixture) {
    let session = f.supplier(Supplier::of(&["shop/customer"])).await;
    let other = f.supplier(Supplier::of(&["shop/customer"])).await;
    let tree = f.one("shop/customer").await;
    let claim = f.claim_one(session).await;
    for wrong in [
        sixpack_model::tree::Claim { session: other, ..claim },
        sixpack_model::tree::Claim { attempt: 2, ..claim },
        sixpack_model::tree::Claim { attempt: 0, ..claim },
    ] {
        assert_eq!(f.write(Guard::Claim(wrong), f.made(&tree, 1)).await, Written::Refused, "{wrong:?}");
    }
    assert_eq!(f.write(Guard::Claim(claim), f.made(&tree, 1)).await, DONE);
}

pub async fn a_refused_write_changes_nothing(f: &Fixture) {
    let tree = f.one("shop/customer").await;
    let before = f.store.last_sequence().await.unwrap();
    let mut change = f.ready(&tree);
    change.events.push(f.event("dataset.ready"));
    assert_eq!(f.write(Guard::Overdue(LeaseId(f.id())), change).await, Written::Refused);
    assert_eq!(f.load(tree.id).await, tree);
    assert_eq!(f.store.last_sequence().await.unwrap(), before);
    let request = f.store.request(tree.request).await.unwrap().unwrap();
    assert_eq!((request.revision, request.ready), (1, 0));
}

pub async fn an_abandoned_claim_is_given_up_only_when_it_is_abandoned(f: &Fixture) {
    let session = f.supplier(Supplier::of(&["shop/customer"])).await;
    let tree = f.one("shop/customer").await;
    let claim = f.claim_one(session).await;
    f.clock.advance_ms(TIMEOUT_MS as i64 - 1);
    assert_eq!(f.write(Guard::Abandoned(claim), f.change(&tree)).await, Written::Refused);
    f.clock.advance_ms(1);
    assert_eq!(f.write(Guard::Abandoned(claim), f.change(&tree)).await, DONE);
    assert_eq!(f.store.claims_of(session).await.unwrap(), []);
}

pub async fn a_withdrawn_task_is_finished_once(f: &Fixture) {
    let tree = f.one("shop/customer").await;
    let mut change = f.change(&tree);
    change.withdrawn.extend(ready_task(&tree.parts[1]));
    assert_eq!(f.write(Guard::None, change).await, DONE);
    let task = first_task(&tree, 1);
    assert_eq!(f.store.withdrawn_tasks(None, 10).await.unwrap(), [task]);
    let now = f.load(tree.id).await;
    assert_eq!(f.write(Guard::Withdrawn(task), f.change(&now)).await, DONE);
    assert_eq!(f.store.withdrawn_tasks(None, 10).await.unwrap(), []);
    let now = f.load(tree.id).await;
    assert_eq!(f.write(Guard::Withdrawn(task), f.change(&now)).await, Written::Refused);
}

pub async fn an_unclaimed_task_goes_with_its_guard(f: &Fixture) {
    let tree = f.one("shop/customer").await;
    let task = first_task(&tree, 1);
    let mut change = f.part_change(&tree, 1, |part| part.task = None);
    change.events.push(f.event("task.failed"));
    assert_eq!(f.write(Guard::Unclaimed(task), change).await, DONE);
    let session = f.supplier(Supplier::of(&["shop/customer"])).await;
    assert_eq!(f.claim(session, 10).await, []);
    let now = f.load(tree.id).await;
    assert_eq!(f.write(Guard::Unclaimed(task), f.change(&now)).await, Written::Refused);
}

pub async fn a_claimed_task_is_not_unclaimed(f: &Fixture) {
    let session = f.supplier(Supplier::of(&["shop/customer"])).await;
    let tree = f.one("shop/customer").await;
    f.claim_one(session).await;
    let task = first_task(&tree, 1);
    assert_eq!(f.write(Guard::Unclaimed(task), f.change(&tree)).await, Written::Refused);
}

pub async fn datasets_are_found_by_the_entities_they_use(f: &Fixture) {
    let (maker, user) = (f.one("shop/customer").await, f.one("shop/account").await);
    let entity = Entity { kind: "customer".to_owned(), key: "42".to_owned() };
    let mut change = f.change(&maker);
    change.entities = vec![(1, entity.clone())];
    change.uses = vec![(1, entity.clone())];
    f.write(Guard::None, change).await;
    let mut change = f.change(&user);
    change.uses = vec![(1, entity)];
    f.write(Guard::None, change).await;
    let entity = Some(("customer".to_owned(), "42".to_owned()));
    let filter = DatasetFilter { entity, ..Default::default() };
    let found = f.store.datasets(&filter, Page::first(10)).await.unwrap().rows;
    let ids: Vec<_> = found.iter().map(|row| row.id).collect();
    assert_eq!(ids, [user.id.part(1), maker.id.part(1)]);
}

pub async fn datasets_are_found_by_the_entities_they_hold(f: &Fixture) {
    let tree = f.one("shop/customer").await;
    f.one("shop/customer").await;
    let mut change = f.change(&tree);
    let entity = Entity { kind: "customer".to_owned(), key: "42".to_owned() };
    change.entities = vec![(1, entity.clone()), (1, entity)];
    assert_eq!(f.write(Guard::None, change).await, DONE);
    let find = async |kind: &str, key: &str, environment: Option<&str>| {
        let filter = DatasetFilter {
            entity: Some((kind.to_owned(), key.to_owned())),
            environment: environment.map(str::to_owned),
            ..Default::default()
        };
        let found = f.store.datasets(&filter, Page::first(10)).await.unwrap().rows;
        found.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(find("customer", "42", None).await, [tree.id.part(1)]);
    assert_eq!(find("customer", "42", Some("staging")).await, [tree.id.part(1)]);
    assert_eq!(find("customer", "42", Some("qa2")).await, []);
    assert_eq!(find("customer", "4", None).await, []);
    assert_eq!(find("order", "42", None).await, []);
}

pub async fn lately_counts_the_last_hour_of_one_contract(f: &Fixture) {
    f.one("shop/customer").await;
    f.clock.advance_ms(3_600_001);
    let mut failing = Vec::new();
    for _ in 0..3 {
        failing.push(f.one("shop/customer").await);
    }
    f.one("shop/account").await;
    f.clock.advance_ms(1_000);
    let failing_at = f.now();
    failing.push(f.one("shop/customer").await);
    f.clock.advance_ms(1_000);
    failing.push(f.one("shop/customer").await);
    for tree in &failing[3..] {
        let change = f.part_change(tree, 1, |part| {
            part.status = PartStatus::Undoing;
            part.failure = Some(f.failure());
        });
        f.write(Guard::None, change).await;
    }
    let lately = f.store.lately("staging", "shop/customer", 1).await.unwrap();
    assert_eq!(lately, Lately { failures: 2, of: 5, first_failed_at: Some(failing_at) });
    let nothing = Lately { failures: 0, of: 0, first_failed_at: None };
    assert_eq!(f.store.lately("qa2", "shop/customer", 1).await.unwrap(), nothing);
    assert_eq!(f.store.lately("staging", "shop/ready-customer", 1).await.unwrap(), nothing);
}
