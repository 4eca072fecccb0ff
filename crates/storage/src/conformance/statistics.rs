//! Statistics: the last requests for a contract, and the last datasets of it.

use std::sync::Arc;

use serde_json::json;
use sixpack_model::limits::CHANNEL_VERSIONS_FROM;
use sixpack_model::name::ContractName;
use sixpack_model::request::RequestStatus;
use sixpack_model::statistics::Samples;
use sixpack_model::tree::{PartStatus, Tree};

use super::factories::{ENVIRONMENT, Order};
use super::fixture::Fixture;
use super::stock::{asking_stock_only, line, served, stocked, wish};
use crate::trees::{Guard, RequestEnd};

fn name(contract: &str) -> ContractName {
    contract.parse().unwrap()
}

async fn of(f: &Fixture, contract: &str, last: u32) -> Samples {
    let mut read = f.store.samples(ENVIRONMENT, &[name(contract)], last).await.unwrap();
    assert_eq!(read.len(), 1, "one for each contract");
    read.remove(0)
}

/// A tree whose root was ready so many milliseconds after it was begun.
async fn made_in(f: &Fixture, tree: &Tree, ms: i64) {
    f.clock.advance_ms(ms);
    let ready_at = Some(f.now());
    let mut change = f.ready(&f.load(tree.id).await);
    Arc::make_mut(&mut change.tree).parts[0].ready_at = ready_at;
    f.write(Guard::None, change).await;
}

pub async fn samples_say_how_long_requests_waited_and_datasets_took(f: &Fixture) {
    let tree = f.one("shop/customer").await;
    let begun = f.now();
    made_in(f, &tree, 70).await;
    let Samples { requests, parts } = of(f, "shop/ready-customer", 10).await;
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(
        (request.id, request.status, request.refills),
        (tree.request, RequestStatus::Fulfilled, false)
    );
    assert_eq!((request.created_at, request.ended_at), (begun, Some(f.now())));
    assert_eq!(request.given_at, Some(begun), "it was begun for the request");
    let [part] = parts.as_slice() else { panic!("{parts:?}") };
    assert_eq!((part.id, part.begun_at, part.ready_at), (tree.id.part(0), begun, Some(f.now())));
    assert!(part.is_made && part.failure.is_none());
}

pub async fn samples_say_what_was_there_before_it_was_asked_for(f: &Fixture) {
    let line = line(f, json!({})).await;
    let begun = f.now();
    let stocked = stocked(f, line).await;
    f.clock.advance_ms(1_000);
    let served = served(f, asking_stock_only(f, &wish(f, &[line]), 1)).await;
    let given = &served.leases.unwrap()[0];
    let samples = of(f, "shop/ready-customer", 10).await;
    let told: Vec<_> = samples.requests.iter().map(|request| (request.id, request.refills)).collect();
    assert_eq!(told, [(given.request, false), (stocked.request, true)]);
    assert_eq!(samples.requests[0].given_at, Some(begun));
    assert_eq!(samples.requests[1].given_at, None, "what refills stock is given nothing");
}

pub async fn samples_say_why_something_failed(f: &Fixture) {
    let tree = f.one("shop/customer").await;
    f.clock.advance_ms(5);
    let ended_at = f.now();
    let change = f.part_change(&tree, 1, |part| {
        part.status = PartStatus::Failed;
        part.task = None;
        part.failure = Some(f.failure());
        part.ended_at = Some(ended_at);
    });
    f.write(Guard::None, change).await;
    let end = RequestEnd { failure: Some(f.failure()), event: f.event("request.failed") };
    f.store.end_request(tree.request, RequestStatus::Failed, end).await.unwrap();
    let parts = of(f, "shop/customer", 10).await.parts;
    assert_eq!(parts.iter().map(|part| part.id).collect::<Vec<_>>(), [tree.id.part(1)]);
    assert_eq!(parts[0].failure, Some((f.failure(), ended_at)));
    let requests = of(f, "shop/ready-customer", 10).await.requests;
    assert_eq!(requests[0].failure, Some(f.failure()));
}

pub async fn samples_are_the_newest_of_each_contract_in_the_order_of_the_contracts(f: &Fixture) {
    let mut newest = Vec::new();
    for contract in ["shop/customer", "shop/account"] {
        for _ in 0..3 {
            f.clock.advance_ms(1);
            newest.push(f.one(contract).await.id.part(1));
        }
    }
    let asked = ["shop/account", "shop/nothing", "shop/customer"].map(name);
    let read = f.store.samples(ENVIRONMENT, &asked, 2).await.unwrap();
    let ids: Vec<Vec<_>> =
        read.iter().map(|samples| samples.parts.iter().map(|part| part.id).collect()).collect();
    assert_eq!(ids, [vec![newest[5], newest[4]], vec![], vec![newest[2], newest[1]]]);
    let elsewhere = f.store.samples("qa2", &asked, 2).await.unwrap();
    assert_eq!(elsewhere, vec![Samples::default(); 3]);
}

pub async fn samples_leave_out_what_belongs_to_channels_and_requests_for_several_contracts(f: &Fixture) {
    let mut order = Order::of(&["shop/customer"]);
    order.channel = Some("ada".to_owned());
    order.version = CHANNEL_VERSIONS_FROM;
    f.accept(order).await;
    let mut several = f.new_request(Order::of(&["shop/customer"]));
    several.request.listed = true;
    f.store.create_request(several).await.unwrap();
    assert_eq!(of(f, "shop/ready-customer", 10).await.requests, []);
    assert_eq!(of(f, "shop/customer", 10).await.parts.len(), 1, "a part of the deployed version");
}
