//! Stock: filled by rules, handed out at once, taken over while it is made, emptied when nobody wants it.

use serde_json::{Value, json};
use sixpack_engine::{Refusal, RequestView, RuleStock, Sweep, Wanted};
use sixpack_model::ids::{RequestId, SessionId};
use sixpack_model::request::{RequestStatus, Selection, Source};
use sixpack_model::stock::{LineCounts, RuleDraft, RuleEdit, RuleState};
use sixpack_model::tree::PartStatus;

use crate::town::{ALL, Town, capability, refused, wanted, with, with_pair};

impl Town {
    pub(crate) async fn keep(&self, name: &str, rule: Value) {
        let now = self.engine.now().await.expect("a store that works");
        let draft =
            RuleDraft::read(name.parse().expect("a name"), &rule, now).expect("the test's rule is whole");
        self.engine.put_rule(&self.supplier(), "default", &draft, false, None).await.expect("the rule fits");
        self.tend().await;
    }

    pub(crate) async fn tend(&self) {
        self.engine.sweep(Sweep::Stock).await.expect("stock is looked after");
    }

    pub(crate) async fn set(&self, name: &str, edit: RuleEdit) {
        let name = name.parse().expect("a name");
        self.engine.edit_rule(&self.supplier(), "default", &name, edit, None).await.expect("edited");
        self.tend().await;
    }

    pub(crate) async fn stock(&self, name: &str) -> RuleStock {
        let name = name.parse().expect("a name");
        self.engine.stock_rule(&self.consumer(), "default", &name).await.expect("a rule").stock
    }

    /// How many are ready and coming.
    pub(crate) async fn level(&self, name: &str) -> (u64, u64) {
        let stock = self.stock(name).await;
        (stock.ready, stock.coming)
    }

    /// Lets suppliers and stock go on until nothing happens any more.
    pub(crate) async fn settle(&self, sessions: &[SessionId]) {
        loop {
            self.tend().await;
            let mut served = 0;
            for session in sessions {
                served += self.serve(*session).await.len();
            }
            if served == 0 {
                return;
            }
        }
    }

    pub(crate) async fn take(&self, wanted: Wanted) -> RequestView {
        let id = self.ask_for(wanted).await.expect("the request is accepted");
        self.request(id).await
    }
}

pub(crate) fn from(source: Source, contract: &str, input: Value) -> Wanted {
    Wanted { source, ..wanted(contract, input) }
}

pub(crate) fn stock_first(contract: &str) -> Wanted {
    from(Source::StockFirst, contract, json!({}))
}

fn target(target: u32) -> RuleEdit {
    RuleEdit { target: Some(target), ..RuleEdit::default() }
}

fn state(state: RuleState) -> RuleEdit {
    RuleEdit { state: Some(state), ..RuleEdit::default() }
}

#[tokio::test]
async fn a_rule_is_filled_up_to_its_target_and_again_when_somebody_takes() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 3 })).await;
    assert_eq!(town.level("pairs").await, (0, 3));
    town.tend().await;
    assert_eq!(town.level("pairs").await, (0, 3), "what is coming counts");
    town.settle(&[a, b]).await;
    assert_eq!(town.level("pairs").await, (3, 0));

    let view = town.take(stock_first("shop/pair")).await;
    assert_eq!(view.request.status, RequestStatus::Fulfilled);
    assert_eq!((view.leases.len(), view.trees.len()), (1, 1));
    assert_eq!(view.trees[0].root().status, PartStatus::Leased);
    assert!(view.trees[0].root().output.is_some());
    assert_eq!(town.level("pairs").await, (2, 0));
    town.settle(&[a, b]).await;
    assert_eq!(town.level("pairs").await, (3, 0));
    let stock = town.stock("pairs").await;
    let counts = LineCounts { hits: 1, misses: 0, made: 4, failed: 0 };
    assert_eq!((stock.counts, stock.starved), (counts, None));
}

#[tokio::test]
async fn what_is_made_fresh_leaves_stock_alone() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 1 })).await;
    town.settle(&[a, b]).await;
    let view = town.take(wanted("shop/pair", json!({}))).await;
    assert_eq!(view.request.status, RequestStatus::Building);
    assert_eq!(town.level("pairs").await, (1, 0));
}

#[tokio::test]
async fn a_request_takes_over_what_is_being_made_for_stock() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 1 })).await;
    let view = town.take(stock_first("shop/pair")).await;
    assert_eq!((view.request.status, view.ahead), (RequestStatus::Building, Some(0)));
    assert_eq!(town.level("pairs").await, (0, 0));
    // Of two in one millisecond either may come first.
    town.clock.advance_ms(1);
    let second = town.take(stock_first("shop/pair")).await;
    assert_eq!(second.ahead, Some(1));
    town.settle(&[a, b]).await;
    for id in [view.request.id, second.request.id] {
        assert_eq!(town.request(id).await.request.status, RequestStatus::Fulfilled);
    }
    assert_eq!(town.level("pairs").await, (1, 0), "and stock is filled behind them");
    assert_eq!(town.stock("pairs").await.counts.misses, 2);
}

#[tokio::test]
async fn several_are_given_together_or_not_at_all() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 2 })).await;
    town.settle(&[a, b]).await;
    let three = |source| {
        let one = from(source, "shop/pair", json!({}));
        Wanted { units: vec![one.units[0].clone(); 3], ..one }
    };
    let refused = town.ask_for(three(Source::StockOnly)).await;
    assert!(
        matches!(&refused, Err(Refusal::OutOfStock(short)) if (short.ready, short.asked) == (2, 3) && short.rule.is_some()),
        "{refused:?}"
    );
    assert_eq!(town.level("pairs").await, (2, 0));
    let view = town.take(three(Source::StockFirst)).await;
    assert_eq!((view.request.status, view.request.ready), (RequestStatus::Building, 2));
    town.settle(&[a, b]).await;
    let view = town.request(view.request.id).await;
    assert_eq!((view.request.status, view.leases.len()), (RequestStatus::Fulfilled, 3));
}

#[tokio::test]
async fn what_nobody_was_given_goes_back_when_the_request_is_cancelled() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 1 })).await;
    town.settle(&[a, b]).await;
    let one = stock_first("shop/pair");
    let view = town.take(Wanted { units: vec![one.units[0].clone(); 2], ..one }).await;
    assert_eq!(town.level("pairs").await, (0, 0));
    town.engine.cancel_request(&town.consumer(), view.request.id).await.expect("cancelled");
    town.engine.sweep(Sweep::UnwantedTrees).await.expect("swept");
    assert_eq!(town.level("pairs").await, (1, 0));
    town.settle(&[a, b]).await;
    town.sweep().await;
    assert_eq!(town.level("pairs").await, (1, 0));
    assert_eq!(town.take(stock_first("shop/pair")).await.request.status, RequestStatus::Fulfilled);
}

#[tokio::test]
async fn stock_only_says_what_is_missing() {
    let (town, a, b) = with_pair().await;
    let ask = || town.ask_for(from(Source::StockOnly, "shop/pair", json!({})));
    let refused = ask().await;
    assert!(matches!(&refused, Err(Refusal::OutOfStock(short)) if short.rule.is_none()), "{refused:?}");
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 1 })).await;
    let refused = ask().await;
    assert!(
        matches!(&refused, Err(Refusal::OutOfStock(short)) if short.coming == 1 && short.rule.is_some()),
        "{refused:?}"
    );
    assert_eq!(town.level("pairs").await, (0, 1), "it takes over nothing");
    town.clock.advance_ms(7_000);
    town.settle(&[a, b]).await;
    assert!(ask().await.is_ok());
    // From the next one on it is known how long one takes.
    let begun = town.engine.now().await.expect("a store that works");
    town.tend().await;
    town.clock.advance_ms(3_000);
    let Err(Refusal::OutOfStock(short)) = ask().await else { panic!("it was taken") };
    assert_eq!(short.coming_since, Some(begun));
    let expected = short.expected_at.expect("it is known").duration_since(short.at);
    assert_eq!((expected.as_secs(), short.changes_at()), (4, short.expected_at));
    // One that takes longer than usual may be there at any moment.
    town.clock.advance_ms(60_000);
    let Err(Refusal::OutOfStock(short)) = ask().await else { panic!("it was taken") };
    assert_eq!(short.expected_at, Some(short.at));
}

#[tokio::test]
async fn a_request_matches_by_its_input_with_defaults() {
    let town = Town::new().await;
    let input = json!({
        "type": "object",
        "properties": { "country": { "enum": ["FR", "CZ"], "default": "FR" }, "lines": { "type": "integer" } },
    });
    let a = town.connect("a", &[with(capability("first", ALL), json!({ "input": input }))]).await;
    town.keep("french", json!({ "contract": "a/first", "input": { "lines": 2 }, "target": 2 })).await;
    town.keep(
        "czech",
        json!({ "contract": "a/first", "input": { "country": "CZ", "lines": 3 }, "target": 2 }),
    )
    .await;
    town.settle(&[a]).await;
    let ask = async |input: Value| {
        let id = town.ask_for(from(Source::StockOnly, "a/first", input)).await.ok()?;
        Some(town.request(id).await.trees[0].root().input.as_ref().clone())
    };
    let (french, czech) = (json!({ "country": "FR", "lines": 2 }), json!({ "country": "CZ", "lines": 3 }));
    assert_eq!(ask(json!({})).await, Some(french.clone()), "what is as it would be made comes first");
    assert_eq!(ask(json!({ "country": "FR", "lines": 2 })).await, Some(french));
    assert_eq!(ask(json!({ "lines": 4 })).await, None);
    assert_eq!(ask(json!({ "country": "CZ" })).await, Some(czech.clone()));
    assert_eq!(ask(json!({})).await, Some(czech), "what is left open matches anything");
    assert_eq!(ask(json!({ "country": "FR" })).await, None);
}

#[tokio::test]
async fn a_preference_chooses_where_the_contract_has_a_default() {
    let town = Town::new().await;
    let input = json!({ "type": "object", "properties": { "lines": { "type": "integer", "default": 2 } } });
    let a = town
        .connect("a", &[with(capability("first", ALL), json!({ "input": input, "fresh_for_s": 60 }))])
        .await;
    for (rule, lines) in [("two", 2), ("three", 3)] {
        town.keep(rule, json!({ "contract": "a/first", "input": { "lines": lines }, "target": 2 })).await;
    }
    town.settle(&[a]).await;
    for rule in ["two", "three"] {
        town.set(rule, state(RuleState::Paused)).await;
    }
    let ask = |input: Value, prefer: Value| {
        let selection = Selection { prefer: Some(prefer.into()), ..Selection::default() };
        town.ask_for(Wanted { selection, ..from(Source::StockOnly, "a/first", input) })
    };
    let view = town.request(ask(json!({}), json!({ "lines": 3 })).await.expect("accepted")).await;
    assert_eq!(*view.trees[0].root().input, json!({ "lines": 3 }));
    for (input, prefer, pointer, code) in [
        (json!({ "lines": 2 }), json!({ "lines": 3 }), "/prefer/lines", "no_effect"),
        (json!({}), json!({ "lnes": 3 }), "/prefer/lnes", "unknown_field"),
    ] {
        let Err(Refusal::Invalid(faults)) = ask(input, prefer).await else { panic!("{pointer} is accepted") };
        assert_eq!((faults[0].pointer.as_str(), faults[0].code), (pointer, code));
    }
    // What was left open is still open when another one is looked for.
    town.pass_s(61, &[a]).await;
    assert_eq!(town.serve(a).await, ["undo a/first"], "the lease is over");
    let view = town.request(ask(json!({}), json!({ "lines": 3 })).await.expect("accepted")).await;
    let bad = town.next_check(a).await;
    assert_eq!(*bad.input, json!({ "lines": 3 }));
    let answer = crate::validity::checked(sixpack_model::tree::Verdict::Invalid, "gone");
    town.answer(a, &bad, answer).await;
    let next = town.next_check(a).await;
    town.answer(a, &next, crate::town::well(&next)).await;
    let view = town.until_ended(&view).await;
    assert_eq!(*view.trees[0].root().input, json!({ "lines": 2 }));
}

#[tokio::test]
async fn a_preference_ranks_and_criteria_choose() {
    let town = Town::new().await;
    let output = json!({
        "type": "object",
        "properties": { "id": { "type": "string", "x-selectable": true } },
        "required": ["id"],
    });
    let a = town.connect("a", &[with(capability("first", ALL), json!({ "output": output }))]).await;
    town.keep("small", json!({ "contract": "a/first", "input": { "size": 1 }, "target": 1 })).await;
    town.settle(&[a]).await;
    town.clock.advance_ms(1_000);
    town.keep("large", json!({ "contract": "a/first", "input": { "size": 2 }, "target": 1 })).await;
    town.settle(&[a]).await;
    let select = |select: Value| Selection {
        select: select.as_object().cloned().map(Into::into),
        ..Selection::default()
    };
    let one = town.request(town.ask_for(stock_first("a/first")).await.expect("accepted")).await;
    let id = one.trees[0].root().output.as_ref().expect("made")["id"].clone();
    town.settle(&[a]).await;
    let ask = |selection| town.ask_for(Wanted { selection, ..stock_first("a/first") });
    let gone = ask(select(json!({ "id": id }))).await;
    assert!(
        matches!(&gone, Err(Refusal::OutOfStock(short)) if short.is_chosen && short.ready == 2),
        "it is leased already: {gone:?}"
    );
    let faulty = ask(select(json!({ "id": 7 }))).await;
    let Err(Refusal::Invalid(faults)) = faulty else { panic!("{faulty:?}") };
    assert_eq!(faults[0].pointer, "/select/id");
    let prefer = Selection { prefer: Some(json!({ "size": 2 }).into()), ..Selection::default() };
    let view = town.request(ask(prefer).await.expect("accepted")).await;
    assert_eq!(*view.trees[0].root().input, json!({ "size": 2 }));
}

#[tokio::test]
async fn what_is_too_much_or_too_old_is_undone() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 3, "max_age_s": 60 })).await;
    town.settle(&[a, b]).await;
    town.set("pairs", target(1)).await;
    assert_eq!(town.level("pairs").await, (1, 0));
    town.sweep().await;
    assert_eq!(town.serve(b).await, ["undo b/second", "undo b/second"]);
    assert_eq!(town.serve(a).await, ["undo a/first", "undo a/first"]);
    town.pass_s(61, &[a, b]).await;
    assert!(matches!(
        town.ask_for(from(Source::StockOnly, "shop/pair", json!({}))).await,
        Err(Refusal::OutOfStock(_))
    ));
    town.settle(&[a, b]).await;
    town.sweep().await;
    town.settle(&[a, b]).await;
    assert_eq!(town.level("pairs").await, (1, 0), "another one was made");
}

#[tokio::test]
async fn a_paused_rule_keeps_what_it_has_and_a_draining_one_does_not() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 2 })).await;
    town.settle(&[a, b]).await;
    town.set("pairs", state(RuleState::Paused)).await;
    assert_eq!(town.take(stock_first("shop/pair")).await.request.status, RequestStatus::Fulfilled);
    town.settle(&[a, b]).await;
    assert_eq!(town.level("pairs").await, (1, 0));
    town.set("pairs", state(RuleState::Draining)).await;
    assert_eq!(town.level("pairs").await, (0, 0));
    town.set("pairs", state(RuleState::Active)).await;
    assert_eq!(town.level("pairs").await, (0, 2));
    town.set("pairs", state(RuleState::Draining)).await;
    assert_eq!(town.level("pairs").await, (0, 0), "what is coming is not wanted any more either");
    town.sweep().await;
    assert!(town.claim(a).await.iter().all(|task| task.operation.name() == "undo"));
}

#[tokio::test]
async fn a_deleted_rule_leaves_no_stock_behind() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 2 })).await;
    town.settle(&[a, b]).await;
    let name = "pairs".parse().expect("a name");
    town.engine.delete_rule(&town.supplier(), "default", &name, None).await.expect("deleted");
    town.tend().await;
    town.sweep().await;
    assert_eq!(town.serve(b).await, ["undo b/second", "undo b/second"]);
}

#[tokio::test]
async fn a_rule_that_cannot_be_filled_is_left_alone_and_says_why() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 5 })).await;
    let fail = async |count: usize| {
        let tasks: Vec<_> =
            town.claim(a).await.into_iter().filter(|task| task.operation.name() == "produce").collect();
        assert_eq!(tasks.len(), count);
        for task in &tasks {
            town.answer(a, task, refused(false)).await;
        }
        town.tend().await;
    };
    fail(5).await;
    assert_eq!(town.level("pairs").await, (0, 0));
    let starved = town.stock("pairs").await.starved.expect("it is starved");
    assert_eq!(
        (starved.code, starved.message.as_str()),
        ("failing", "a/first rejected 5 of 5: the domain says no")
    );
    assert_eq!(starved.owner.team, "a");
    let refused = town.ask_for(from(Source::StockOnly, "shop/pair", json!({}))).await;
    assert!(matches!(refused, Err(Refusal::OutOfStock(ref short)) if short.starved.is_some()), "{refused:?}");
    // After the pause one is tried, and only one.
    town.pass_s(2, &[a, b]).await;
    assert_eq!(town.level("pairs").await, (0, 1));
    fail(1).await;
    assert_eq!(town.level("pairs").await, (0, 0));
    assert!(town.stock("pairs").await.starved.expect("still").message.contains("6 of 6"));
    town.pass_s(4, &[a, b]).await;
    town.settle(&[a, b]).await;
    assert_eq!(town.level("pairs").await, (5, 0), "it goes on by itself");
    assert_eq!(town.stock("pairs").await.starved, None);
}

#[tokio::test]
async fn a_rule_whose_supplier_is_away_begins_nothing_that_would_only_wait() {
    let (town, a, b) = with_pair().await;
    town.engine.drain_session(&town.supplier(), b).await.expect("ended");
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 1 })).await;
    assert_eq!(town.level("pairs").await, (0, 0));
    let starved = town.stock("pairs").await.starved.expect("it is starved");
    assert_eq!((starved.code, starved.message.as_str()), ("offline", "no supplier of b/second is connected"));
    let b = town.connect("b", &[capability("second", ALL)]).await;
    town.settle(&[a, b]).await;
    assert_eq!(town.level("pairs").await, (1, 0));
}

#[tokio::test]
async fn stock_and_what_is_coming_survive_a_restart() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 2 })).await;
    town.serve(a).await;
    let town = town.restarted().await;
    town.sweep().await;
    assert_eq!(town.level("pairs").await, (0, 2), "nothing is started twice");
    town.settle(&[a, b]).await;
    let town = town.restarted().await;
    town.sweep().await;
    assert_eq!(town.level("pairs").await, (2, 0));
    assert_eq!(town.take(stock_first("shop/pair")).await.request.status, RequestStatus::Fulfilled);
}

#[tokio::test]
async fn a_lease_from_stock_ends_like_any_other() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 1 })).await;
    town.settle(&[a, b]).await;
    let view = town.take(stock_first("shop/pair")).await;
    let lease = &view.leases[0];
    let outcome = sixpack_model::lease::LeaseOutcome::Used;
    let released = town.engine.release_lease(&town.consumer(), lease.id, lease.fence, outcome, None).await;
    assert_eq!(released.expect("released").1.root().status, PartStatus::Undoing);
    town.settle(&[a, b]).await;
    let read: RequestId = view.request.id;
    assert_eq!(town.request(read).await.trees[0].root().status, PartStatus::Gone);
    assert_eq!(town.level("pairs").await, (1, 0));
}

#[tokio::test]
async fn what_is_given_back_after_stock_was_filled_behind_it_stays() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 1 })).await;
    town.settle(&[a, b]).await;
    let view = town.take(stock_first("shop/pair")).await;
    town.settle(&[a, b]).await;
    assert_eq!(town.level("pairs").await, (1, 0));
    let lease = &view.leases[0];
    let outcome = sixpack_model::lease::LeaseOutcome::Unused;
    town.engine
        .release_lease(&town.consumer(), lease.id, lease.fence, outcome, None)
        .await
        .expect("released");
    town.settle(&[a, b]).await;
    let there = town.stock("pairs").await;
    assert_eq!((there.ready, there.coming, there.came_back), (2, 0, 1));
    assert_eq!(town.tree_status(lease.tree).await, PartStatus::Ready);
    // Only what was made for stock goes when the target is lowered.
    town.set("pairs", target(3)).await;
    town.settle(&[a, b]).await;
    assert_eq!(town.level("pairs").await, (3, 0), "it counts for the level");
    town.set("pairs", target(1)).await;
    town.settle(&[a, b]).await;
    assert_eq!((town.tree_status(lease.tree).await, town.level("pairs").await), (PartStatus::Ready, (2, 0)));
}
