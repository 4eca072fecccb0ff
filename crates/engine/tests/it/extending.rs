//! Extending: a leased dataset is advanced by one more contract, under its fence, and the rest stays as it is.

use std::time::Duration;

use serde_json::{Value, json};
use sixpack_engine::{Extending, Refusal};
use sixpack_model::extension::Extension;
use sixpack_model::failure::FailureClass;
use sixpack_model::ids::{RequestId, SessionId};
use sixpack_model::lease::{Lease, LeaseOutcome, LeaseStatus};
use sixpack_model::plan::Answer;
use sixpack_model::tree::{PartStatus, Tree, Verdict};

use crate::town::{ALL, PAIR, SOON, Town, capability, made, refused, with};

/// What advances a pair; it takes over what the pair hands on as `first`.
fn third() -> Value {
    let input = json!({
        "type": "object",
        "properties": { "first": { "type": "string" }, "speed": { "type": "integer", "default": 3 } },
        "required": ["first"],
        "additionalProperties": false,
    });
    with(capability("third", ALL), json!({ "input": input }))
}

struct Leased {
    town: Town,
    a: SessionId,
    b: SessionId,
    request: RequestId,
    lease: Lease,
}

async fn leased() -> Leased {
    let town = Town::new().await;
    let a = town.connect("a", &[capability("first", ALL)]).await;
    let b = town.connect("b", &[capability("second", ALL), third()]).await;
    town.apply(PAIR).await;
    let request = town.ask("shop/pair", json!({})).await;
    for session in [a, b, a] {
        town.serve(session).await;
    }
    let lease = town.request(request).await.leases.remove(0);
    Leased { town, a, b, request, lease }
}

/// Answers all that a session is asked as if it went well, whatever comes of that.
async fn serve(town: &Town, session: SessionId) -> Vec<String> {
    let mut served = Vec::new();
    loop {
        let tasks = town.claim(session).await;
        if tasks.is_empty() {
            // Queues take turns.
            served.sort();
            return served;
        }
        for task in tasks {
            served.push(format!("{} {}", task.operation.name(), task.contract));
            let answer = match task.operation.name() {
                "produce" => made(&task.idempotency_key),
                "check" => Answer::Checked { verdict: Verdict::Valid, facts: Some(json!({})), message: None },
                _ => Answer::Undone,
            };
            town.answer(session, &task, answer).await;
        }
    }
}

impl Leased {
    async fn extend(&self, contract: &str, input: Value) -> Result<(), Refusal> {
        self.extend_as(self.lease.fence, contract, input).await
    }

    async fn extend_as(&self, fence: u64, contract: &str, input: Value) -> Result<(), Refusal> {
        let extending = Extending { fence, contract: contract.parse().expect("a name"), input, number: None };
        self.town.engine.extend_lease(&self.town.consumer(), self.lease.id, extending).await
    }

    async fn tree(&self) -> Tree {
        let (_, tree) = self.town.engine.lease(&self.town.consumer(), self.lease.id).await.expect("there");
        Tree::clone(&tree)
    }

    async fn release(&self, outcome: LeaseOutcome) {
        let (consumer, lease) = (self.town.consumer(), &self.lease);
        let released = self.town.engine.release_lease(&consumer, lease.id, lease.fence, outcome, None);
        released.await.expect("released");
    }
}

#[tokio::test]
async fn an_extension_is_made_from_the_dataset_checked_with_it_and_undone_with_it() {
    let leased = leased().await;
    let Leased { town, a, b, .. } = &leased;
    leased.extend("b/third", json!({})).await.expect("it begins");
    let produce = town.claim_one(*b).await;
    let first = leased.tree().await.root().output.as_deref().expect("an output")["first"].clone();
    assert_eq!(*produce.input, json!({ "first": first, "speed": 3 }));
    town.answer(*b, &produce, made("third")).await;
    assert_eq!(town.serve(*a).await, ["check a/first"]);
    assert_eq!(serve(town, *b).await, ["check b/second", "check b/third"]);
    let tree = leased.tree().await;
    assert_eq!(tree.root().status, PartStatus::Leased);
    assert_eq!(
        tree.extensions().map(|part| part.extension.clone()).collect::<Vec<_>>(),
        [Some(Extension::Ready)]
    );
    leased.release(LeaseOutcome::Unused).await;
    assert_eq!(town.serve(*b).await, ["undo b/third", "undo b/second"]);
    assert_eq!(town.serve(*a).await, ["undo a/first"]);
    assert_eq!(leased.tree().await.root().status, PartStatus::Gone);
}

#[tokio::test]
async fn an_extension_that_fails_is_undone_alone_and_says_why() {
    let leased = leased().await;
    let Leased { town, b, .. } = &leased;
    leased.extend("shop/pair", json!({})).await.expect("it begins");
    town.serve(leased.a).await;
    let second = town.claim_one(*b).await;
    town.answer(*b, &second, refused(false)).await;
    let tree = leased.tree().await;
    let failed: Vec<_> = tree.extensions().collect();
    let Some(Extension::Failed(failure)) = &failed[0].extension else { panic!("{:?}", failed[0]) };
    assert_eq!(
        (failure.class, failure.path.as_str()),
        (FailureClass::Rejected, "extend_1 › second › b/second@1")
    );
    assert_eq!(town.serve(leased.a).await, ["undo a/first"]);
    let (lease, tree) = town.engine.lease(&town.consumer(), leased.lease.id).await.expect("there");
    assert_eq!((lease.status, tree.root().status), (LeaseStatus::Held, PartStatus::Leased));
    leased.extend("b/third", json!({})).await.expect("another one may follow");
    assert_eq!(leased.tree().await.extensions().count(), 2);
}

#[tokio::test]
async fn a_dataset_is_extended_under_its_fence_one_contract_at_a_time() {
    let leased = leased().await;
    for fence in [leased.lease.fence - 1, leased.lease.fence + 1] {
        let other = leased.extend_as(fence, "b/third", json!({})).await;
        assert!(matches!(other, Err(Refusal::LeaseFenced)), "{other:?}");
    }
    let unknown = leased.extend("b/thrid", json!({})).await;
    assert!(
        matches!(&unknown, Err(Refusal::Unknown { what: "contract", nearest, .. })
        if nearest.as_deref() == Some("b/third")),
        "{unknown:?}"
    );
    let Err(Refusal::InputInvalid(faults)) = leased.extend("b/third", json!({ "speed": "high" })).await
    else {
        panic!("a text is no number")
    };
    assert_eq!((faults.len(), faults[0].pointer.as_str()), (1, "/input/speed"));
    let both = tokio::join!(leased.extend("b/third", json!({})), leased.extend("b/third", json!({})));
    let late = match both {
        (Ok(()), Err(late)) | (Err(late), Ok(())) => late,
        both => panic!("one of both is first: {both:?}"),
    };
    assert!(matches!(&late, Refusal::Extending { step } if step == "extend_1"), "{late:?}");
    let stranger = leased.town.supplier();
    let extending = Extending {
        fence: leased.lease.fence,
        contract: "b/third".parse().expect("a name"),
        input: json!({}),
        number: None,
    };
    let theirs = leased.town.engine.extend_lease(&stranger, leased.lease.id, extending).await;
    assert!(matches!(theirs, Err(Refusal::Unknown { what: "lease", .. })), "{theirs:?}");
    leased.release(LeaseOutcome::Used).await;
    let ended = leased.extend("b/third", json!({})).await;
    assert!(matches!(ended, Err(Refusal::LeaseEnded(LeaseStatus::Released))), "{ended:?}");
}

#[tokio::test]
async fn an_extension_under_way_ends_with_its_lease_also_by_time() {
    for expires in [false, true] {
        let leased = leased().await;
        let Leased { town, a, b, .. } = &leased;
        if expires {
            town.pass_s(59, &[*a, *b]).await;
        }
        leased.extend("b/third", json!({})).await.expect("it begins");
        let produce = town.claim_one(*b).await;
        if expires {
            town.clock.advance_ms(1_000);
            let late = leased.extend("b/third", json!({})).await;
            // It is under way still, and nobody has ended the lease.
            assert!(matches!(late, Err(Refusal::Extending { .. })), "{late:?}");
            town.sweep().await;
        } else {
            leased.release(LeaseOutcome::Used).await;
        }
        // What was made without anybody waiting for it is undone as well.
        town.answer(*b, &produce, made("late")).await;
        assert_eq!(town.serve(*b).await, ["undo b/third", "undo b/second"], "expires: {expires}");
        assert_eq!(town.serve(*a).await, ["undo a/first"]);
        let tree = leased.tree().await;
        assert_eq!(tree.root().status, PartStatus::Gone);
        assert_eq!(tree.extension_under_way(), None);
    }
}

#[tokio::test]
async fn a_lease_whose_time_is_over_is_not_extended() {
    let leased = leased().await;
    leased.town.clock.advance_ms(60_000);
    let late = leased.extend("b/third", json!({})).await;
    assert!(matches!(late, Err(Refusal::LeaseEnded(LeaseStatus::Expired))), "{late:?}");
    assert_eq!(leased.tree().await.extensions().count(), 0);
}

#[tokio::test]
async fn an_extension_goes_on_over_a_restart() {
    let mut leased = leased().await;
    leased.extend("b/third", json!({})).await.expect("it begins");
    leased.town = leased.town.restarted().await;
    let Leased { town, a, b, .. } = &leased;
    assert_eq!(serve(town, *b).await, ["check b/second", "check b/third", "produce b/third"]);
    assert_eq!(town.serve(*a).await, ["check a/first"]);
    let ready =
        leased.tree().await.extensions().filter(|part| part.extension == Some(Extension::Ready)).count();
    assert_eq!(ready, 1);
}

#[tokio::test]
async fn an_entity_that_another_lease_owns_fails_the_extension_and_one_of_its_own_does_not() {
    let leased = leased().await;
    let Leased { town, a, b, .. } = &leased;
    let other = town.ask("b/third", json!({ "first": "f" })).await;
    let produce = town.claim_one(*b).await;
    town.answer(*b, &produce, made("taken")).await;
    serve(town, *b).await;
    let owner = town.request(other).await.leases.remove(0);
    leased.extend("b/third", json!({})).await.expect("it begins");
    let produce = town.claim_one(*b).await;
    town.answer(*b, &produce, made("taken")).await;
    serve(town, *a).await;
    serve(town, *b).await;
    let tree = leased.tree().await;
    let Some(Extension::Failed(failure)) = tree.extensions().next().and_then(|part| part.extension.clone())
    else {
        panic!("{tree:?}")
    };
    assert_eq!(failure.code.as_deref(), Some("entity_held"));
    assert!(failure.message.contains(&owner.id.to_string()), "{}", failure.message);
    assert_eq!(tree.root().status, PartStatus::Leased);
    // What it makes instead is its own until the lease ends.
    leased.extend("b/third", json!({})).await.expect("it begins");
    let produce = town.claim_one(*b).await;
    town.answer(*b, &produce, made("own")).await;
    serve(town, *a).await;
    serve(town, *b).await;
    assert_eq!(
        leased.tree().await.extensions().last().and_then(|part| part.extension.clone()),
        Some(Extension::Ready)
    );
    let late = town.ask("b/third", json!({ "first": "f" })).await;
    let produce = town.claim_one(*b).await;
    town.answer(*b, &produce, made("own")).await;
    serve(town, *b).await;
    let failure = town.request(late).await.request.failure.expect("a failure");
    assert_eq!(failure.code.as_deref(), Some("entity_held"));
}

#[tokio::test]
async fn whoever_waits_for_an_extension_is_told_when_it_is_over() {
    let leased = leased().await;
    let Leased { town, a, b, request, .. } = &leased;
    leased.extend("b/third", json!({})).await.expect("it begins");
    let (engine, consumer, id) = (town.engine.clone(), town.consumer(), leased.lease.id);
    let waiting = tokio::spawn(async move { engine.wait_for_extension(&consumer, id, SOON).await });
    let at_once = town.engine.wait_for_extension(&town.consumer(), id, Duration::ZERO).await.expect("there");
    assert!(at_once.1.extension_under_way().is_some());
    let produce = town.claim_one(*b).await;
    let none = Answer::Failed { retryable: false, code: "no".into(), message: "no".into(), details: None };
    town.answer(*b, &produce, none).await;
    let (_, tree) = waiting.await.expect("it comes to its end").expect("there");
    assert!(tree.extensions().next().is_some_and(|part| part.is_failed_extension()));
    assert!(town.serve(*a).await.is_empty(), "nobody was asked");
    assert_eq!(town.request(*request).await.leases.len(), 1);
}

#[tokio::test]
async fn a_repeated_call_begins_nothing_new() {
    let leased = leased().await;
    let Leased { town, a, b, .. } = &leased;
    let call = |number: usize, input: Value| {
        let contract = "b/third".parse().expect("a name");
        let extending = Extending { fence: leased.lease.fence, contract, input, number: Some(number) };
        let (engine, consumer) = (town.engine.clone(), town.consumer());
        let id = leased.lease.id;
        async move { engine.extend_lease(&consumer, id, extending).await }
    };
    let gap = call(2, json!({})).await;
    assert!(matches!(&gap, Err(Refusal::Invalid(faults)) if faults[0].pointer == "/number"), "{gap:?}");
    call(1, json!({ "speed": 3 })).await.expect("it begins");
    for _ in 0..2 {
        // While it is under way, and after: defaults and what is given come to the same.
        call(1, json!({})).await.expect("the same");
        town.serve(*b).await;
        town.serve(*a).await;
    }
    assert_eq!(leased.tree().await.extensions().count(), 1);
    let other = call(1, json!({ "speed": 4 })).await;
    assert!(matches!(&other, Err(Refusal::OtherExtension { step }) if step == "extend_1"), "{other:?}");
    call(2, json!({ "speed": 4 })).await.expect("the next one");
    assert_eq!(leased.tree().await.extensions().count(), 2);
}
