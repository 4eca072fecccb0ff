//! Channels: a supplier under development beside the deployed one, and clients that name its channel.

use serde_json::json;
use sixpack::wire::{Change, ContractFilter, SessionFilter};
use sixpack::{Client, DynamicCapability, Error, Owner, Running, Supplier};

use crate::server::Server;

const CHANNEL: &str = "ada-laptop";

/// Billing as this build makes it: accounts are named after the build.
fn billing(server: &Server, build: &'static str, promised: &str) -> Supplier {
    let account = DynamicCapability::new("account", move |cx, _| async move {
        Ok(json!({ "id": format!("{build}-{}", cx.unique()), "key": build }))
    });
    let account = account
        .output_schema(json!({
            "type": "object", "required": [promised],
            "properties": { "id": { "type": "string" }, "key": { "type": "string" } },
        }))
        .with_undo(|_, _, _| async { Ok(()) });
    let supplier = Supplier::new("billing").owner(Owner::new("Billing")).build(build).instance("billing");
    supplier.url(&server.url).token(&server.token).dynamic(account)
}

async fn start(supplier: Supplier) -> Running {
    let mut running = supplier.start().unwrap();
    running.ready().await.unwrap();
    running
}

#[tokio::test]
async fn each_of_two_requests_at_once_is_made_by_the_build_that_it_names() {
    let server = Server::start().await;
    let _deployed = start(billing(&server, "deployed", "id")).await;
    let _developed = start(billing(&server, "work", "id").dev(CHANNEL)).await;
    let client = Client::new(&server.url, &server.token).unwrap();
    let ours = client.clone().in_channel(CHANNEL);
    let (plain, named, by_client) = tokio::join!(
        client.request("billing/account").send(),
        client.request("billing/account").channel(CHANNEL).send(),
        ours.request("billing/account").send(),
    );
    for (lease, build) in [(plain, "deployed"), (named, "work"), (by_client, "work")] {
        let lease = lease.unwrap();
        assert_eq!(lease.json()["key"], build);
        lease.release().await.unwrap();
    }
    let sessions = client.sessions(&SessionFilter::default()).await.unwrap().items;
    let shown: Vec<_> =
        sessions.iter().map(|session| (session.mode.as_str(), session.channel.as_deref())).collect();
    assert_eq!(shown, [("dev", Some(CHANNEL)), ("deployment", None)]);
}

#[tokio::test]
async fn a_supplier_under_development_hears_the_verdict_and_its_contract_is_shown_in_its_channel() {
    let server = Server::start().await;
    let _deployed = start(billing(&server, "deployed", "id")).await;
    let mut developed = billing(&server, "work", "key").dev(CHANNEL).start().unwrap();
    let published = developed.ready().await.unwrap();
    assert_eq!((published[0].change, published[0].against), (Change::Breaking, Some(1)));
    let client = Client::new(&server.url, &server.token).unwrap();
    let there = client.contract_in("default", CHANNEL, "billing/account", None).await.unwrap();
    assert_eq!((there.version, there.channel.as_deref()), (published[0].version, Some(CHANNEL)));
    let first = client.contract_in("default", CHANNEL, "billing/account", Some(1)).await.unwrap();
    assert_eq!(first.output["required"], json!(["id"]));
    let filter = ContractFilter { channel: Some(CHANNEL.to_owned()), ..ContractFilter::default() };
    let listed = client.contracts("default", &filter).await.unwrap();
    assert_eq!(listed.items[0].channel.as_deref(), Some(CHANNEL));
    let here = client.contract("default", "billing/account").await.unwrap();
    assert_eq!((here.version, here.channel), (1, None));
}

#[tokio::test]
async fn a_channel_that_is_gone_is_refused_by_name() {
    let server = Server::start().await;
    let _deployed = start(billing(&server, "deployed", "id")).await;
    start(billing(&server, "work", "id").dev(CHANNEL)).await.drain().await.unwrap();
    let client = Client::new(&server.url, &server.token).unwrap();
    let refused = client.request("billing/account").channel(CHANNEL).send().await.unwrap_err();
    assert!(matches!(&refused, Error::Problem(problem) if problem.code == "channel_not_found"), "{refused}");
}

#[tokio::test]
async fn a_second_supplier_in_a_channel_sends_the_first_away() {
    let server = Server::start().await;
    let first = start(billing(&server, "work", "id").dev(CHANNEL)).await;
    let _second = start(billing(&server, "work", "id").dev(CHANNEL).instance("another")).await;
    let ended = first.ended().await.unwrap_err();
    assert_eq!(ended.code(), Some("superseded"), "{ended}");
}
