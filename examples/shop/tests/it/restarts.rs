//! What a service still knows when it is started again.

use shop::client::{AdminClient, CustomerClient, http_client};
use shop::customer::NewCustomer;
use shop::service::{self, Options, Peers, ServiceName};

use crate::shop::{NEVER_MS, options, until};

#[tokio::test]
async fn a_restarted_service_keeps_its_entities_its_peers_and_the_news_it_has_not_told() {
    let data = tempfile::tempdir().unwrap();
    let http = http_client().unwrap();
    let order = service::start(options(ServiceName::Order, data.path().into())).await.unwrap();
    let told = AdminClient::new(http.clone(), ServiceName::Order, order.url());

    let peers = Peers { billing: None, subscribers: vec![order.url().to_owned()] };
    let silent = Options { lag_ms: NEVER_MS, peers, ..options(ServiceName::Customer, data.path().into()) };
    let first = service::start(silent).await.unwrap();
    let client = CustomerClient::new(http.clone(), first.url());
    let new = NewCustomer { email: "ada@shop.test".into(), name: "Ada".into(), country: "FR".into() };
    let ada = client.register("ada", &new).await.unwrap();
    first.stop().await.unwrap();
    assert!(client.customer(&ada.customer_id).await.unwrap_err().is_temporary());
    assert!(told.counts().await.unwrap().are_zero());

    let second = service::start(options(ServiceName::Customer, data.path().into())).await.unwrap();
    let client = CustomerClient::new(http, second.url());
    assert_eq!(client.customer(&ada.customer_id).await.unwrap(), ada);
    assert_eq!(client.register("ada", &new).await.unwrap(), ada);
    until(|| async { (told.counts().await.unwrap().copies["known_customers"] == 1).then_some(()) }).await;
}

#[tokio::test]
async fn a_subscriber_that_is_named_late_hears_everything_from_the_beginning() {
    let data = tempfile::tempdir().unwrap();
    let http = http_client().unwrap();
    let customer = service::start(options(ServiceName::Customer, data.path().into())).await.unwrap();
    let client = CustomerClient::new(http.clone(), customer.url());
    for name in ["ada", "bob"] {
        let new = NewCustomer { email: format!("{name}@shop.test"), name: name.into(), country: "FR".into() };
        client.register(name, &new).await.unwrap();
    }
    let order = service::start(options(ServiceName::Order, data.path().into())).await.unwrap();
    let admin = AdminClient::new(http.clone(), ServiceName::Customer, customer.url());
    let peers = Peers { billing: None, subscribers: vec![order.url().to_owned()] };
    admin.set_peers(&peers).await.unwrap();
    let told = AdminClient::new(http, ServiceName::Order, order.url());
    until(|| async { (told.counts().await.unwrap().copies["known_customers"] == 2).then_some(()) }).await;
}

#[tokio::test]
async fn a_peer_that_is_no_address_is_refused_and_the_old_ones_stay() {
    let data = tempfile::tempdir().unwrap();
    let peers = Peers { billing: Some("ftp://127.0.0.1".to_owned()), subscribers: Vec::new() };
    let refused = Options { peers: peers.clone(), ..options(ServiceName::Order, data.path().into()) };
    let error = service::start(refused).await.unwrap_err();
    assert!(error.to_string().contains("ftp://127.0.0.1"), "{error}");

    let order = service::start(options(ServiceName::Order, data.path().into())).await.unwrap();
    let admin = AdminClient::new(http_client().unwrap(), ServiceName::Order, order.url());
    assert_eq!(admin.set_peers(&peers).await.unwrap_err().code, "peer_invalid");
}
