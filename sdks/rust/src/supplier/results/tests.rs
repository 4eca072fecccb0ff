//! Batches, what is answered, and what is late.

use super::super::tasks::task;
use super::*;
use serde_json::json;

fn outgoing(id: &str, bytes: usize) -> Outgoing {
    Outgoing::new(&TaskResult::produced(id, 1, json!("x".repeat(bytes))))
}

fn slot() -> OwnedSemaphorePermit {
    Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().unwrap()
}

fn status(status: u16) -> Trouble {
    Trouble::Status { status, code: String::new(), retry_after: None }
}

fn answers(value: &serde_json::Value) -> Vec<ResultAnswer> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn a_batch_is_bounded_by_count_and_by_bytes() {
    let many: VecDeque<_> = (0..150).map(|index| outgoing(&index.to_string(), 1)).collect();
    assert_eq!(batch_size(&many, MAX_BATCH), 100);
    let large: VecDeque<_> = (0..3).map(|index| outgoing(&index.to_string(), MAX_BATCH_BYTES / 2)).collect();
    assert_eq!(batch_size(&large, MAX_BATCH), 1);
    let huge: VecDeque<_> = [outgoing("a", MAX_BATCH_BYTES + 1)].into();
    assert_eq!(batch_size(&huge, MAX_BATCH), 1);
}

#[test]
fn a_refused_batch_is_split_and_a_refused_result_replaced() {
    assert_eq!(after(&status(413), 40), Next::Split);
    assert_eq!(after(&status(422), 1), Next::Replace);
    assert_eq!(after(&status(503), 40), Next::Repeat);
    assert_eq!(after(&Trouble::Connection, 40), Next::Repeat);
    for ended in [401, 403, 404, 409] {
        assert_eq!(after(&status(ended), 1), Next::End, "{ended}");
    }
}

/// The outbox of an open session with these results, all of attempts that it runs.
fn outbox(ids: &[&str]) -> (mpsc::UnboundedSender<Outgoing>, Outbox) {
    let (own, incoming) = mpsc::unbounded_channel();
    let mut outbox = Outbox::new(incoming, Arc::default());
    for id in ids {
        outbox.tasks.begin(&task(id, 1));
        outbox.keep(outgoing(id, 1));
    }
    (own, outbox)
}

fn waiting(outbox: &Outbox) -> Vec<&str> {
    outbox.waiting.iter().map(|outgoing| outgoing.task_id.as_str()).collect()
}

#[test]
fn an_answered_result_is_no_longer_running() {
    let (_own, mut outbox) = outbox(&["a", "b", "c"]);
    let answer = answers(&json!([{"task_id":"a","accepted":true},
                                {"task_id":"b","accepted":false,"reason":"claim_lost"}]));
    outbox.settle(2, answer);
    assert_eq!(waiting(&outbox), ["c"]);
    assert_eq!(outbox.tasks.running(), ["c"]);
}

#[test]
fn an_unreadable_result_is_replaced_once() {
    let bad =
        || answers(&json!([{"task_id":"a","accepted":false,"reason":"bad_result","message":"after_ms"}]));
    let (_own, mut outbox) = outbox(&["a"]);
    outbox.settle(1, bad());
    assert!(is_replacement(&outbox.waiting[0]));
    assert_eq!(outbox.tasks.running(), ["a"]);
    outbox.settle(1, bad());
    assert!(outbox.waiting.is_empty() && outbox.tasks.is_empty());
}

#[test]
fn only_a_late_replacement_says_that_there_may_be_an_effect() {
    let retryable = |outbox: &Outbox| {
        let replacement = outbox.replacement(&outgoing("a", 1), "too large");
        serde_json::from_str::<TaskResult>(replacement.json.get()).unwrap().retryable
    };
    assert_eq!(retryable(&outbox(&[]).1), Some(false));
    assert_eq!(retryable(&Late::new().outbox), Some(true));
}

#[tokio::test]
async fn results_of_a_lost_session_wait_for_the_next() {
    let mut late = Late::new();
    let (own, outbox) = outbox(&["unanswered"]);
    outbox.tasks.begin(&task("unread", 1));
    outbox.tasks.begin(&task("running", 1));
    let way = late.way(own);
    way.send(&TaskResult::undone("unread", 1), slot());
    late.take_over(outbox).await;
    assert_eq!(waiting(&late.outbox), ["unanswered", "unread"]);

    way.send(&TaskResult::undone("running", 1), slot());
    late.outbox.fill().await;
    assert_eq!(waiting(&late.outbox), ["unanswered", "unread", "running"]);
    late.outbox.settle(
        3,
        answers(&json!(
            ["unanswered", "unread", "running"]
                .map(|id| json!({"task_id":id,"accepted":false,"reason":"claim_lost"}))
        )),
    );
    assert!(late.tasks().is_empty(), "a drain waits for nothing more");
}

#[tokio::test]
async fn a_result_keeps_the_slot_of_its_attempt_only_while_its_session_is_open() {
    let slots = Arc::new(tokio::sync::Semaphore::new(2));
    let (own, incoming) = mpsc::unbounded_channel();
    let mut late = Late::new();
    let way = late.way(own);
    let mut outbox = Outbox::new(incoming, Arc::default());
    for id in ["a", "b"] {
        way.send(&TaskResult::undone(id, 1), Arc::clone(&slots).try_acquire_owned().unwrap());
    }
    outbox.fill().await;
    assert_eq!((slots.available_permits(), outbox.slots(1).len()), (0, 1));
    assert_eq!(slots.available_permits(), 1, "the first was taken, and is free");
    late.take_over(outbox).await;
    assert_eq!(slots.available_permits(), 2, "the next session works with all of them");
}

#[tokio::test]
async fn of_too_many_late_results_the_oldest_is_dropped() {
    let ids: Vec<String> = (0..=MAX_LATE).map(|index| index.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let (_own, outbox) = outbox(&ids);
    assert_eq!(waiting(&outbox), ids, "an open session drops none");
    let mut late = Late::new();
    late.take_over(outbox).await;
    assert_eq!(waiting(&late.outbox), ids[1..]);
    assert_eq!(late.tasks().running().len(), MAX_LATE);
}

#[tokio::test]
async fn what_is_never_answered_is_told_from_what_was_only_refused() {
    let mut late = Late::new();
    let (own, outbox) = outbox(&["made"]);
    for id in ["running", "refused"] {
        outbox.tasks.begin(&task(id, 1));
    }
    let way = late.way(own);
    late.take_over(outbox).await;
    way.send(&TaskResult::failed("refused", 1, false, "no", "not today"), slot());
    let told: Vec<_> = late
        .unreported()
        .into_iter()
        .map(|attempt| (attempt.task_id, attempt.finished, attempt.may_have_made))
        .collect();
    assert_eq!(
        told,
        [
            ("made".to_owned(), true, true),
            ("refused".to_owned(), true, false),
            ("running".to_owned(), false, true)
        ]
    );
}
