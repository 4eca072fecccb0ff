//! Several servers over one store: any of them serves any call, and nothing is done twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sixpack_engine::{Engine, EngineSettings, Receipt, Refusal};
use sixpack_model::request::{RequestStatus, Source};
use sixpack_storage::Store;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::place::Place;
use crate::stock::from;
use crate::town::{ALL, PAIR, SOON, Town, capability, open, wanted, well, with_pair};

/// Another server beside the one of a town.
async fn beside(town: &Town) -> Town {
    let (clock, place) = (town.clock.clone(), town.place.clone());
    let engine = open(&place, &clock).await;
    Town { engine, clock, place }
}

/// Goes on hearing what other servers tell.
fn hears(town: &Town) -> tokio::task::JoinHandle<()> {
    let engine = town.engine.clone();
    tokio::spawn(async move {
        loop {
            engine.hear().await;
        }
    })
}

#[tokio::test]
async fn any_server_serves_any_call_and_shows_what_others_have_acknowledged() {
    let here = Town::new().await;
    let there = beside(&here).await;
    // Capabilities, scenario, request, tasks and results go to alternate servers; no sweep has run, and nothing was heard.
    let a = here.connect("a", &[capability("first", ALL)]).await;
    let b = there.connect("b", &[capability("second", ALL)]).await;
    here.apply(PAIR).await;
    let id = there.ask("shop/pair", json!({})).await;
    assert_eq!(here.request(id).await.request.status, RequestStatus::Building);
    let servers = [&here, &there];
    let mut turn = 0;
    let mut next = || {
        turn += 1;
        servers[turn % 2]
    };
    for session in [a, b, a, b] {
        let task = next().claim_one(session).await;
        assert_eq!(next().answer(session, &task, well(&task)).await, Receipt::Recorded);
        let shown = servers.map(|server| async move {
            let view = server.request(id).await;
            let parts = view.trees[0].parts.iter().map(|part| part.status).collect::<Vec<_>>();
            (view.request.status, view.trees[0].version, parts)
        });
        let [one, other] = shown;
        assert_eq!(one.await, other.await);
    }
    let leases = there.request(id).await.leases;
    assert_eq!(leases.len(), 1);
    let released =
        here.engine.release_lease(&here.consumer(), leases[0].id, leases[0].fence, None, None).await;
    released.expect("it is held");
    let again = there.engine.renew_lease(&there.consumer(), leases[0].id, leases[0].fence, None).await;
    assert!(matches!(again, Err(Refusal::LeaseEnded(_))), "{again:?}");
    // What is to be undone goes to whoever asks, wherever.
    there.sweep().await;
    assert_eq!(there.claim_one(b).await.operation.name(), "undo");
}

#[tokio::test]
async fn a_contract_that_has_changed_on_one_server_is_the_new_one_on_all() {
    let (here, ..) = with_pair().await;
    let there = beside(&here).await;
    for text in ["One.", "Two.", "Three."] {
        let described = PAIR.replace("steps:", &format!("description: {text}\nsteps:"));
        here.apply(&described).await;
        let name = "shop/pair".parse().expect("a name");
        let (source, _) =
            there.engine.scenario_source(&there.consumer(), "default", &name).await.expect("there");
        assert_eq!(source, described);
    }
}

#[tokio::test]
async fn a_supplier_that_waits_on_one_server_gets_what_is_asked_for_on_another() {
    let (here, a, _) = with_pair().await;
    let there = beside(&here).await;
    let _heard = hears(&there);
    let (engine, supplier) = (there.engine.clone(), there.supplier());
    let parked = tokio::spawn(async move { engine.claim(&supplier, a, 10, SOON).await });
    here.ask("shop/pair", json!({})).await;
    let tasks = parked.await.expect("it waits").expect("the session is live");
    assert_eq!(tasks.len(), 1);
    // A call that ends before it would look again by itself misses nothing either.
    let task = &tasks[0];
    assert_eq!(here.answer(a, task, well(task)).await, Receipt::Recorded);
    here.ask("shop/pair", json!({})).await;
    let quick = there.engine.claim(&there.supplier(), a, 10, Duration::from_secs(1)).await;
    assert_eq!(quick.expect("the session is live").len(), 1);
}

#[tokio::test]
async fn who_waits_for_a_request_on_one_server_hears_of_its_end_on_another() {
    let (here, a, b) = with_pair().await;
    let there = beside(&here).await;
    let _heard = hears(&there);
    let id = here.ask("shop/pair", json!({})).await;
    let (engine, consumer) = (there.engine.clone(), there.consumer());
    let waiting = tokio::spawn(async move { engine.wait_for_request(&consumer, id, None, SOON).await });
    for session in [a, b, a, b] {
        here.serve(session).await;
    }
    let view = waiting.await.expect("it waits").expect("it is there");
    assert_eq!((view.request.status, view.leases.len()), (RequestStatus::Fulfilled, 1));
}

#[tokio::test]
async fn who_follows_events_on_one_server_sees_those_of_another() {
    let (here, ..) = with_pair().await;
    let there = beside(&here).await;
    let last = there.engine.last_event().await.expect("a store that works");
    let (engine, consumer) = (there.engine.clone(), there.consumer());
    let following =
        tokio::spawn(async move { engine.follow_events(&consumer, &Default::default(), last, SOON).await });
    here.ask("shop/pair", json!({})).await;
    let (events, _) = following.await.expect("it waits").expect("a store that works");
    assert_eq!(events[0].kind, "request.building");
}

#[tokio::test]
async fn two_servers_never_lease_one_dataset_twice() {
    let (here, a, b) = with_pair().await;
    let there = beside(&here).await;
    here.keep("pairs", json!({ "contract": "shop/pair", "input": {}, "target": 8 })).await;
    here.settle(&[a, b]).await;
    assert_eq!(there.level("pairs").await, (8, 0), "the other one shows the rule and its stock");
    let ask = |town: &Town| {
        let (engine, consumer) = (town.engine.clone(), town.consumer());
        let wanted = from(Source::StockOnly, "shop/pair", json!({}));
        tokio::spawn(async move {
            let made = engine.create_request(&consumer, wanted).await?;
            engine.request(&consumer, made.id).await
        })
    };
    let asked: Vec<_> = (0..16).map(|number| ask(if number % 2 == 0 { &here } else { &there })).collect();
    let (mut leased, mut refused) = (BTreeSet::new(), 0);
    for asking in asked {
        match asking.await.expect("it ends") {
            Ok(view) => assert!(leased.insert(view.leases[0].tree), "one dataset is leased twice"),
            Err(Refusal::OutOfStock(_)) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((leased.len(), refused), (8, 8));
}

#[tokio::test]
async fn servers_that_look_after_one_line_together_never_overshoot() {
    let (here, a, b) = with_pair().await;
    let there = beside(&here).await;
    here.keep("pairs", json!({ "contract": "shop/pair", "input": {}, "target": 5 })).await;
    for _ in 0..6 {
        let (one, other) = tokio::join!(here.engine.sweep(sixpack_engine::Sweep::Stock), async {
            there.sweep().await;
        });
        one.expect("a sweep goes through");
        let () = other;
        let (ready, coming) = here.level("pairs").await;
        assert!(ready + coming <= 5, "{ready} ready and {coming} coming");
        there.serve(a).await;
        here.serve(b).await;
    }
    here.settle(&[a, b]).await;
    assert_eq!(there.level("pairs").await, (5, 0));
}

#[tokio::test]
async fn what_is_due_is_done_once_whoever_looks() {
    let (here, a, b) = with_pair().await;
    let there = beside(&here).await;
    let ids = futures::future::join_all((0..4).map(|_| here.ask("shop/pair", json!({})))).await;
    here.clock.advance_ms(301_000);
    let _ = (a, b);
    let all = Default::default();
    tokio::join!(here.sweep(), there.sweep());
    let (events, _) =
        here.engine.follow_events(&here.consumer(), &all, 0, Duration::ZERO).await.expect("events");
    for id in ids {
        let ended =
            events.iter().filter(|event| event.request == Some(id) && event.kind == "request.expired");
        assert_eq!(ended.count(), 1);
    }
}

#[tokio::test]
async fn a_token_that_was_taken_back_is_refused_by_all_who_have_heard() {
    let (here, ..) = with_pair().await;
    let there = beside(&here).await;
    let new = sixpack_engine::NewToken {
        name: "ci".to_owned(),
        role: sixpack_model::token::Role::Consumer,
        environment: None,
        domain: None,
        lifetime: None,
    };
    let minted = here.engine.create_token(new).await.expect("made");
    let knows =
        async || there.engine.authenticate(&minted.secret).await.expect("a store that works").is_some();
    assert!(knows().await);
    here.engine.revoke_token(minted.token.id).await.expect("it is there");
    timeout(SOON, async {
        while knows().await {
            there.engine.hear().await;
        }
    })
    .await
    .expect("it is told to the other server");
}

#[test]
fn what_a_killed_server_had_in_hand_goes_on_with_another() {
    let surviving = Runtime::new().expect("a runtime");
    let killed = Runtime::new().expect("a runtime");
    let (town, a, b) = surviving.block_on(with_pair());
    // Everything that this server has begun ends where it is when its runtime goes.
    let there = killed.block_on(beside(&town));
    let a_there =
        killed.block_on(there.connect_as("a", "two", &[capability("first", ALL)])).expect("live").id;
    let ids: Vec<_> = (0..3).map(|_| killed.block_on(there.ask("shop/pair", json!({})))).collect();
    let taken = killed.block_on(there.claim(a_there));
    assert_eq!(taken.len(), 3);
    let asked = {
        let (engine, consumer) = (there.engine.clone(), there.consumer());
        killed.spawn(async move {
            // Somewhere in the middle of these it dies.
            loop {
                engine.create_request(&consumer, wanted("shop/pair", json!({}))).await?;
            }
            #[allow(unreachable_code, reason = "it says what the errors are")]
            Ok::<(), Refusal>(())
        })
    };
    let first = surviving.block_on(async {
        let first = there.engine.last_event().await.expect("a store that works");
        timeout(SOON, town.engine.follow_events(&town.consumer(), &Default::default(), first, SOON)).await
    });
    assert!(!first.expect("it goes on").expect("a store that works").0.is_empty());
    killed.shutdown_background();
    drop((asked, there));
    surviving.block_on(async {
        // The session of the dead server is not heard of any more, those of this one are.
        town.pass_s(16, &[a, b]).await;
        town.sweep().await;
        for _ in 0..4 {
            town.clock.advance_ms(2_000);
            town.sweep().await;
            for session in [a, b, a, b] {
                town.serve(session).await;
            }
        }
        for id in ids {
            assert_eq!(town.request(id).await.request.status, RequestStatus::Fulfilled);
        }
    });
}

#[tokio::test]
async fn an_engine_can_be_started_while_others_are_at_work() {
    let (here, a, b) = with_pair().await;
    let id = here.ask("shop/pair", json!({})).await;
    let store: Arc<dyn Store> = Place::store(&here.place, &here.clock).await;
    let engine = Engine::start(store, EngineSettings::default()).await.expect("the engine starts");
    for session in [a, b, a, b] {
        here.serve(session).await;
    }
    let view = engine.request(&here.consumer(), id).await.expect("it is there");
    assert_eq!(view.request.status, RequestStatus::Fulfilled);
}
