//! Reruns: a dataset asked for again by a client.

use std::sync::{Arc, Mutex};

use serde_json::json;
use sixpack::wire::{Request, RerunFacts};
use sixpack::{DynamicCapability, Error, Verdict};

use crate::server::Server;

#[tokio::test]
async fn a_dataset_is_asked_for_again_and_says_which_facts_differ() {
    let server = Server::start().await;
    let order = DynamicCapability::new("order", |cx, _| async move { Ok(json!({ "seed": cx.seed() })) })
        .facts_schema(json!({"properties": {"id": {"x-volatile": true}}}))
        .with_check(|cx, _, output| async move {
            let facts = json!({ "id": cx.unique(), "seed": output["seed"], "mark": cx.unique() });
            Ok(Verdict::valid(facts))
        });
    let mut running = server.supplier(order).start().unwrap();
    running.ready().await.unwrap();
    let client = server.client();
    let first = client.request("shop/order").send().await.unwrap();
    let of = first.dataset_id().to_owned();
    first.release().await.unwrap();
    let last = Arc::new(Mutex::new(None::<Request>));
    let seen = Arc::clone(&last);
    let again = client.rerun(&of).on_progress(move |request| {
        *seen.lock().unwrap() = Some(request.clone());
    });
    let lease = again.send().await.unwrap();
    assert_ne!(lease.dataset_id(), of);
    let rerun = last.lock().unwrap().take().unwrap().rerun.unwrap();
    assert_eq!((rerun.of, rerun.facts), (of, RerunFacts::Different));
    let places: Vec<_> = rerun.differences.iter().map(|difference| difference.pointer.as_str()).collect();
    assert_eq!(places, ["/mark"], "the seed is the same, and the id is volatile");
    assert!(rerun.differences[0].before.is_some() && rerun.differences[0].after.is_some());
}

#[tokio::test]
async fn what_nobody_knows_is_refused() {
    let server = Server::start().await;
    let refused = server.client().rerun("ds_00000000000000000000000000").send().await.unwrap_err();
    assert!(matches!(&refused, Error::Problem(problem) if problem.code == "dataset_not_found"), "{refused}");
}
