//! Stock rules: put with the catalogue that they were checked against, edited, deleted, never lost to a race.

use std::sync::Arc;

use serde_json::json;
use sixpack_model::limits::STOCK_RULES;
use sixpack_model::stock::{RuleEdit, RuleName, RuleState, StockRule, Window};

use super::factories::ENVIRONMENT;
use super::fixture::Fixture;
use crate::contracts::{Definition, Publication, Published, StoredContract};
use crate::page::Page;
use crate::stock_rules::{Deleted, Edited, Put, PutRules, RuleWrite, StoredRule};

fn name(text: &str) -> RuleName {
    text.parse().unwrap()
}

fn rule(text: &str) -> StockRule {
    StockRule {
        name: name(text),
        contract: "shop/customer".parse().unwrap(),
        input: Arc::new(
            json!({ "country": "FR", "id": serde_json::from_str::<serde_json::Value>("12345678901234567890123").unwrap() }),
        ),
        target: 20,
        max_age_s: Some(86_400),
        check_every_s: Some(900),
        priority: 70,
        state: RuleState::Paused,
        window: Some(Window::new("0 6 * * 1-5", 43_200, "Europe/Prague")),
    }
}

fn write(f: &Fixture, rule: StockRule) -> RuleWrite {
    RuleWrite { rule, expected: None, event: f.event("stock_rule.changed") }
}

/// The revision of the catalogue; 0 when there is none.
async fn revision(f: &Fixture) -> u64 {
    f.store.catalogue(ENVIRONMENT).await.unwrap().map_or(0, |catalogue| catalogue.revision)
}

async fn publication(f: &Fixture) -> Publication {
    Publication { expected_revision: revision(f).await, ..Publication::default() }
}

async fn put(f: &Fixture, rules: Vec<StockRule>) -> Vec<Put> {
    let writes = rules.into_iter().map(|rule| write(f, rule)).collect();
    match f.store.put_rules(ENVIRONMENT, publication(f).await, writes, Vec::new()).await.unwrap() {
        PutRules::Put(put) => put,
        other => panic!("{other:?}"),
    }
}

async fn stored(f: &Fixture, text: &str) -> StoredRule {
    f.store.rule(ENVIRONMENT, &name(text)).await.unwrap().unwrap()
}

async fn told(f: &Fixture) -> Vec<String> {
    let events = f.store.events(&Default::default(), 0, 1_000).await.unwrap();
    events.into_iter().map(|event| event.kind.into_owned()).collect()
}

pub async fn every_field_of_a_rule_reads_back_as_it_was_put(f: &Fixture) {
    let plain = StockRule {
        max_age_s: None,
        check_every_s: None,
        priority: 0,
        state: RuleState::Active,
        window: None,
        ..rule("plain")
    };
    let put = put(f, vec![rule("whole"), plain.clone()]).await;
    assert_eq!(put, [Put::Created(1), Put::Created(1)]);
    let expected = StoredRule { rule: rule("whole"), revision: 1, created_at: f.now(), changed_at: f.now() };
    assert_eq!(stored(f, "whole").await, expected);
    assert_eq!(stored(f, "plain").await.rule, plain);
    assert_eq!(f.store.rule(ENVIRONMENT, &name("other")).await.unwrap(), None);
    assert_eq!(f.store.rule("qa2", &name("whole")).await.unwrap(), None);
}

pub async fn a_rule_that_is_put_again_is_the_same_or_changed(f: &Fixture) {
    put(f, vec![rule("a")]).await;
    let made_at = f.now();
    f.clock.advance_ms(5);
    assert_eq!(put(f, vec![rule("a")]).await, [Put::Same(1)]);
    assert_eq!((stored(f, "a").await.changed_at, revision(f).await), (made_at, 1));
    let changed = StockRule { target: 21, ..rule("a") };
    assert_eq!(put(f, vec![changed.clone()]).await, [Put::Changed(2)]);
    let expected = StoredRule { rule: changed, revision: 2, created_at: made_at, changed_at: f.now() };
    assert_eq!((stored(f, "a").await, revision(f).await), (expected, 2));
    let each = [
        StockRule { contract: "shop/account".parse().unwrap(), ..rule("a") },
        StockRule { input: Arc::new(json!({})), ..rule("a") },
        StockRule { max_age_s: None, ..rule("a") },
        StockRule { check_every_s: None, ..rule("a") },
        StockRule { priority: 71, ..rule("a") },
        StockRule { state: RuleState::Draining, ..rule("a") },
        StockRule { window: None, ..rule("a") },
        StockRule { window: Some(Window::new("0 6 * * 1-5", 43_200, "UTC")), ..rule("a") },
    ];
    for (revision, changed) in (3..).zip(each) {
        assert_eq!(put(f, vec![changed.clone()]).await, [Put::Changed(revision)], "{changed:?}");
        assert_eq!(stored(f, "a").await.rule, changed);
    }
}

pub async fn only_what_changes_is_told(f: &Fixture) {
    put(f, vec![rule("a"), rule("b")]).await;
    put(f, vec![rule("a"), StockRule { target: 1, ..rule("b") }]).await;
    assert_eq!(told(f).await, ["stock_rule.changed"; 3]);
}

pub async fn rules_are_put_with_their_contracts_or_not_at_all(f: &Fixture) {
    let contract = StoredContract {
        name: "shop/customer".to_owned(),
        version: 1,
        definition: Definition::Capability(json!({})),
        fingerprint: "f".to_owned(),
        change: "new".to_owned(),
        changes: json!([]),
        published_at: f.now(),
        channel: None,
    };
    let publication = |expected_revision| Publication {
        expected_revision,
        contracts: vec![contract.clone()],
        withdrawn: Vec::new(),
        ..Publication::default()
    };
    let events = || vec![f.event("contract.new")];
    let late = f.store.put_rules(ENVIRONMENT, publication(3), vec![write(f, rule("a"))], events()).await;
    assert_eq!(late.unwrap(), PutRules::Stale);
    assert_eq!(f.store.environments().await.unwrap(), [], "not even the environment came to be");
    let stale = RuleWrite { expected: Some(4), ..write(f, rule("b")) };
    let writes = vec![write(f, rule("a")), stale];
    let refused = f.store.put_rules(ENVIRONMENT, publication(0), writes, events()).await.unwrap();
    assert_eq!(refused, PutRules::RuleStale(name("b"), 0));
    assert_eq!(f.store.catalogue(ENVIRONMENT).await.unwrap(), None);
    let put = f.store.put_rules(ENVIRONMENT, publication(0), vec![write(f, rule("a"))], events()).await;
    assert_eq!(put.unwrap(), PutRules::Put(vec![Put::Created(1)]));
    let catalogue = f.store.catalogue(ENVIRONMENT).await.unwrap().unwrap();
    assert_eq!((catalogue.revision, catalogue.contracts.len()), (1, 1));
    assert_eq!(catalogue.rules, [stored(f, "a").await]);
    assert_eq!(told(f).await, ["contract.new", "stock_rule.changed"]);
}

pub async fn a_rule_is_replaced_only_over_the_revision_that_was_seen(f: &Fixture) {
    put(f, vec![rule("a")]).await;
    let changed = StockRule { target: 3, ..rule("a") };
    for (expected, outcome) in [
        (0, PutRules::RuleStale(name("a"), 1)),
        (2, PutRules::RuleStale(name("a"), 1)),
        (1, PutRules::Put(vec![Put::Changed(2)])),
    ] {
        let write = RuleWrite { expected: Some(expected), ..write(f, changed.clone()) };
        let put = f.store.put_rules(ENVIRONMENT, publication(f).await, vec![write], Vec::new()).await;
        assert_eq!(put.unwrap(), outcome, "{expected}");
    }
    let new = RuleWrite { expected: Some(0), ..write(f, rule("b")) };
    let put = f.store.put_rules(ENVIRONMENT, publication(f).await, vec![new], Vec::new()).await;
    assert_eq!(put.unwrap(), PutRules::Put(vec![Put::Created(3)]));
}

pub async fn a_change_of_a_rule_makes_what_was_decided_upon_the_catalogue_stale(f: &Fixture) {
    put(f, vec![rule("a")]).await;
    let seen = publication(f).await;
    let withdraw = Publication { withdrawn: vec!["shop/customer".to_owned()], ..seen.clone() };
    put(f, vec![rule("b")]).await;
    assert_eq!(f.store.publish(ENVIRONMENT, withdraw, Vec::new()).await.unwrap(), Published::Stale);
    let late = f.store.put_rules(ENVIRONMENT, seen, vec![write(f, rule("c"))], Vec::new()).await;
    assert_eq!(late.unwrap(), PutRules::Stale);
}

pub async fn rules_are_paged_by_name_and_kept_apart_by_environment(f: &Fixture) {
    put(f, vec![rule("c"), rule("a"), rule("b")]).await;
    let elsewhere = f.store.put_rules("qa2", Publication::default(), vec![write(f, rule("z"))], Vec::new());
    assert_eq!(elsewhere.await.unwrap(), PutRules::Put(vec![Put::Created(1)]));
    let mut page = Page::first(2);
    let mut pages = Vec::new();
    loop {
        let rules = f.store.rules(ENVIRONMENT, page.clone()).await.unwrap();
        let Some(last) = rules.last() else { break };
        page.after = Some(last.rule.name.clone());
        pages.push(rules.into_iter().map(|stored| stored.rule.name.to_string()).collect::<Vec<_>>());
    }
    assert_eq!(pages, [vec!["a", "b"], vec!["c"]]);
    assert_eq!(f.store.rules("qa2", Page::first(9)).await.unwrap().len(), 1);
    assert_eq!(f.store.rules("never", Page::first(9)).await.unwrap(), []);
}

pub async fn an_environment_has_so_many_rules_and_no_more(f: &Fixture) {
    let many: Vec<StockRule> = (0..STOCK_RULES).map(|number| rule(&format!("r{number}"))).collect();
    let one_more = many.iter().cloned().chain([rule("more")]).map(|rule| write(f, rule)).collect();
    let refused = f.store.put_rules(ENVIRONMENT, Publication::default(), one_more, Vec::new()).await;
    assert_eq!(refused.unwrap(), PutRules::TooMany);
    assert_eq!(f.store.rules(ENVIRONMENT, Page::first(1)).await.unwrap(), []);
    put(f, many).await;
    let more = vec![write(f, rule("more"))];
    let refused = f.store.put_rules(ENVIRONMENT, publication(f).await, more, Vec::new()).await;
    assert_eq!(refused.unwrap(), PutRules::TooMany);
    let again = StockRule { target: 1, ..rule("r0") };
    assert_eq!(put(f, vec![again]).await, [Put::Changed(2)], "those that are there can be changed");
    let elsewhere = f.store.put_rules("qa2", Publication::default(), vec![write(f, rule("z"))], Vec::new());
    assert_eq!(elsewhere.await.unwrap(), PutRules::Put(vec![Put::Created(1)]));
}

pub async fn an_edit_changes_target_and_state_of_the_revision_that_was_seen(f: &Fixture) {
    put(f, vec![rule("a"), rule("b")]).await;
    f.clock.advance_ms(5);
    let edit = async |expected, edit| {
        f.store
            .edit_rule(ENVIRONMENT, &name("a"), expected, edit, f.event("stock_rule.changed"))
            .await
            .unwrap()
    };
    let target = RuleEdit { target: Some(7), state: None };
    assert_eq!(edit(9, target).await, Edited::Stale(1));
    let expected = StoredRule {
        rule: StockRule { target: 7, ..rule("a") },
        revision: 2,
        changed_at: f.now(),
        ..stored(f, "a").await
    };
    assert_eq!(edit(1, target).await, Edited::Rule(Box::new(expected.clone())));
    assert_eq!((stored(f, "a").await, revision(f).await), (expected.clone(), 2));
    assert_eq!(edit(2, target).await, Edited::Rule(Box::new(expected.clone())), "nothing to change");
    assert_eq!(edit(2, RuleEdit::default()).await, Edited::Rule(Box::new(expected)));
    let drain = RuleEdit { target: None, state: Some(RuleState::Draining) };
    assert!(
        matches!(edit(2, drain).await, Edited::Rule(stored) if stored.rule.state == RuleState::Draining && stored.revision == 3)
    );
    assert_eq!(stored(f, "b").await.rule, rule("b"));
    assert_eq!(told(f).await.len(), 4, "two that were put and two edits that changed something");
    let elsewhere = f.store.edit_rule("qa2", &name("a"), 3, drain, f.event("stock_rule.changed")).await;
    assert_eq!(elsewhere.unwrap(), Edited::Unknown);
    assert_eq!(f.store.environments().await.unwrap().len(), 1, "asking makes no environment");
}

pub async fn a_deleted_rule_is_gone_and_comes_back_with_a_higher_revision(f: &Fixture) {
    put(f, vec![rule("a")]).await;
    let delete = async |text: &str, expected| {
        f.store.delete_rule(ENVIRONMENT, &name(text), expected, f.event("stock_rule.deleted")).await.unwrap()
    };
    assert_eq!(delete("a", 2).await, Deleted::Stale(1));
    assert_eq!(delete("a", 1).await, Deleted::Gone);
    assert_eq!(f.store.rule(ENVIRONMENT, &name("a")).await.unwrap(), None);
    assert_eq!(delete("a", 1).await, Deleted::Unknown);
    assert_eq!(revision(f).await, 2);
    assert_eq!(told(f).await, ["stock_rule.changed", "stock_rule.deleted"]);
    assert_eq!(put(f, vec![rule("a")]).await, [Put::Created(3)]);
}

pub async fn a_window_that_is_not_understood_any_more_reads_back_as_it_was_put(f: &Fixture) {
    let odd = StockRule { window: Some(Window::new("at noon", 60, "Mars/Olympus")), ..rule("a") };
    put(f, vec![odd.clone()]).await;
    let read = stored(f, "a").await.rule;
    assert_eq!(read, odd);
    assert_eq!(read.window.unwrap().faults().len(), 2);
}
