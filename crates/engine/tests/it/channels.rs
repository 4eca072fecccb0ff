//! Channels: a supplier under development beside the deployed ones.

use std::time::Duration;

use serde_json::{Value, json};
use sixpack_engine::{ContractState, Opened, Refusal};
use sixpack_model::catalogue::Search;
use sixpack_model::failure::FailureClass;
use sixpack_model::ids::{RequestId, SessionId};
use sixpack_model::lease::LeaseOutcome;
use sixpack_model::limits::{CHANNEL_VERSIONS_FROM as FIRST, CHANNELS};
use sixpack_model::request::RequestStatus;

use crate::town::{ALL, SOON, Town, capability, made, wanted, with, with_pair, within};

const ADA: &str = "ada";

/// `second` as it promises these texts.
fn second(promised: &[&str]) -> Value {
    let text = || json!({ "type": "string" });
    let properties: serde_json::Map<String, Value> =
        promised.iter().map(|name| ((*name).to_owned(), text())).collect();
    let output = json!({ "type": "object", "properties": properties, "required": promised });
    with(capability("second", ALL), json!({ "output": output }))
}

/// A compatible change of `second`.
fn wider() -> Value {
    let mut wider = capability("second", ALL);
    wider["output"]["properties"]["more"] = json!({ "type": "string" });
    wider
}

/// Change that breaks whoever reads `id`.
fn renamed() -> Value {
    second(&["key"])
}

async fn develop(town: &Town, capability: Value) -> Opened {
    town.develop(ADA, "b", &[capability]).await.expect("a channel takes everything")
}

async fn ask_in(town: &Town, channel: &str, contract: &str) -> Result<RequestId, Refusal> {
    town.ask_for(within(channel, wanted(contract, json!({})))).await
}

/// The pair, made in the channel by these sessions.
async fn made_in_channel(town: &Town, sessions: [SessionId; 2]) -> RequestId {
    let id = ask_in(town, ADA, "shop/pair").await.expect("accepted");
    for session in [sessions[0], sessions[1], sessions[0]] {
        town.serve(session).await;
    }
    assert_eq!(town.request(id).await.request.status, RequestStatus::Fulfilled);
    id
}

async fn release(town: &Town, id: RequestId) {
    let lease = town.request(id).await.leases.remove(0);
    let (consumer, outcome) = (town.consumer(), LeaseOutcome::Used);
    let released = town.engine.release_lease(&consumer, lease.id, lease.fence, outcome, None).await;
    released.expect("released");
}

async fn names(town: &Town, channel: Option<&str>) -> Vec<String> {
    let (consumer, all) = (town.consumer(), Search::default());
    let listed = town.engine.search_contracts(&consumer, "default", channel, &all).await;
    let shown = listed.expect("a list").into_iter().map(|view| {
        let channel = view.channel.map(|channel| format!(" in {channel}")).unwrap_or_default();
        format!("{}@{} {}{channel}", view.contract.name, view.contract.version, view.state.name())
    });
    shown.collect()
}

#[tokio::test]
async fn what_is_offered_in_a_channel_changes_nothing_for_others() {
    let (town, ..) = with_pair().await;
    let before = names(&town, None).await;
    let opened = develop(&town, renamed()).await;
    assert_eq!(opened.contracts[0].version, FIRST);
    assert_eq!(names(&town, None).await, before);
    let in_channel = names(&town, Some(ADA)).await;
    assert_eq!(in_channel, ["a/first@1 online", "b/second@1000000000 online in ada", "shop/pair@1 broken"]);
    let deployed = town.connect_as("b", "two", &[wider()]).await.expect("accepted");
    assert_eq!((deployed.contracts[0].version, deployed.contracts[0].change), (2, "compatible"));
}

#[tokio::test]
async fn the_verdict_against_the_deployed_contract_is_told_with_what_it_would_break() {
    let (town, ..) = with_pair().await;
    let breaking = develop(&town, renamed()).await.contracts.remove(0);
    assert_eq!((breaking.change, breaking.against), ("breaking", Some(1)));
    assert_eq!(breaking.breaks.len(), 1);
    assert_eq!(breaking.breaks[0].contract.to_string(), "shop/pair");
    assert!(!breaking.changes.is_empty());
    let compatible = develop(&town, wider()).await.contracts.remove(0);
    assert_eq!(
        (compatible.version, compatible.change, compatible.against),
        (FIRST + 1, "compatible", Some(1))
    );
    assert!(compatible.breaks.is_empty());
    let same = develop(&town, capability("second", ALL)).await.contracts.remove(0);
    assert_eq!((same.version, same.change), (FIRST + 2, "same"));
    let published = town.engine.shelf("default").expect("it is there").revision;
    let again = develop(&town, capability("second", ALL)).await.contracts.remove(0);
    assert_eq!((again.version, again.change), (FIRST + 2, "same"));
    assert_eq!(
        town.engine.shelf("default").expect("it is there").revision,
        published,
        "nothing is published twice"
    );
}

#[tokio::test]
async fn of_two_requests_at_once_each_is_made_by_the_right_build() {
    let (town, a, b) = with_pair().await;
    let ours = develop(&town, wider()).await.id;
    let plain = town.ask("shop/pair", json!({})).await;
    let named = ask_in(&town, ADA, "shop/pair").await.expect("accepted");
    assert_eq!(town.serve(a).await, ["produce a/first", "produce a/first"]);
    for (session, id, version) in [(b, plain, 1), (ours, named, FIRST)] {
        let task = town.claim_one(session).await;
        assert_eq!((task.version, task.task.tree), (version, town.request(id).await.trees[0].id));
        town.answer(session, &task, made(&task.idempotency_key)).await;
    }
    for session in [b, ours, a] {
        town.serve(session).await;
    }
    for (id, channel) in [(plain, None), (named, Some(ADA))] {
        let view = town.request(id).await;
        assert_eq!(view.request.status, RequestStatus::Fulfilled);
        assert_eq!(view.request.channel.as_deref(), channel);
        assert_eq!(view.trees[0].channel.as_deref(), channel);
        assert_eq!(view.shelf.channel.as_deref(), channel);
    }
}

#[tokio::test]
async fn a_scenario_that_the_channel_breaks_is_refused_before_anything_is_made() {
    let (town, ..) = with_pair().await;
    develop(&town, renamed()).await;
    match ask_in(&town, ADA, "shop/pair").await {
        Err(Refusal::ContractBroken { channel, faults, .. }) => {
            assert_eq!(channel.as_deref(), Some(ADA));
            assert!(faults[0].message.contains("id"), "{faults:?}");
        }
        other => panic!("{other:?}"),
    }
    town.ask("shop/pair", json!({})).await;
    let (consumer, page) = (town.consumer(), sixpack_engine::Page::first(10));
    let requests = town.engine.requests(&consumer, Default::default(), page).await;
    assert_eq!(requests.expect("a list").rows.len(), 1);
}

#[tokio::test]
async fn a_scenario_that_the_channel_mends_can_be_requested_in_it() {
    let (town, ..) = with_pair().await;
    town.connect_as("b", "one", &[renamed()]).await.expect("accepted");
    assert!(matches!(
        town.ask_for(wanted("shop/pair", json!({}))).await,
        Err(Refusal::ContractBroken { .. })
    ));
    develop(&town, capability("second", ALL)).await;
    ask_in(&town, ADA, "shop/pair").await.expect("it fits in the channel");
}

#[tokio::test]
async fn what_is_not_deployed_at_all_can_be_requested_in_its_channel_only() {
    let (town, ..) = with_pair().await;
    let ours = town.develop(ADA, "c", &[capability("third", ALL)]).await.expect("accepted");
    assert_eq!((ours.contracts[0].change, ours.contracts[0].against), ("new", None));
    let name = "c/third".parse().expect("a name");
    let read = async |channel| town.engine.contract(&town.consumer(), "default", channel, &name, None).await;
    assert!(matches!(read(None).await, Err(Refusal::Unknown { what: "contract", .. })));
    let view = read(Some(ADA)).await.expect("listed");
    assert_eq!((view.state, view.versions.len()), (ContractState::Online, 1));
    assert!(matches!(town.ask_for(wanted("c/third", json!({}))).await, Err(Refusal::Unknown { .. })));
    let id = ask_in(&town, ADA, "c/third").await.expect("accepted");
    town.serve(ours.id).await;
    assert_eq!(town.request(id).await.request.status, RequestStatus::Fulfilled);
}

#[tokio::test]
async fn a_channel_in_which_nobody_is_live_is_not_known_and_the_others_are_named() {
    let (town, ..) = with_pair().await;
    develop(&town, wider()).await;
    town.develop("bob", "b", &[wider()]).await.expect("accepted");
    let unknown = |result: Result<(), Refusal>| match result {
        Err(Refusal::UnknownChannel { name, live, .. }) => {
            assert_eq!((name.as_str(), &live[..]), ("adda", &["ada".to_owned(), "bob".to_owned()][..]));
        }
        other => panic!("{other:?}"),
    };
    unknown(ask_in(&town, "adda", "shop/pair").await.map(drop));
    let (consumer, all) = (town.consumer(), Search::default());
    let listed = town.engine.search_contracts(&consumer, "default", Some("adda"), &all).await;
    unknown(listed.map(drop));
}

#[tokio::test]
async fn several_domains_share_a_channel_and_what_one_leaves_runs_on_the_deployed() {
    let (town, _, b) = with_pair().await;
    let first = town.develop(ADA, "a", &[capability("first", ALL)]).await.expect("accepted").id;
    let second = develop(&town, wider()).await.id;
    let in_channel = names(&town, Some(ADA)).await;
    assert_eq!(in_channel[..2], ["a/first@1000000000 online in ada", "b/second@1000000000 online in ada"]);
    town.engine.drain_session(&town.supplier(), second).await.expect("drained");
    assert_eq!(names(&town, Some(ADA)).await[1], "b/second@1 online");
    let id = ask_in(&town, ADA, "shop/pair").await.expect("the channel is there");
    for session in [first, b, first] {
        town.serve(session).await;
    }
    let view = town.request(id).await;
    assert_eq!(view.request.status, RequestStatus::Fulfilled);
    let versions: Vec<u32> = view.trees[0].parts.iter().map(|part| part.version).collect();
    assert_eq!(versions, [1, FIRST, 1]);
}

#[tokio::test]
async fn a_request_under_way_fails_after_the_grace_when_its_channel_is_gone_and_names_it() {
    let (town, a, b) = with_pair().await;
    let ours = develop(&town, wider()).await.id;
    let id = ask_in(&town, ADA, "shop/pair").await.expect("accepted");
    town.engine.drain_session(&town.supplier(), ours).await.expect("drained");
    town.serve(a).await;
    assert!(town.claim(b).await.is_empty(), "another build is never put in its place");
    town.pass_s(50, &[a, b]).await;
    assert_eq!(town.request(id).await.request.status, RequestStatus::Building);
    town.pass_s(20, &[a, b]).await;
    let failure = town.request(id).await.request.failure.expect("a failure");
    assert_eq!(failure.class, FailureClass::SupplierOffline);
    assert_eq!(failure.path, "second › b/second@1000000000");
    assert!(failure.message.contains("channel `ada`"), "{}", failure.message);
    assert_eq!(town.serve(a).await, ["undo a/first"]);
}

#[tokio::test]
async fn a_restarted_supplier_takes_over_in_its_channel_and_goes_on_with_what_was_begun() {
    let (town, a, _) = with_pair().await;
    let older = develop(&town, wider()).await.id;
    let id = ask_in(&town, ADA, "shop/pair").await.expect("accepted");
    town.serve(a).await;
    let lost = town.claim_one(older).await;
    let younger = develop(&town, wider()).await;
    assert_eq!(younger.contracts[0].version, FIRST);
    let refusal = town.engine.claim(&town.supplier(), older, 1, Duration::ZERO).await.expect_err("replaced");
    assert!(matches!(refusal, Refusal::Superseded), "{refusal:?}");
    town.clock.advance_ms(1_000);
    let again = town.claim_one(younger.id).await;
    assert_eq!((again.task, again.attempt), (lost.task, lost.attempt + 1));
    town.answer(younger.id, &again, made("x")).await;
    for session in [younger.id, a] {
        town.serve(session).await;
    }
    assert_eq!(town.request(id).await.request.status, RequestStatus::Fulfilled);
}

#[tokio::test]
async fn what_was_made_in_a_channel_is_undone_there_while_somebody_is_live() {
    let (town, a, b) = with_pair().await;
    let ours = develop(&town, wider()).await.id;
    let id = made_in_channel(&town, [a, ours]).await;
    release(&town, id).await;
    assert!(town.claim(b).await.is_empty());
    assert_eq!(town.serve(ours).await, ["undo b/second"]);
}

#[tokio::test]
async fn what_was_made_compatibly_is_undone_by_the_deployed_when_the_channel_is_gone() {
    let (town, a, b) = with_pair().await;
    let ours = develop(&town, wider()).await.id;
    let id = made_in_channel(&town, [a, ours]).await;
    town.engine.drain_session(&town.supplier(), ours).await.expect("drained");
    release(&town, id).await;
    assert_eq!(town.serve(b).await, ["undo b/second"]);
    assert_eq!(town.serve(a).await, ["undo a/first"]);
    assert_eq!(town.request(id).await.trees[0].root().status.name(), "gone");
}

#[tokio::test]
async fn what_was_made_by_a_breaking_build_waits_until_that_is_deployed() {
    let (town, a, b) = with_pair().await;
    let ours = town.develop(ADA, "b", &[renamed()]).await.expect("accepted").id;
    let id = ask_in(&town, ADA, "b/second").await.expect("accepted");
    let task = town.claim_one(ours).await;
    let key = sixpack_model::plan::Answer::Produced { output: json!({ "key": "k" }), facts: None };
    town.answer(ours, &task, key).await;
    town.serve(ours).await;
    town.engine.drain_session(&town.supplier(), ours).await.expect("drained");
    release(&town, id).await;
    town.pass_s(70, &[a, b]).await;
    assert!(town.claim(b).await.is_empty());
    assert_eq!(town.request(id).await.trees[0].root().status.name(), "undoing");
    let deployed = town.connect_as("b", "one", &[renamed()]).await.expect("accepted");
    assert_eq!((deployed.contracts[0].version, deployed.contracts[0].change), (2, "breaking"));
    assert_eq!(town.serve(deployed.id).await, ["undo b/second"]);
}

#[tokio::test]
async fn channels_and_what_was_begun_in_them_survive_a_restart_of_the_server() {
    let (town, a, _) = with_pair().await;
    let ours = develop(&town, wider()).await.id;
    let id = ask_in(&town, ADA, "shop/pair").await.expect("accepted");
    let town = town.restarted().await;
    assert_eq!(names(&town, Some(ADA)).await[1], "b/second@1000000000 online in ada");
    for session in [a, ours, a] {
        town.serve(session).await;
    }
    assert_eq!(town.request(id).await.request.status, RequestStatus::Fulfilled);
}

#[tokio::test]
async fn a_parked_supplier_in_a_channel_gets_its_task_the_moment_it_is_written() {
    let (town, _, b) = with_pair().await;
    let ours = develop(&town, wider()).await.id;
    let parked = [b, ours].map(|session| {
        let (engine, supplier) = (town.engine.clone(), town.supplier());
        tokio::spawn(async move { engine.claim(&supplier, session, 10, SOON).await })
    });
    ask_in(&town, ADA, "b/second").await.expect("accepted");
    let [deployed, developed] = parked;
    let tasks = developed.await.expect("it waits").expect("the session is live");
    assert_eq!((tasks.len(), tasks[0].version), (1, FIRST));
    town.engine.drain_session(&town.supplier(), b).await.expect("drained");
    // It is sent away; one that was looking in this very moment is told why.
    match deployed.await.expect("it waits") {
        Ok(tasks) => assert!(tasks.is_empty()),
        Err(refusal) => assert!(matches!(refusal, Refusal::SessionEnded), "{refusal:?}"),
    }
}

#[tokio::test]
async fn one_channel_too_many_is_refused_and_the_live_ones_are_named() {
    let (town, ..) = with_pair().await;
    let numbered = |number: usize| format!("channel-{number}");
    for number in 0..CHANNELS {
        town.develop(&numbered(number), "b", &[wider()]).await.expect("accepted");
    }
    match town.develop(&numbered(CHANNELS), "b", &[wider()]).await {
        Err(Refusal::TooManyChannels { environment, live }) => {
            assert_eq!((environment.as_str(), live.len()), ("default", CHANNELS));
        }
        other => panic!("{other:?}"),
    }
    town.develop(&numbered(3), "b", &[wider()]).await.expect("a channel that is there");
}

#[tokio::test]
async fn a_capability_never_takes_the_name_of_a_scenario_not_even_in_a_channel() {
    let (town, ..) = with_pair().await;
    let refused = town.develop(ADA, "shop", &[capability("pair", ALL)]).await;
    assert!(matches!(refused, Err(Refusal::NameTaken { kind: "scenario", .. })), "{refused:?}");
}
