//! Retention in PostgreSQL, while somebody else has in hand what it wants to take away.

use sixpack_storage::conformance::{PostgresServer, retention};
use tokio_postgres::NoTls;

const DAY_MS: u64 = 24 * 3_600_000;

#[tokio::test]
async fn a_lease_whose_dataset_somebody_is_changing_is_left_to_the_next_look() {
    let (address, _, f) = crate::postgres_writer::open().await;
    let tree = retention::used_up(&f).await;
    f.clock.advance_ms(3 * DAY_MS as i64);
    let (client, connection) = tokio_postgres::connect(&PostgresServer::shared().url(), NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(&format!("SET search_path = {}", address.schema())).await.unwrap();
    let hold = format!("BEGIN; SELECT 1 FROM tree WHERE id = '{}' FOR NO KEY UPDATE", tree.id.0);
    client.batch_execute(&hold).await.unwrap();
    assert_eq!(f.store.prune_leases(DAY_MS, None, 10).await.unwrap().gone, []);
    // It has left something behind that could not be undone, and whoever looks after that wants to know who had it.
    let debt = format!("UPDATE dataset SET status = 11 WHERE tree = '{}' AND part = 0; COMMIT", tree.id.0);
    client.batch_execute(&debt).await.unwrap();
    assert_eq!(f.store.prune_leases(DAY_MS, None, 10).await.unwrap().gone, []);
    let undone = format!("UPDATE dataset SET status = 9 WHERE tree = '{}' AND part = 0", tree.id.0);
    client.batch_execute(&undone).await.unwrap();
    assert_eq!(f.store.prune_leases(DAY_MS, None, 10).await.unwrap().gone.len(), 1);
    drop(client);
    connection.await.unwrap().unwrap();
}
