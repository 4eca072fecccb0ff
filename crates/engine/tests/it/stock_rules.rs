//! Stock rules: put, applied with scenarios, edited, deleted, and what becomes of them when a contract changes.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sixpack_engine::{Applying, Caller, EventFilter, Page, Put, Refusal, RuleView, ScenarioFile};
use sixpack_model::stock::{RuleDraft, RuleEdit, RuleName, RuleState};

use crate::town::{ALL, PAIR, Town, capability, with, with_pair};

const STOCK: &str = "stock:\n  pairs: { contract: shop/pair, target: 3 }\n  firsts: { contract: a/first, target: 2, priority: 70 }\n";

fn name(text: &str) -> RuleName {
    text.parse().expect("a name")
}

fn draft(text: &str, rule: Value) -> RuleDraft {
    let now = "2026-01-01T00:00:00Z".parse().expect("a time");
    RuleDraft::read(name(text), &rule, now).expect("the test's rule is whole")
}

fn file(path: &str, text: &str) -> ScenarioFile {
    ScenarioFile { path: path.to_owned(), text: text.to_owned(), named: None }
}

fn first_only(a: &Caller) -> Caller {
    Caller { domain: Some("a".to_owned()), ..a.clone() }
}

/// The first capability with a country that may be one of these.
fn choosy(countries: &[&str]) -> Value {
    let input = json!({
        "type": "object",
        "properties": { "country": { "enum": countries, "default": countries[0] } },
        "additionalProperties": false,
    });
    with(capability("first", ALL), json!({ "input": input }))
}

impl Town {
    async fn put(&self, text: &str, rule: Value) -> Result<(RuleView, Put), Refusal> {
        self.engine.put_rule(&self.supplier(), "default", &draft(text, rule), false, None).await
    }

    async fn rule(&self, text: &str) -> Result<RuleView, Refusal> {
        self.engine.stock_rule(&self.consumer(), "default", &name(text)).await
    }

    async fn rules(&self) -> Vec<String> {
        let rules = self.engine.stock_rules(&self.consumer(), "default", Page::first(100)).await;
        let rules = rules.expect("a list").into_iter();
        rules.map(|view| format!("{} {}", view.stored.rule.name, view.stored.rule.target)).collect()
    }

    async fn told(&self) -> Vec<String> {
        let filter = EventFilter::default();
        let (events, _) = self
            .engine
            .follow_events(&self.consumer(), &filter, 0, std::time::Duration::ZERO)
            .await
            .expect("events");
        let about_rules = events.into_iter().filter(|event| event.kind.starts_with("stock_rule."));
        about_rules.map(|event| format!("{} {}", event.kind, event.data["rule"])).collect()
    }
}

#[track_caller]
fn pointers<T: std::fmt::Debug>(refused: Result<T, Refusal>) -> Vec<(String, &'static str)> {
    match refused {
        Err(Refusal::Invalid(faults)) => {
            faults.into_iter().map(|fault| (fault.pointer, fault.code)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_rule_is_put_edited_and_deleted_and_each_change_is_told() {
    let (town, ..) = with_pair().await;
    let (view, put) = town.put("pairs", json!({"contract": "shop/pair", "target": 3})).await.expect("put");
    assert!(matches!(put, Put::Created(revision) if revision == view.stored.revision), "{put:?}");
    assert_eq!((view.stored.rule.target, view.stored.rule.state), (3, RuleState::Active));
    assert_eq!((view.faults.len(), view.window), (0, None));
    let (again, put) = town.put("pairs", json!({"contract": "shop/pair", "target": 3})).await.expect("put");
    assert_eq!((put, &again.stored), (Put::Same(view.stored.revision), &view.stored));
    let edit = RuleEdit { target: Some(5), state: Some(RuleState::Paused) };
    let edited = town.engine.edit_rule(&town.supplier(), "default", &name("pairs"), edit, None).await;
    let edited = edited.expect("edited");
    assert_eq!((edited.stored.rule.target, edited.stored.rule.state), (5, RuleState::Paused));
    assert!(edited.stored.revision > view.stored.revision);
    let same = town.engine.edit_rule(&town.supplier(), "default", &name("pairs"), edit, None).await;
    assert_eq!(same.expect("nothing to change").stored, edited.stored);
    let (back, _) = town.put("pairs", json!({"contract": "shop/pair", "target": 3})).await.expect("put");
    assert_eq!(back.stored.rule.state, RuleState::Paused, "its definition says nothing about that");
    town.engine.delete_rule(&town.supplier(), "default", &name("pairs"), None).await.expect("deleted");
    assert!(matches!(town.rule("pairs").await, Err(Refusal::Unknown { what: "stock rule", .. })));
    let expected =
        ["new", "changed", "changed", "deleted"].map(|kind| format!("stock_rule.{kind} \"pairs\""));
    assert_eq!(town.told().await, expected);
}

#[tokio::test]
async fn a_rule_that_nothing_could_fill_is_refused() {
    let (town, ..) = with_pair().await;
    town.connect_as("a", "one", &[choosy(&["FR", "CZ"])]).await.expect("accepted");
    for (rule, expected) in [
        (json!({"contract": "shop/pears", "target": 1}), vec![("/contract", "unknown_contract")]),
        (
            json!({"contract": "a/first", "target": 1, "input": {"country": "DE"}}),
            vec![("/input/country", "enum")],
        ),
        (
            json!({"contract": "a/first", "target": 1, "input": {"colour": 1}}),
            vec![("/input/colour", "unknown_field")],
        ),
    ] {
        let found = pointers(town.put("x", rule.clone()).await);
        let found: Vec<(&str, &str)> =
            found.iter().map(|(pointer, code)| (pointer.as_str(), *code)).collect();
        assert_eq!(found, expected, "{rule}");
    }
    assert!(town.rules().await.is_empty() && town.told().await.is_empty());
    let elsewhere = draft("x", json!({"contract": "a/first", "target": 1}));
    let put = town.engine.put_rule(&town.supplier(), "qa2", &elsewhere, false, None).await;
    assert!(matches!(put, Err(Refusal::Unknown { what: "environment", .. })), "{put:?}");
}

#[tokio::test]
async fn files_of_both_kinds_are_applied_together_in_any_order() {
    let town = Town::new().await;
    town.connect("a", &[capability("first", ALL)]).await;
    town.connect("b", &[capability("second", ALL)]).await;
    let files = [file("stock.yaml", STOCK), file("pair.yaml", PAIR)];
    let would = town
        .engine
        .apply(&town.consumer(), "default", &files, Applying { dry_run: true, ..Applying::default() })
        .await
        .expect("whole");
    assert_eq!((would.scenarios.len(), would.rules.len()), (1, 2));
    assert!(town.rules().await.is_empty(), "a dry run changes nothing");
    let applied =
        town.engine.apply(&town.supplier(), "default", &files, Applying::default()).await.expect("applied");
    assert_eq!(applied, would, "and says what would be");
    let rules: Vec<String> =
        applied.rules.iter().map(|rule| format!("{} {}", rule.path, rule.name)).collect();
    assert_eq!(rules, ["stock.yaml firsts", "stock.yaml pairs"]);
    assert_eq!(town.rules().await, ["firsts 2", "pairs 3"]);
    let before = town.engine.last_event().await.expect("a number");
    let again =
        town.engine.apply(&town.supplier(), "default", &files, Applying::default()).await.expect("applied");
    assert!(again.rules.iter().all(|rule| matches!(rule.put, Put::Same(_))), "{again:?}");
    assert_eq!(town.engine.last_event().await.expect("a number"), before);
    let fewer = [file("stock.yaml", "stock: { pairs: { contract: shop/pair, target: 4 } }\n")];
    town.engine.apply(&town.supplier(), "default", &fewer, Applying::default()).await.expect("applied");
    assert_eq!(town.rules().await, ["firsts 2", "pairs 4"], "what a file no longer names stays");
}

#[tokio::test]
async fn one_faulty_file_of_either_kind_keeps_all_from_being_applied() {
    let town = Town::new().await;
    town.connect("a", &[capability("first", ALL)]).await;
    town.connect("b", &[capability("second", ALL)]).await;
    let bad_rule = "stock: { x: { contract: shop/pears, target: 1 }, y: { contract: a/first, target: 1 } }\n";
    let bad_pair = PAIR.replace("steps.first.id", "steps.frist.id");
    let no_form = "stock: { x: { contract: a/first, target: 0 } }\n";
    // What comes first, and which files have faults.
    for (files, first, faulty) in [
        (
            vec![file("s.yaml", bad_rule), file("pair.yaml", PAIR)],
            "s.yaml:1 unknown_contract",
            vec!["s.yaml"],
        ),
        (
            vec![file("s.yaml", STOCK), file("pair.yaml", &bad_pair)],
            "pair.yaml:6 unknown_step",
            vec!["pair.yaml"],
        ),
        (
            vec![file("s.yaml", no_form), file("t.yaml", "steps: {}\n"), file("u.yaml", STOCK)],
            "s.yaml:1 range",
            vec!["s.yaml", "t.yaml", "u.yaml"],
        ),
        (
            vec![file("pair.yaml", PAIR), file("s.yaml", STOCK), file("t.yaml", STOCK)],
            "t.yaml:3 duplicate_rule",
            vec!["t.yaml"],
        ),
        (vec![file("s.yaml", &format!("{STOCK}scenario: a/b\n"))], "s.yaml:4 two_kinds", vec!["s.yaml"]),
    ] {
        let applied = town.engine.apply(&town.supplier(), "default", &files, Applying::default()).await;
        let Err(Refusal::ScenarioFaults(faults)) = applied else { panic!("{applied:?}") };
        let told = format!("{}:{} {}", faults[0].file, faults[0].line, faults[0].code);
        let in_files: BTreeSet<&str> = faults.iter().map(|fault| fault.file.as_str()).collect();
        assert_eq!((told.as_str(), Vec::from_iter(in_files)), (first, faulty), "{faults:?}");
    }
    assert!(town.rules().await.is_empty());
}

#[tokio::test]
async fn a_change_that_breaks_a_rule_names_it_and_the_rule_says_why() {
    let (town, ..) = with_pair().await;
    town.connect_as("a", "one", &[choosy(&["FR", "CZ"])]).await.expect("accepted");
    let czech = json!({"contract": "a/first", "target": 1, "input": {"country": "CZ"}});
    town.put("czech", czech.clone()).await.expect("put");
    town.put("any", json!({"contract": "a/first", "target": 1})).await.expect("put");
    let changed = town.connect_as("a", "one", &[choosy(&["FR", "DE"])]).await.expect("accepted");
    let breaks: Vec<String> = changed.contracts[0]
        .breaks
        .iter()
        .map(|breaks| format!("{} {:?}", breaks.contract, breaks.rule.as_ref().map(ToString::to_string)))
        .collect();
    assert_eq!(breaks, ["a/first Some(\"czech\")"]);
    let view = town.rule("czech").await.expect("it is still there");
    assert_eq!((view.faults[0].pointer.as_str(), view.faults[0].code), ("/input/country", "enum"));
    assert!(town.rule("any").await.expect("there").faults.is_empty());
    // It can be paused all the same, and it is mended by whoever mends the contract.
    let pause = RuleEdit { target: None, state: Some(RuleState::Paused) };
    town.engine.edit_rule(&town.supplier(), "default", &name("czech"), pause, None).await.expect("paused");
    assert_eq!(
        pointers(
            town.put("czech", json!({"contract": "a/first", "target": 2, "input": {"country": "CZ"}})).await
        )[0]
        .1,
        "enum"
    );
    town.connect_as("a", "one", &[choosy(&["CZ", "DE"])]).await.expect("accepted");
    assert!(town.rule("czech").await.expect("there").faults.is_empty());
}

#[tokio::test]
async fn a_rule_for_a_scenario_breaks_with_it() {
    let (town, ..) = with_pair().await;
    town.put("pairs", json!({"contract": "shop/pair", "target": 1})).await.expect("put");
    let renamed = with(
        capability("first", ALL),
        json!({ "output": { "type": "object", "properties": { "key": { "type": "string" } }, "required": ["key"] } }),
    );
    let changed = town.connect_as("a", "one", &[renamed]).await.expect("accepted");
    let breaks: Vec<Option<String>> = changed.contracts[0]
        .breaks
        .iter()
        .map(|breaks| breaks.rule.as_ref().map(ToString::to_string))
        .collect();
    assert_eq!(breaks, [None, Some("pairs".to_owned())], "the scenario, and the rule for it");
    assert_eq!(town.rule("pairs").await.expect("there").faults[0].code, "contract_broken");
}

#[tokio::test]
async fn a_scenario_that_a_rule_names_is_not_deleted() {
    let (town, ..) = with_pair().await;
    town.put("pairs", json!({"contract": "shop/pair", "target": 1})).await.expect("put");
    let pair = "shop/pair".parse().expect("a name");
    match town.engine.delete_scenario(&town.supplier(), "default", &pair).await {
        Err(Refusal::ContractInUse { by, .. }) => assert_eq!(by, ["the stock rule pairs"]),
        other => panic!("{other:?}"),
    }
    town.engine.delete_rule(&town.supplier(), "default", &name("pairs"), None).await.expect("deleted");
    town.engine.delete_scenario(&town.supplier(), "default", &pair).await.expect("free now");
    assert_eq!(
        pointers(town.put("pairs", json!({"contract": "shop/pair", "target": 1})).await)[0].1,
        "unknown_contract"
    );
}

#[tokio::test]
async fn a_rule_belongs_to_the_domain_of_its_contract() {
    let (town, ..) = with_pair().await;
    let bound = first_only(&town.supplier());
    let put = |text: &'static str, contract: &'static str| {
        let (engine, bound) = (town.engine.clone(), bound.clone());
        async move {
            let rule = draft(text, json!({"contract": contract, "target": 1}));
            engine.put_rule(&bound, "default", &rule, false, None).await.map(|(_, put)| put)
        }
    };
    assert!(matches!(put("mine", "a/first").await, Ok(Put::Created(_))));
    assert!(matches!(put("theirs", "b/second").await, Err(Refusal::Unknown { what: "domain", .. })));
    town.put("theirs", json!({"contract": "b/second", "target": 1})).await.expect("put");
    assert!(
        matches!(put("theirs", "a/first").await, Err(Refusal::Unknown { what: "domain", .. })),
        "it must not be taken over"
    );
    let files = [file("s.yaml", "stock: { theirs: { contract: b/second, target: 2 } }\n")];
    let applied = town.engine.apply(&bound, "default", &files, Applying::default()).await;
    assert!(matches!(applied, Err(Refusal::Unknown { what: "domain", .. })), "{applied:?}");
    let edit = RuleEdit { target: Some(9), state: None };
    let edited = town.engine.edit_rule(&bound, "default", &name("theirs"), edit, None).await;
    assert!(matches!(edited, Err(Refusal::Unknown { what: "stock rule", .. })), "{edited:?}");
    let deleted = town.engine.delete_rule(&bound, "default", &name("theirs"), None).await;
    assert!(matches!(deleted, Err(Refusal::Unknown { what: "stock rule", .. })), "{deleted:?}");
    assert_eq!(town.rules().await, ["mine 1", "theirs 1"]);
}

#[tokio::test]
async fn a_change_over_a_revision_that_is_not_the_current_one_is_refused() {
    let (town, ..) = with_pair().await;
    let rule = draft("pairs", json!({"contract": "shop/pair", "target": 1}));
    let put = async |over| town.engine.put_rule(&town.supplier(), "default", &rule, false, over).await;
    let none = put(Some(7)).await.expect_err("there is none");
    assert!(matches!(none, Refusal::VersionMismatch { expected: 7, current: 0 }), "{none:?}");
    let (view, _) = put(Some(0)).await.expect("there is none yet");
    let current = view.stored.revision;
    let edit = RuleEdit { target: Some(2), state: None };
    for over in [0, current + 1] {
        let refused =
            town.engine.edit_rule(&town.supplier(), "default", &name("pairs"), edit, Some(over)).await;
        assert!(matches!(refused, Err(Refusal::VersionMismatch { .. })), "{refused:?}");
        let refused = town.engine.delete_rule(&town.supplier(), "default", &name("pairs"), Some(over)).await;
        assert!(matches!(refused, Err(Refusal::VersionMismatch { .. })), "{refused:?}");
    }
    let edited =
        town.engine.edit_rule(&town.supplier(), "default", &name("pairs"), edit, Some(current)).await;
    let now = edited.expect("edited").stored.revision;
    town.engine.delete_rule(&town.supplier(), "default", &name("pairs"), Some(now)).await.expect("deleted");
}

#[tokio::test]
async fn rules_that_are_put_at_the_same_time_are_all_there() {
    let (town, ..) = with_pair().await;
    let names: Vec<String> = (0..8).map(|number| format!("r{number}")).collect();
    let puts = names.iter().map(|text| town.put(text, json!({"contract": "shop/pair", "target": 1})));
    for put in futures::future::join_all(puts).await {
        assert!(matches!(put, Ok((_, Put::Created(_)))), "{put:?}");
    }
    assert_eq!(town.rules().await.len(), 8);
}

#[tokio::test]
async fn rules_survive_a_restart_and_are_known_to_whoever_changes_a_contract() {
    let (town, ..) = with_pair().await;
    let window = json!({"opens": "0 6 * * *", "for_s": 3600, "time_zone": "Europe/Prague"});
    town.put("pairs", json!({"contract": "shop/pair", "target": 1, "window": window})).await.expect("put");
    let before = town.rule("pairs").await.expect("there");
    assert_eq!(
        before.window.map(|(open, next)| (open, next.map(|next| next.to_string()))),
        Some((false, Some("2026-01-01T05:00:00Z".to_owned()))),
        "the clock of the town stands at midnight"
    );
    let town = town.restarted().await;
    assert_eq!(town.rule("pairs").await.expect("there").stored, before.stored);
    let pair = "shop/pair".parse().expect("a name");
    let deleted = town.engine.delete_scenario(&town.supplier(), "default", &pair).await;
    assert!(matches!(deleted, Err(Refusal::ContractInUse { .. })), "{deleted:?}");
}

#[tokio::test]
async fn a_target_that_no_quota_can_hold_is_warned_of_and_kept_all_the_same() {
    let (town, _, _) = with_pair().await;
    for (target, warned) in [(10_000, 0), (10_001, 1)] {
        town.keep("pairs", json!({ "contract": "shop/pair", "target": target, "paused": true })).await;
        let name = "pairs".parse().expect("a name");
        let view = town.engine.stock_rule(&town.consumer(), "default", &name).await.expect("there");
        assert_eq!((view.stored.rule.target, view.warnings.len()), (target, warned));
        let told = view.warnings.first().map(|warning| (warning.pointer.as_str(), warning.code));
        assert_eq!(told, (warned == 1).then_some(("/target", "beyond_quota")));
    }
    let text = "stock: { pairs: { contract: shop/pair, target: 20000 } }".to_owned();
    let files = [ScenarioFile { path: "stock.yaml".to_owned(), text, named: None }];
    let applying = Applying { dry_run: true, ..Applying::default() };
    let applied = town.engine.apply(&town.supplier(), "default", &files, applying).await.expect("it fits");
    assert_eq!(applied.rules[0].warnings[0].code, "beyond_quota");
}
