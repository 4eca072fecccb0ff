//! Applying: every fault that can be known is told at once, and what is written differently is kept.

use serde_json::json;
use sixpack_engine::{Applied, AppliedFiles, Applying, Over, Refusal, ScenarioFile};
use sixpack_model::diagnostic::Diagnostic;
use sixpack_model::scenario::mark;

use crate::town::{ALL, PAIR, Town, capability, wanted, with, with_pair};

fn file(path: &str, text: &str) -> ScenarioFile {
    ScenarioFile { path: path.to_owned(), text: text.to_owned(), named: None }
}

async fn apply(town: &Town, files: &[ScenarioFile]) -> Result<AppliedFiles, Refusal> {
    town.engine.apply(&town.supplier(), "default", files, Applying::default()).await
}

/// Path and code of each fault.
async fn faults(town: &Town, files: &[ScenarioFile]) -> Vec<String> {
    match apply(town, files).await {
        Err(Refusal::ScenarioFaults(faults)) => faults.iter().map(shown).collect(),
        other => panic!("{other:?}"),
    }
}

fn shown(found: &Diagnostic) -> String {
    format!("{} {}", found.file, found.code)
}

/// A town with a capability whose input says what it takes.
async fn strict() -> Town {
    let (town, ..) = with_pair().await;
    let input = json!({
        "type": "object",
        "properties": { "country": { "type": "string" }, "lines": { "type": "integer" } },
        "required": ["lines"],
        "additionalProperties": false,
    });
    town.connect("c", &[with(capability("strict", ALL), json!({ "input": input }))]).await;
    let open = json!({ "type": "object", "properties": { "country": { "type": "string" } } });
    town.connect("d", &[with(capability("open", ALL), json!({ "input": open }))]).await;
    town
}

fn scenario(name: &str, steps: &str) -> String {
    format!("scenario: {name}\nowner: {{ team: Shop }}\nsteps:\n{steps}\noutput: {{}}\n")
}

#[tokio::test]
async fn faults_of_form_and_of_type_of_one_file_are_told_together() {
    let town = strict().await;
    let text = scenario(
        "shop/faulty",
        "  a: { uses: c/strict, with: { lines: many } }\n  b: { uses: c/strict, with: { lines: \"${{ nope('x') }}\" } }\n  c: { uses: gone/away }",
    );
    let found = faults(&town, &[file("faulty.yaml", &text)]).await;
    let expected =
        ["faulty.yaml unknown_function", "faulty.yaml binding_type", "faulty.yaml unknown_contract"];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_fault_of_form_in_one_file_hides_none_in_another() {
    let town = strict().await;
    let form = scenario("shop/form", "  a: { uses: c/strict, with: { lines: 1 }, colour: red }");
    let typed =
        scenario("shop/typed", "  a: { uses: c/strict, with: { lines: many } }\n  b: { uses: shop/form }");
    let rules = "stock: { some: { contract: c/strict, input: { lines: 1, x: 1 }, target: 1 }, more: { contract: shop/form, target: 1 } }\n";
    let files = [file("form.yaml", &form), file("typed.yaml", &typed), file("stock.yaml", rules)];
    let expected = ["form.yaml unknown_field", "typed.yaml binding_type", "stock.yaml unknown_field"];
    assert_eq!(faults(&town, &files).await, expected, "and nobody is told that shop/form does not exist");
}

#[tokio::test]
async fn a_file_that_cannot_be_understood_says_that_its_types_were_not_looked_at() {
    let town = strict().await;
    let user =
        scenario("shop/user", "  a: { uses: shop/torn }\n  b: { uses: c/strict, with: { lines: many } }");
    let rule =
        "stock: { torn: { contract: shop/torn, target: 1 }, gone: { contract: shop/gone, target: 1 } }\n";
    let torn = "scenario: shop/torn\nsteps: [\n";
    let files = [file("torn.yaml", torn), file("user.yaml", &user), file("stock.yaml", rule)];
    let found = faults(&town, &files).await;
    let expected = [
        "torn.yaml yaml_syntax",
        "torn.yaml types_not_checked",
        "user.yaml binding_type",
        "stock.yaml unknown_contract",
    ];
    assert_eq!(found, expected, "only shop/gone is unknown for certain");
}

#[tokio::test]
async fn types_of_a_file_that_is_too_large_are_not_looked_at() {
    let town = strict().await;
    let steps: Vec<String> =
        (0..=200).map(|step| format!("  s{step}: {{ uses: c/strict, with: {{ lines: many }} }}")).collect();
    let found = faults(&town, &[file("large.yaml", &scenario("shop/large", &steps.join("\n")))]).await;
    assert_eq!(found, ["large.yaml limit", "large.yaml types_not_checked"]);
}

#[tokio::test]
async fn a_scenario_without_a_name_is_type_checked_all_the_same() {
    let town = strict().await;
    let text = scenario("shop", "  a: { uses: c/strict, with: { lines: many } }");
    let found = faults(&town, &[file("a.yaml", &text), file("b.yaml", &text)]).await;
    assert_eq!(found, ["a.yaml bad_name", "b.yaml bad_name", "a.yaml binding_type", "b.yaml binding_type"]);
}

#[tokio::test]
async fn every_fault_of_stock_rules_is_told_at_once() {
    let town = strict().await;
    let text = r#"stock:
  unknown: { contract: c/stricter, target: 0 }
  bad-input: { contract: c/strict, input: { lines: many }, target: 1 }
  both: { contract: c/strict, input: { lines: many }, target: 0 }
  window: { contract: c/strict, input: { lines: 1 }, target: 1, window: { opens: "0 0 30 2 *", for_s: 60, time_zone: Mars/X } }
  unread: { contract: gone/away, input: [1], target: 1 }
"#;
    let found = faults(&town, &[file("stock.yaml", text)]).await;
    let mut found: Vec<_> = found.iter().map(|found| found.trim_start_matches("stock.yaml ")).collect();
    found.sort_unstable();
    let expected = [
        "cron_never",
        "range",
        "range",
        "time_zone",
        "type",
        "type",
        "type",
        "unknown_contract",
        "unknown_contract",
    ];
    assert_eq!(found, expected);
}

async fn change(town: &Town, text: &str) -> Applied {
    let mut applied = apply(town, &[file("pair.yaml", text)]).await.expect("applied");
    applied.scenarios.remove(0).applied
}

#[tokio::test]
async fn another_text_of_the_same_version_is_an_update() {
    let (town, ..) = with_pair().await;
    let described = PAIR.replace("steps:", "description: Two of a kind.\nsteps:");
    let name = "shop/pair".parse().expect("a name");
    for (text, expected) in [(PAIR, "same"), (&described, "updated"), (&described, "same"), (PAIR, "updated")]
    {
        let applied = change(&town, text).await;
        assert_eq!((applied.version, applied.change), (1, expected));
        let (source, version) =
            town.engine.scenario_source(&town.consumer(), "default", &name).await.expect("there");
        assert_eq!((source.as_str(), version), (text, 1));
    }
}

#[tokio::test]
async fn a_text_that_was_replaced_meanwhile_is_not_replaced_again() {
    let (town, ..) = with_pair().await;
    let described = PAIR.replace("steps:", "description: Two of a kind.\nsteps:");
    let over = |text: Option<&str>| Applying {
        over: Some(Over { version: 1, mark: text.map(mark) }),
        ..Applying::default()
    };
    let apply = async |text: &str, applying: Applying| {
        town.engine.apply(&town.supplier(), "default", &[file("pair.yaml", text)], applying).await
    };
    apply(&described, over(Some(PAIR))).await.expect("nobody was quicker");
    let late = apply(
        "scenario: shop/pair\nowner: { team: Late }\nsteps: { a: { uses: a/first } }\noutput: {}\n",
        over(Some(PAIR)),
    )
    .await;
    assert!(matches!(late, Err(Refusal::TextMismatch { version: 1 })), "{late:?}");
    apply(PAIR, over(None)).await.expect("any text of the version");
}

#[tokio::test]
async fn an_input_that_nothing_reads_is_warned_of_with_its_place() {
    let town = strict().await;
    let text = scenario("shop/misspelt", "  a: { uses: d/open, with: { contry: DE } }");
    let applied = apply(&town, &[file("misspelt.yaml", &text)]).await.expect("it is applied all the same");
    let warning = &applied.scenarios[0].warnings[0];
    assert_eq!((warning.file.as_str(), warning.line, warning.column), ("misspelt.yaml", 4, 30));
    assert_eq!(
        (warning.code, warning.hint.as_deref()),
        ("undeclared_input", Some("did you mean `country`?"))
    );
}

#[tokio::test]
async fn a_domain_that_another_team_publishes_is_warned_of() {
    let town = Town::new().await;
    town.connect("a", &[capability("first", ALL)]).await;
    let same = town.connect_as("a", "two", &[capability("first", ALL)]).await.expect("accepted");
    assert!(same.warnings.iter().all(|warning| warning.code != "other_owner"), "{:?}", same.warnings);
    let other = town.connect_of("a", "Foreign", &[capability("second", ALL)]).await.expect("accepted");
    let warning = other.warnings.iter().find(|warning| warning.code == "other_owner").expect("a warning");
    assert_eq!(warning.pointer, "/owner/team");
    assert!(warning.message.contains("a/first was published by \"a\""), "{}", warning.message);
}

#[tokio::test]
async fn a_capability_is_removed_when_nothing_is_left_of_it() {
    let (town, a, b) = with_pair().await;
    let remove = async |name: &str| {
        let name = name.parse().expect("a name");
        town.engine.remove_contract(&town.supplier(), "default", &name).await
    };
    let refused = async |name: &str| match remove(name).await {
        Err(Refusal::ContractInUse { by, .. }) => by.join(", "),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused("a/first").await, "shop/pair, 1 connected supplier");
    remove("shop/pair").await.expect("nobody uses the scenario");
    let id = town.ask("a/first", json!({})).await;
    town.serve(a).await;
    let lease = town.request(id).await.leases.remove(0);
    town.engine.drain_session(&town.supplier(), a).await.expect("drained");
    assert_eq!(refused("a/first").await, "1 dataset that is not over");
    town.connect("a", &[capability("first", ALL)]).await;
    let outcome = sixpack_model::lease::LeaseOutcome::Used;
    town.engine
        .release_lease(&town.consumer(), lease.id, lease.fence, outcome, None)
        .await
        .expect("released");
    let again = town.connect("a", &[capability("first", ALL)]).await;
    town.serve(again).await;
    town.engine.drain_session(&town.supplier(), again).await.expect("drained");
    remove("a/first").await.expect("nothing is left of it");
    remove("a/first").await.expect("removing it twice changes nothing");
    assert!(matches!(town.ask_for(wanted("a/first", json!({}))).await, Err(Refusal::Unknown { .. })));
    assert!(matches!(remove("a/never").await, Err(Refusal::Unknown { .. })));
    let back = town.connect_as("a", "two", &[capability("first", ALL)]).await.expect("accepted");
    assert_eq!((back.contracts[0].version, back.contracts[0].change), (2, "new"));
    town.serve(b).await;
}
