//! History of stock: noted with the looks at stock, once in a span, with what refills have come to.

use serde_json::json;
use sixpack_engine::RuleHistory;
use sixpack_model::stock::{History, LevelSpan, LineCounts};

use crate::stock::stock_first;
use crate::town::{Town, refused, with_pair};

const SPAN_S: i64 = 300;

impl Town {
    async fn history(&self, name: &str) -> History {
        let name = name.parse().expect("a name");
        self.engine.stock_history(&self.consumer(), "default", &name, 288).await.expect("a rule").history
    }

    /// Begins at the beginning of a span.
    async fn at_a_span(&self) {
        let now = self.engine.now().await.expect("a store that works").as_millisecond();
        self.clock.advance_ms(SPAN_S * 1_000 - now % (SPAN_S * 1_000));
    }
}

fn span(ready: u64, coming: u64, counts: LineCounts) -> Option<LevelSpan> {
    Some(LevelSpan { ready, coming, target: 3, counts })
}

#[tokio::test]
async fn what_a_rule_had_is_noted_once_in_a_span_with_what_came_of_it() {
    let (town, a, b) = with_pair().await;
    town.at_a_span().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 3 })).await;
    let begun = town.engine.now().await.unwrap();
    let nothing_yet = span(0, 0, LineCounts::default());
    assert_eq!(
        town.history("pairs").await,
        History { since: Some(begun), every_s: 300, spans: vec![nothing_yet] }
    );

    town.settle(&[a, b]).await;
    town.pass_s(20, &[a, b]).await;
    town.tend().await;
    let made = LineCounts { made: 3, ..LineCounts::default() };
    assert_eq!(town.history("pairs").await.spans, [span(0, 0, made)], "it was noted in this span");

    town.pass_s(SPAN_S - 20, &[a, b]).await;
    town.tend().await;
    for _ in 0..4 {
        town.take(stock_first("shop/pair")).await;
    }
    town.tend().await;
    let taken = LineCounts { hits: 3, misses: 1, ..LineCounts::default() };
    assert_eq!(town.history("pairs").await.spans, [span(0, 0, made), span(3, 0, taken)]);

    // In one of the two that follow nobody looks.
    town.clock.advance_ms(2 * SPAN_S * 1_000);
    assert_eq!(town.history("pairs").await.spans[2..], [None, None]);
}

#[tokio::test]
async fn refills_that_fail_are_counted_and_what_a_request_makes_for_itself_is_not() {
    let (town, a, b) = with_pair().await;
    town.at_a_span().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 3 })).await;
    for task in town.claim(a).await {
        town.answer(a, &task, refused(false)).await;
    }
    town.tend().await;
    let counts = town.stock("pairs").await.counts;
    assert_eq!(counts, LineCounts { failed: 3, ..LineCounts::default() });
    // It is not in stock, and nothing is coming that it could take over.
    let asked = town.take(stock_first("shop/pair")).await;
    for task in town.claim(a).await {
        town.answer(a, &task, refused(false)).await;
    }
    assert!(town.request(asked.request.id).await.request.failure.is_some());
    town.tend().await;
    let counts = town.stock("pairs").await.counts;
    assert_eq!((counts.failed, counts.made, counts.misses), (3, 0, 1));
    let _ = b;
}

#[tokio::test]
async fn rules_are_told_by_name_and_share_what_their_line_had() {
    let (town, a, b) = with_pair().await;
    town.keep("pairs", json!({ "contract": "shop/pair", "target": 3 })).await;
    town.keep("more-pairs", json!({ "contract": "shop/pair", "target": 2 })).await;
    town.settle(&[a, b]).await;
    let page = sixpack_storage::page::Page::first(10);
    let told = town.engine.stock_histories(&town.consumer(), "default", page, 48).await.unwrap();
    let names: Vec<_> = told.iter().map(|told| told.rule.name.as_str()).collect();
    assert_eq!(names, ["more-pairs", "pairs"]);
    let of = |told: &RuleHistory| (told.history.every_s, told.history.spans.clone());
    assert_eq!(of(&told[0]), of(&told[1]));
    assert_eq!(told[0].history.every_s, 1_800);
    let made: u64 = told[0].history.spans.iter().flatten().map(|span| span.counts.made).sum();
    assert_eq!(made, 3, "the largest target counts");
}
