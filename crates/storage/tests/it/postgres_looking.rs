//! Looking into stock, while somebody else wants the same.

use std::sync::Arc;

use futures::future::join;
use serde_json::{Value, json};
use sixpack_model::ids::LineId;
use sixpack_storage::conformance::{ENVIRONMENT, Fixture, Order, PostgresServer};
use sixpack_storage::requests::{Created, Looking, NewRequest};
use sixpack_storage::stock::{FillTo, StockWish, WishedLine};
use sixpack_storage::trees::{Guard, RequestAfter, Written};
use tokio_postgres::NoTls;

const CUSTOMER: &[&str] = &["shop/customer"];

async fn line(f: &Fixture, input: Value) -> LineId {
    f.store.line(ENVIRONMENT, &"shop/ready-customer".parse().unwrap(), &input).await.unwrap()
}

/// Brings one dataset into the stock of a line.
async fn stocked(f: &Fixture, line: LineId) {
    let mut new = f.new_request(Order { line: Some(line), ..Order::of(CUSTOMER) });
    new.request.refills = Some("a-rule".parse().unwrap());
    let tree = Arc::clone(&new.trees[0].tree);
    assert_eq!(f.store.refill(line, FillTo { target: 1, ahead: 1 }, vec![new]).await.unwrap(), 1);
    assert_eq!(f.write(Guard::None, f.ready(&tree)).await, Written::Done(RequestAfter::Stocked));
}

/// A request for one dataset of each line.
fn asking(f: &Fixture, lines: &[LineId], looking: Looking) -> NewRequest {
    let mut new = f.new_request(Order::of(CUSTOMER).times(lines.len() as u32));
    let pins = Arc::clone(&new.trees[0].tree.pins);
    let wish = |id: &LineId| {
        let lines = vec![WishedLine { id: *id, same_input: true, not_before: None }];
        let (environment, contract) = (ENVIRONMENT.into(), "shop/ready-customer".parse().unwrap());
        Some(Arc::new(StockWish {
            environment,
            contract,
            lines,
            select: None,
            version: 1,
            pins: pins.clone(),
        }))
    };
    new.wishes = lines.iter().map(wish).collect();
    new.looking = looking;
    if looking != Looking::Anywhere {
        new.trees = Vec::new();
    }
    new
}

#[tokio::test]
async fn who_waits_for_a_line_has_nothing_in_hand() {
    let (address, _, f) = crate::postgres_writer::open().await;
    let [there, empty] =
        [line(&f, json!({ "country": "FR" })).await, line(&f, json!({ "country": "DE" })).await];
    stocked(&f, there).await;
    let (client, connection) = tokio_postgres::connect(&PostgresServer::shared().url(), NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(&format!("SET search_path = {}", address.schema())).await.unwrap();
    let hold = format!("BEGIN; SELECT 1 FROM stock_line WHERE id = {} FOR NO KEY UPDATE", empty.0);
    client.batch_execute(&hold).await.unwrap();
    let takes = async {
        // Whoever waits for a row has its place in the queue for it.
        let waits =
            "SELECT count(*) FROM pg_locks WHERE locktype = 'tuple' AND relation = 'stock_line'::regclass";
        while client.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
        let taken = f.store.create_request(asking(&f, &[there], Looking::Fresh)).await.unwrap();
        client.batch_execute("ROLLBACK").await.unwrap();
        taken
    };
    let waits = f.store.create_request(asking(&f, &[there, empty], Looking::Anywhere));
    let (waited, taken) = join(waits, takes).await;
    assert!(matches!(taken, Created::Served(_)), "{taken:?}");
    assert_eq!(waited.unwrap(), Created::Accepted, "both are made");
    drop(client);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn who_finds_nothing_because_somebody_holds_it_waits_for_its_line_with_nothing_in_hand() {
    let (address, _, f) = crate::postgres_writer::open().await;
    let line = line(&f, json!({ "country": "FR" })).await;
    let mut new = f.new_request(Order { line: Some(line), ..Order::of(CUSTOMER) });
    new.request.refills = Some("a-rule".parse().unwrap());
    let coming = new.trees[0].tree.id;
    assert_eq!(f.store.refill(line, FillTo { target: 1, ahead: 1 }, vec![new]).await.unwrap(), 1);
    let (client, connection) = tokio_postgres::connect(&PostgresServer::shared().url(), NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    // Of two who wait for each other this one is told.
    let settings = format!("SET search_path = {}; SET deadlock_timeout = '1ms'", address.schema());
    client.batch_execute(&settings).await.unwrap();
    // As whoever brings it into stock: the line, the dataset, and then its place among those that are coming.
    let hold = format!(
        "BEGIN; SELECT 1 FROM stock_line WHERE id = {} FOR NO KEY UPDATE; SELECT 1 FROM tree WHERE id = '{}' FOR NO KEY UPDATE",
        line.0, coming.0
    );
    client.batch_execute(&hold).await.unwrap();
    let brings = async {
        let waits =
            "SELECT count(*) FROM pg_locks WHERE locktype = 'tuple' AND relation = 'stock_line'::regclass";
        while client.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
        let leave = format!("DELETE FROM stock_coming WHERE line = {} AND tree = '{}'", line.0, coming.0);
        client.batch_execute(&leave).await.expect("nobody who waits for the line is in the way");
        client.batch_execute("ROLLBACK").await.unwrap();
    };
    let waits = f.store.create_request(asking(&f, &[line], Looking::Anywhere));
    let (waited, ()) = join(waits, brings).await;
    assert!(matches!(waited.unwrap(), Created::Served(_)), "what is coming is taken over then");
    drop(client);
    connection.await.unwrap().unwrap();
}
