//! Where looks begin, when others put something before that.

use std::time::Duration;

use sixpack_storage::Durability;
use sixpack_storage::conformance::Supplier;
use sixpack_storage::postgres::{PostgresStore, Settings};
use sixpack_storage::tasks::Tasks;

#[tokio::test]
async fn what_another_server_gives_back_is_found_when_nothing_else_is_there() {
    let (address, _, f) = crate::postgres_writer::open().await;
    let settings = Settings {
        connections: 1,
        durability: Durability::TestsOnly,
        carried: Duration::ZERO,
        ..Settings::default()
    };
    let other = PostgresStore::open(&address, settings).await.unwrap();
    let session = f.supplier(Supplier::of(&["shop/customer"])).await;
    f.one("shop/customer").await;
    let claim = f.claim_one(session).await;
    for _ in 0..6 {
        f.clock.advance_ms(10_000);
        for _ in 0..50 {
            f.one("shop/customer").await;
        }
        assert_eq!(f.claim(session, 100).await.len(), 50);
    }
    other.return_claims(&[claim]).await.unwrap();
    // A second by the clock of this machine at most: every look is a call of the database.
    let again = loop {
        if let Some(again) = f.claim(session, 10).await.pop() {
            break again;
        }
    };
    assert_eq!(again.claim, claim);
}
