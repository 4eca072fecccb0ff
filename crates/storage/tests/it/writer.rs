//! The writer: what fails, fails alone.

use std::sync::Arc;

use sixpack_model::tree::Part;
use sixpack_storage::StoreError;
use sixpack_storage::conformance::Order;
use sixpack_storage::trees::{Guard, TreeWrite};

use crate::conformance::open;

#[tokio::test]
async fn a_write_that_panics_is_rolled_back_alone() {
    let f = open().await;
    let (request, trees) = f.accept(Order::of(&["shop/customer"])).await;
    // To change a part that was never created is a mistake of the caller, found when much is written already.
    let mut change = f.change(&trees[0]);
    let parts = &mut Arc::make_mut(&mut change.tree).parts;
    parts.push(Part { part: 2, ..parts[1].clone() });
    change.changed.push(2);
    let mistaken = TreeWrite { guard: Guard::None, change, leases: Vec::new() };
    let order = f.new_request(Order::of(&["shop/customer"]));
    let id = order.request.id;
    let (failed, accepted) = futures::join!(f.store.write_tree(mistaken), f.store.create_request(order));
    let Err(StoreError::Broken { doing, .. }) = failed else { panic!("{failed:?}") };
    assert_eq!(doing, "writing a tree");
    accepted.unwrap();
    assert!(f.store.request(id).await.unwrap().is_some());
    assert_eq!(f.load(trees[0].id).await, trees[0]);
    assert_eq!(f.store.request(request.id).await.unwrap(), Some(request));
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_stop_the_others() {
    let f = open().await;
    let order = f.new_request(Order::of(&["shop/customer"]));
    let id = order.request.id;
    {
        let mut asked = f.store.create_request(order);
        let _ = futures::poll!(&mut asked);
    }
    f.store.ping().await.unwrap();
    // It was queued with the first poll, so it is done although nobody waits for the answer.
    assert!(f.store.request(id).await.unwrap().is_some());
}
