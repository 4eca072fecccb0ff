//! Troubles: lines that fail for the same reason are left alone together, and one is tried on behalf of all.

use serde_json::{Value, json};
use sixpack_engine::Assignment;
use sixpack_model::ids::SessionId;

use crate::stock::stock_first;
use crate::town::{ALL, Town, capability, made, refused};

const RULES: usize = 20;

/// A town in which so many rules keep two datasets each of one capability.
async fn with_rules() -> (Town, SessionId) {
    let town = Town::new().await;
    let a = town.connect("a", &[capability("first", ALL)]).await;
    for number in 0..RULES {
        town.keep_of(number).await;
    }
    (town, a)
}

impl Town {
    async fn keep_of(&self, number: usize) {
        let rule = json!({ "contract": "a/first", "input": { "n": number }, "target": 2 });
        self.keep(&format!("r{number}"), rule).await;
    }

    /// Takes what is to be made.
    async fn to_make(&self, session: SessionId) -> Vec<Assignment> {
        let tasks = self.claim(session).await;
        assert!(tasks.iter().all(|task| task.operation.name() == "produce"), "{tasks:?}");
        tasks
    }

    /// Refuses all that is to be made; returns how much that was.
    async fn refuse_all(&self, session: SessionId) -> usize {
        let tasks = self.to_make(session).await;
        for task in &tasks {
            self.answer(session, task, refused(false)).await;
        }
        self.tend().await;
        tasks.len()
    }
}

#[tokio::test]
async fn lines_that_need_the_same_are_tried_one_at_a_time_and_all_go_on_when_it_works_again() {
    let (town, a) = with_rules().await;
    assert_eq!(town.refuse_all(a).await, 2 * RULES);
    let starved = town.stock("r7").await.starved.expect("it is starved");
    assert_eq!(
        (starved.code, starved.message.as_str()),
        ("failing", "a/first rejected 40 of 40: the domain says no")
    );
    // Whatever the time, one is tried and no more.
    let mut tried = Vec::new();
    for pause_s in [2, 3, 5, 10] {
        town.pass_s(pause_s, &[a]).await;
        let tasks = town.to_make(a).await;
        assert_eq!(tasks.len(), 1, "after {pause_s} s");
        tried.push(tasks[0].input["n"].clone());
        town.pass_s(1, &[a]).await;
        assert!(town.claim(a).await.is_empty(), "until that one has failed");
        town.answer(a, &tasks[0], refused(false)).await;
    }
    tried.dedup();
    assert_eq!(tried.len(), 4, "each time it is the turn of another one");
    // A rule that is put meanwhile has one tried, says why there are not more, and waits with the others then.
    town.keep_of(RULES).await;
    assert_eq!(town.level("r20").await, (0, 1));
    let starved = town.stock("r20").await.starved.expect("it is starved as well");
    assert!(starved.message.contains("44 of 44"), "{}", starved.message);
    assert_eq!(town.refuse_all(a).await, 1);
    let starved = town.stock("r20").await.starved.expect("it is starved as well");
    assert!(starved.message.contains("45 of 45") && starved.retry_at.is_some(), "{}", starved.message);
    assert_eq!(town.level("r20").await, (0, 0));

    let town = town.restarted().await;
    town.pass_s(18, &[a]).await;
    let tasks = town.to_make(a).await;
    assert_eq!(tasks.len(), 1, "also after a restart");
    town.answer(a, &tasks[0], made("x")).await;
    town.settle(&[a]).await;
    town.pass_s(2, &[a]).await;
    town.settle(&[a]).await;
    for number in 0..=RULES {
        assert_eq!(town.level(&format!("r{number}")).await, (2, 0), "r{number}");
        assert_eq!(town.stock(&format!("r{number}")).await.starved, None, "r{number}");
    }
}

#[tokio::test]
async fn lines_for_which_it_works_are_not_kept_back_by_those_for_which_it_does_not() {
    let (town, a) = with_rules().await;
    let works = |input: &Value| input["n"].as_u64().expect("a number") >= 2;
    let mut tries = 0;
    for _ in 0..60 {
        town.pass_s(1, &[a]).await;
        loop {
            let tasks = town.claim(a).await;
            if tasks.is_empty() {
                break;
            }
            for task in tasks {
                let answer = match task.operation.name() {
                    "produce" if !works(&task.input) => {
                        tries += 1;
                        refused(false)
                    }
                    "produce" => made(&task.idempotency_key),
                    _ => crate::validity::checked(sixpack_model::tree::Verdict::Valid, ""),
                };
                town.answer(a, &task, answer).await;
            }
        }
    }
    for number in 2..RULES {
        assert_eq!(town.level(&format!("r{number}")).await, (2, 0), "r{number}");
    }
    assert!(tries <= 20, "those that fail are left alone longer each time: {tries}");
    // Also what is taken now is there again soon.
    let taken =
        crate::stock::from(sixpack_model::request::Source::StockOnly, "a/first", json!({ "n": RULES - 1 }));
    town.take(taken).await;
    town.settle(&[a]).await;
    assert_eq!(town.level(&format!("r{}", RULES - 1)).await, (2, 0));
}

#[tokio::test]
async fn one_line_that_fails_alone_keeps_no_other_back() {
    let town = Town::new().await;
    let a = town.connect("a", &[capability("first", ALL)]).await;
    town.keep_of(0).await;
    assert_eq!(town.refuse_all(a).await, 2);
    town.keep_of(1).await;
    assert_eq!(town.level("r1").await, (0, 2));
    town.settle(&[a]).await;
    assert_eq!(town.take(stock_first("a/first")).await.leases.len(), 1);
}
