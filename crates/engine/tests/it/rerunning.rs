//! Reruns: a dataset made again as it was, for as long as what it was made on is on offer.

use serde_json::{Value, json};
use sixpack_engine::{Caller, Extending, GoneVersion, Refusal, Rerun};
use sixpack_model::ids::{DatasetId, RequestId, SessionId, TokenId};
use sixpack_model::lease::LeaseOutcome;
use sixpack_model::plan::Answer;
use sixpack_model::request::{Priority, RequestStatus, Source};
use sixpack_model::rerun::Comparison;
use sixpack_model::tree::{PartStatus, Verdict};
use uuid::Uuid;

use crate::town::{ALL, PAIR, Town, capability, made, refused, wanted, with, with_pair, within};

fn of(dataset: DatasetId) -> Rerun {
    Rerun {
        of: dataset,
        environment: None,
        channel: None,
        ttl_ms: 60_000,
        holder: String::new(),
        timeout_ms: 300_000,
        priority: Priority::Pipeline,
        idempotency: None,
    }
}

async fn ask_again(town: &Town, dataset: DatasetId) -> Result<RequestId, Refusal> {
    town.engine.rerun_dataset(&town.consumer(), of(dataset)).await.map(|made| made.id)
}

/// Serves a pair, one supplier after the other, until its request is fulfilled.
async fn serve_pair(town: &Town, [a, b]: [SessionId; 2], id: RequestId) {
    for session in [a, b, a] {
        town.serve(session).await;
    }
    assert_eq!(town.request(id).await.request.status, RequestStatus::Fulfilled);
}

/// A pair that was leased, given back, and is gone.
async fn gone_pair(town: &Town, [a, b]: [SessionId; 2]) -> DatasetId {
    let id = town.ask("shop/pair", json!({})).await;
    serve_pair(town, [a, b], id).await;
    let lease = town.request(id).await.leases.remove(0);
    let (consumer, used) = (town.consumer(), LeaseOutcome::Used);
    town.engine.release_lease(&consumer, lease.id, lease.fence, used, None).await.expect("released");
    for session in [b, a] {
        town.serve(session).await;
    }
    let tree = town.request(id).await.trees.remove(0);
    assert_eq!(tree.root().status, PartStatus::Gone);
    tree.id.root()
}

async fn facts(town: &Town, id: RequestId) -> Option<Comparison> {
    town.request(id).await.rerun.expect("it is a rerun").facts
}

#[tokio::test]
async fn a_dataset_that_is_long_gone_is_made_again_as_it_was() {
    let (town, a, b) = with_pair().await;
    let first = gone_pair(&town, [a, b]).await;
    let town = town.restarted().await;
    let id = ask_again(&town, first).await.expect("accepted");
    assert_eq!(facts(&town, id).await, None, "nothing is made yet");
    serve_pair(&town, [a, b], id).await;
    let original = town.engine.dataset(&town.consumer(), first).await.expect("it is known").tree;
    let view = town.request(id).await;
    let (request, tree) = (&view.request, &view.trees[0]);
    assert_eq!((request.rerun_of, request.source), (Some(first.tree), Source::Fresh));
    assert_eq!(
        (tree.seed, &tree.root().input, &tree.pins),
        (original.seed, &original.root().input, &original.pins)
    );
    assert_ne!(tree.unique, original.unique);
    let rerun = view.rerun.as_ref().expect("it is a rerun");
    assert_eq!((rerun.of, rerun.facts.as_ref()), (first.tree, Some(&Comparison::Equal)));
    let of_rerun = ask_again(&town, tree.id.root()).await.expect("a rerun is a dataset as any other");
    serve_pair(&town, [a, b], of_rerun).await;
    assert_eq!(town.request(of_rerun).await.trees[0].seed, original.seed);
}

#[tokio::test]
async fn what_the_services_read_back_is_compared_but_for_what_is_volatile() {
    let town = Town::new().await;
    let facts_schema = json!({ "properties": { "at": { "x-volatile": true } } });
    let a = town.connect("a", &[with(capability("first", ALL), json!({ "facts": facts_schema }))]).await;
    let make = async |id: RequestId, facts: Value| {
        let task = town.claim_one(a).await;
        town.answer(a, &task, made(&task.unique)).await;
        let task = town.claim_one(a).await;
        let checked = Answer::Checked { verdict: Verdict::Valid, facts: Some(facts), message: None };
        town.answer(a, &task, checked).await;
        town.request(id).await.trees[0].id.root()
    };
    let id = town.ask("a/first", json!({})).await;
    let first = make(id, json!({ "at": 1, "status": "OPEN" })).await;
    let same = ask_again(&town, first).await.expect("accepted");
    make(same, json!({ "at": 2, "status": "OPEN" })).await;
    assert_eq!(facts(&town, same).await, Some(Comparison::Equal));
    let other = ask_again(&town, first).await.expect("accepted");
    make(other, json!({ "at": 3, "status": "SHUT" })).await;
    match facts(&town, other).await {
        Some(Comparison::Different { differences, more: 0 }) => {
            let places: Vec<_> = differences.iter().map(|difference| difference.pointer.as_str()).collect();
            assert_eq!(places, ["/status"]);
        }
        found => panic!("{found:?}"),
    }
}

#[tokio::test]
async fn a_rerun_that_fails_says_nothing_about_facts() {
    let (town, a, b) = with_pair().await;
    let first = gone_pair(&town, [a, b]).await;
    let id = ask_again(&town, first).await.expect("accepted");
    let task = town.claim_one(a).await;
    town.answer(a, &task, refused(false)).await;
    assert_eq!(town.request(id).await.request.status, RequestStatus::Failed);
    assert_eq!(facts(&town, id).await, Some(Comparison::Unknown));
    let again = town.request(id).await.trees[0].id.root();
    match ask_again(&town, again).await {
        Err(Refusal::NeverMade { dataset, .. }) => assert_eq!(dataset, again),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_version_that_compatible_changes_lead_on_from_is_made_again_as_it_was() {
    let (town, a, b) = with_pair().await;
    let first = gone_pair(&town, [a, b]).await;
    let mut wider = capability("second", ALL);
    wider["output"]["properties"]["more"] = json!({ "type": "string" });
    let newer = town.connect_as("b", "one", &[wider]).await.expect("accepted");
    assert_eq!((newer.contracts[0].version, newer.contracts[0].change), (2, "compatible"));
    let (description, step) =
        ("owner: { team: Shop, contact: shop@shop.test }", "  third: { uses: a/first }\noutput:");
    town.apply(&PAIR.replace("output:", step).replace(description, "owner: { team: Others }")).await;
    let id = ask_again(&town, first).await.expect("accepted");
    serve_pair(&town, [a, newer.id], id).await;
    let tree = town.request(id).await.trees.remove(0);
    let versions: Vec<_> =
        tree.parts.iter().map(|part| format!("{}@{}", part.contract, part.version)).collect();
    assert_eq!(versions, ["shop/pair@1", "a/first@1", "b/second@1"]);
    assert_eq!(facts(&town, id).await, Some(Comparison::Equal));
}

#[tokio::test]
async fn versions_that_are_not_on_offer_any_more_are_named_all_at_once() {
    let (town, a, b) = with_pair().await;
    let first = gone_pair(&town, [a, b]).await;
    let renamed = json!({
        "output": { "type": "object", "properties": { "key": { "type": "string" } }, "required": ["key"] }
    });
    // The older build goes on beside the newer one: what is on offer does not depend on who is connected.
    town.connect_as("a", "two", &[with(capability("first", ALL), renamed)]).await.expect("accepted");
    let scenario: &str = "
scenario: shop/pair
owner: { team: Shop, contact: shop@shop.test }
steps: { second: { uses: b/second } }
output: { number: 1 }
";
    town.apply(scenario).await;
    match ask_again(&town, first).await {
        Err(Refusal::VersionGone { dataset, gone }) => {
            let gone_version = |contract: &str| GoneVersion {
                contract: contract.parse().expect("a name"),
                wanted: 1,
                offered: Some(2),
            };
            assert_eq!((dataset, gone), (first, vec![gone_version("shop/pair"), gone_version("a/first")]));
        }
        other => panic!("{other:?}"),
    }
    let name = "shop/pair".parse().expect("a name");
    town.engine.delete_scenario(&town.supplier(), "default", &name).await.expect("deleted");
    match ask_again(&town, first).await {
        Err(Refusal::VersionGone { gone, .. }) => assert_eq!((gone[0].wanted, gone[0].offered), (1, None)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_whole_dataset_or_lies_elsewhere_is_refused() {
    let (town, a, b) = with_pair().await;
    let first = gone_pair(&town, [a, b]).await;
    let ask = async |rerun: Rerun| match town.engine.rerun_dataset(&town.consumer(), rerun).await {
        Err(Refusal::Invalid(faults)) => {
            faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.code)).collect()
        }
        Err(Refusal::Unknown { what, .. }) => vec![what.to_owned()],
        other => panic!("{:?}", other.map(|made| made.id)),
    };
    let elsewhere = |environment: &str| Rerun { environment: Some(environment.to_owned()), ..of(first) };
    assert_eq!(ask(elsewhere("staging")).await, ["/environment other_environment"]);
    let everything =
        Rerun { of: first.tree.part(1), channel: Some("ada".to_owned()), ..elsewhere("staging") };
    let faults = ["/rerun_of not_a_root", "/environment other_environment", "/channel other_channel"];
    assert_eq!(ask(everything).await, faults);
    assert_eq!(ask(of(first.tree.part(99))).await, ["dataset"]);
    let stranger = Caller { environment: Some("staging".to_owned()), ..town.consumer() };
    let refused = town.engine.rerun_dataset(&stranger, of(first)).await;
    assert!(matches!(refused, Err(Refusal::Unknown { what: "dataset", .. })));
    assert!(town.engine.rerun_dataset(&town.consumer(), elsewhere("default")).await.is_ok());
}

#[tokio::test]
async fn the_same_key_is_one_rerun_also_when_the_version_is_gone_by_then() {
    let (town, a, b) = with_pair().await;
    let first = gone_pair(&town, [a, b]).await;
    let keyed = || Rerun { idempotency: Some(("k".to_owned(), [1; 32])), ..of(first) };
    let made = town.engine.rerun_dataset(&town.consumer(), keyed()).await.expect("accepted");
    let name = "shop/pair".parse().expect("a name");
    town.engine.delete_scenario(&town.supplier(), "default", &name).await.expect("deleted");
    let again = town.engine.rerun_dataset(&town.consumer(), keyed()).await.expect("known");
    assert_eq!((again.id, again.replayed), (made.id, true));
}

#[tokio::test]
async fn a_dataset_that_was_extended_is_made_again_as_it_was_requested() {
    let town = Town::new().await;
    let a = town.connect("a", &[capability("first", ALL)]).await;
    let b = town.connect("b", &[capability("second", ALL), capability("third", ALL)]).await;
    town.apply(PAIR).await;
    let id = town.ask("shop/pair", json!({})).await;
    serve_pair(&town, [a, b], id).await;
    let view = town.request(id).await;
    let contract = "b/third".parse().expect("a name");
    let extending = Extending { fence: view.leases[0].fence, contract, input: json!({}), number: None };
    town.engine.extend_lease(&town.consumer(), view.leases[0].id, extending).await.expect("it begins");
    for session in [b, a] {
        town.serve(session).await;
    }
    let renamed = json!({
        "output": { "type": "object", "properties": { "key": { "type": "string" } }, "required": ["key"] }
    });
    let newer = [capability("second", ALL), with(capability("third", ALL), renamed)];
    let newer = town.connect_as("b", "two", &newer).await.expect("accepted").id;
    let again =
        ask_again(&town, view.trees[0].id.root()).await.expect("the extension is none of its business");
    serve_pair(&town, [a, newer], again).await;
    let made: Vec<String> =
        town.request(again).await.trees[0].parts.iter().map(|part| part.contract.to_string()).collect();
    assert_eq!(made, ["shop/pair", "a/first", "b/second"]);
    assert_eq!(facts(&town, again).await, Some(Comparison::Equal));
}

#[tokio::test]
async fn what_was_made_in_a_channel_is_made_again_there_and_only_as_long_as_it_is_the_same_there() {
    let (town, a, b) = with_pair().await;
    let develop = async |promised: &str| {
        let mut wider = capability("second", ALL);
        wider["output"]["properties"][promised] = json!({ "type": "string" });
        town.develop("ada", "b", &[wider]).await.expect("a channel takes everything").id
    };
    let ada = develop("more").await;
    let id = town.ask_for(within("ada", wanted("shop/pair", json!({})))).await.expect("accepted");
    serve_pair(&town, [a, ada], id).await;
    let first = town.request(id).await.trees[0].clone();
    let again = ask_again(&town, first.id.root()).await.expect("accepted");
    serve_pair(&town, [a, ada], again).await;
    let view = town.request(again).await;
    assert_eq!(view.request.channel.as_deref(), Some("ada"));
    assert_eq!((&view.trees[0].pins, view.trees[0].parts[2].version), (&first.pins, first.parts[2].version));
    develop("less").await;
    match ask_again(&town, first.id.root()).await {
        Err(Refusal::VersionGone { gone, .. }) => assert_eq!(gone[0].contract.to_string(), "b/second"),
        other => panic!("{other:?}"),
    }
    let deployed = gone_pair(&town, [a, b]).await;
    let in_channel = Rerun { channel: Some("ada".to_owned()), ..of(deployed) };
    let refused = town.engine.rerun_dataset(&town.consumer(), in_channel).await;
    assert!(matches!(refused, Err(Refusal::Invalid(_))));
}

#[tokio::test]
async fn a_secret_in_the_input_is_used_again_by_the_token_that_gave_it_alone() {
    let town = Town::new().await;
    let input = json!({ "type": "object", "properties": { "pin": { "type": "string", "x-secret": true } } });
    let a = town.connect("a", &[with(capability("first", ALL), json!({ "input": input }))]).await;
    let make = async |input: Value| {
        let id = town.ask("a/first", input).await;
        town.serve(a).await;
        town.request(id).await.trees[0].id.root()
    };
    let (with_secret, without) = (make(json!({ "pin": "1234" })).await, make(json!({})).await);
    let other = Caller { token: TokenId(Uuid::from_u128(77)), ..town.consumer() };
    match town.engine.rerun_dataset(&other, of(with_secret)).await {
        Err(Refusal::SecretInput { dataset }) => assert_eq!(dataset, with_secret),
        other => panic!("{:?}", other.map(|made| made.id)),
    }
    assert!(town.engine.rerun_dataset(&other, of(without)).await.is_ok());
    let id = ask_again(&town, with_secret).await.expect("its own");
    assert_eq!(*town.request(id).await.request.units[0].input, json!({ "pin": "1234" }));
}

#[tokio::test]
async fn children_of_an_orchestrator_have_the_versions_that_they_had() {
    let town = Town::new().await;
    let (boss, a) = (capability("boss", &["produce"]), capability("first", ALL));
    let q = town.connect("q", &[boss]).await;
    let a = town.connect("a", &[a]).await;
    let obtain = || Answer::Obtain {
        children: vec![sixpack_model::tree::Wish {
            name: "one".to_owned(),
            contract: "a/first".parse().expect("a name"),
            input: json!({}),
        }],
    };
    let make = async |id: RequestId, a: SessionId| {
        let task = town.claim_one(q).await;
        town.answer(q, &task, obtain()).await;
        town.serve(a).await;
        town.serve(q).await;
        town.serve(a).await;
        assert_eq!(town.request(id).await.request.status, RequestStatus::Fulfilled);
        town.request(id).await.trees.remove(0)
    };
    let id = town.ask("q/boss", json!({})).await;
    let first = make(id, a).await;
    let mut wider = capability("first", ALL);
    wider["output"]["properties"]["more"] = json!({ "type": "string" });
    let newer = town.connect_as("a", "one", &[wider]).await.expect("accepted");
    let again = ask_again(&town, first.id.root()).await.expect("accepted");
    let again = make(again, newer.id).await;
    assert_eq!((again.parts[1].version, &again.pins), (1, &first.pins));
}
