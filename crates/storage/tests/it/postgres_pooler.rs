//! Behind PgBouncer in transaction mode: what a store does otherwise there, and what it cannot do.

use std::collections::HashMap;
use std::time::Duration;

use sixpack_model::ids::TokenId;
use sixpack_model::token::{Role, Token};
use sixpack_storage::conformance::{Fixture, PgBouncer, PostgresServer};
use sixpack_storage::postgres::{Address, PostgresStore, moving};
use sixpack_storage::tokens::Tokens;
use sixpack_storage::wakeups::{Reach, Wakeup, Wakeups};
use sixpack_storage::{Durability, ManualClock, StoreError};
use uuid::Uuid;

use crate::postgres_opening::settings;

/// Far beyond what anything here takes.
const SOON: Duration = Duration::from_secs(60);

const LAX: Durability = Durability::TestsOnly;

async fn open(address: &Address) -> PostgresStore {
    PostgresStore::open(address, settings()).await.unwrap()
}

async fn heard(store: &PostgresStore) -> HashMap<Wakeup, u32> {
    tokio::time::timeout(SOON, store.heard()).await.unwrap().into_iter().collect()
}

/// An address through the pooler, of a schema that nobody has yet.
fn pooled() -> Address {
    PgBouncer::shared().address(PostgresServer::shared().new_address().schema())
}

fn token(number: u8) -> Token {
    Token {
        id: TokenId(Uuid::from_u128(number.into())),
        name: format!("token {number}"),
        role: Role::Admin,
        environment: None,
        domain: None,
        hash: [number; 32],
        created_at: Fixture::start(),
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    }
}

/// Keeps a token, and finds it again.
async fn keep(store: &PostgresStore, number: u8) -> Result<(), StoreError> {
    let fixture_event = sixpack_model::event::Event {
        sequence: 0,
        at: Fixture::start(),
        environment: "staging".to_owned(),
        kind: "token.created".into(),
        request: None,
        tree: None,
        part: 0,
        duration_ms: None,
        data: serde_json::json!({}),
    };
    store.create_token(token(number), fixture_event).await?;
    assert!(store.tokens().await?.iter().any(|kept| kept.hash == [number; 32]));
    Ok(())
}

#[tokio::test]
async fn servers_make_a_new_store_through_a_pooler_together_and_share_it() {
    let address = pooled();
    let stores = futures::future::join_all((0..3).map(|_| open(&address))).await;
    for (number, store) in (1..).zip(&stores) {
        keep(store, number).await.unwrap();
        assert_eq!(store.tokens().await.unwrap().len(), usize::from(number));
        store.check().await.unwrap();
    }
}

#[tokio::test]
async fn a_server_behind_a_pooler_tells_and_knows_that_it_hears_nothing() {
    let address = PostgresServer::shared().new_address();
    let hearing = open(&address).await;
    assert_eq!(heard(&hearing).await, HashMap::from([(Wakeup::Anything, 1)]));
    assert_eq!(hearing.reach(), Reach::Proven);
    let through = PgBouncer::shared().address(address.schema());
    let (deaf, other) = (open(&through).await, open(&through).await);
    for _ in 0..3 {
        for store in [&deaf, &other] {
            store.tell(Wakeup::Tokens);
            assert_eq!(heard(&hearing).await, HashMap::from([(Wakeup::Tokens, 1)]));
        }
        hearing.tell(Wakeup::Lines);
        keep_quiet(&deaf).await;
        keep_quiet(&other).await;
    }
}

/// Nothing was heard, and it is known that nothing will be.
async fn keep_quiet(store: &PostgresStore) {
    store.ping().await.unwrap();
    let told = tokio::select! {
        biased;
        told = store.heard() => Some(told),
        () = std::future::ready(()) => None,
    };
    assert_eq!((told, store.reach()), (None, Reach::Doubtful));
}

#[tokio::test]
async fn an_address_may_say_that_there_is_a_pooler() {
    let address = PostgresServer::shared().new_address();
    let said = format!("{}?schema={}&pooler=transaction", PostgresServer::shared().url(), address.schema());
    let (store, hearing) = (open(&said.parse().unwrap()).await, open(&address).await);
    assert_eq!(heard(&hearing).await, HashMap::from([(Wakeup::Anything, 1)]));
    store.tell(Wakeup::Tokens);
    assert_eq!(heard(&hearing).await, HashMap::from([(Wakeup::Tokens, 1)]));
    keep(&store, 1).await.unwrap();
    keep_quiet(&store).await;
}

#[tokio::test]
async fn settings_of_the_address_are_refused_where_a_pooler_takes_none() {
    let server = PostgresServer::shared();
    // One that refuses them, and one that leaves them out.
    let silent = PgBouncer::start(server, &["ignore_startup_parameters = options"]);
    for pooler in [PgBouncer::shared(), &silent] {
        let schema = server.new_address().schema().to_owned();
        let address =
            format!("{}?schema={schema}&options=-c%20work_mem%3D8MB", pooler.url()).parse().unwrap();
        let opened = PostgresStore::open(&address, settings()).await;
        let Err(StoreError::Unsuitable { reason }) = opened else { panic!("settings of nobody were taken") };
        assert!(reason.contains("ALTER ROLE"), "{reason}");
        let store = open(&pooler.address(&schema)).await;
        keep(&store, 1).await.unwrap();
        keep_quiet(&store).await;
    }
    let address: Address =
        format!("{}?options=-c%20work_mem%3D8MB", PgBouncer::shared().url()).parse().unwrap();
    let status = sixpack_storage::postgres::migrations::status(&address).await;
    assert!(matches!(status, Err(StoreError::Unsuitable { .. })), "{status:?}");
}

#[tokio::test]
async fn connections_that_the_pooler_loses_are_replaced() {
    let server = PostgresServer::start(&[]);
    let pooler = PgBouncer::start(&server, &[]);
    let store = open(&pooler.address("lost")).await;
    for number in 1..=3 {
        keep(&store, number).await.unwrap();
        server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename IS NOT NULL").await;
    }
    keep(&store, 4).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_a_pooler_loses_with_the_commit_is_said_to_be() {
    let address = pooled();
    let (store, schema) = (open(&address).await, address.schema());
    PostgresServer::shared()
        .run(&format!(
            "CREATE FUNCTION {schema}.lost() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(0); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER lost AFTER INSERT ON {schema}.token DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION {schema}.lost()"
        ))
        .await;
    let lost = keep(&store, 1).await;
    assert!(matches!(lost, Err(StoreError::Unanswered { doing: "keeping a token", .. })), "{lost:?}");
    store.ping().await.unwrap();
    assert_eq!(store.tokens().await.unwrap(), []);
}

#[tokio::test]
async fn no_statement_and_no_setting_is_left_behind_in_the_sessions_of_a_pooler() {
    let server = PostgresServer::start(&[]);
    let pooler = PgBouncer::start(&server, &["default_pool_size = 3"]);
    let store = open(&pooler.address("tidy")).await;
    let fixture = Fixture::new(std::sync::Arc::new(store), ManualClock::at(Fixture::start()), ());
    fixture.leased().await;
    // The sessions that the store has used, one after the other.
    let (client, connection) = tokio_postgres::connect(&pooler.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..4 {
        let left = "SELECT (SELECT count(*) FROM pg_prepared_statements), current_setting('search_path'),
                           current_setting('enable_seqscan'), current_setting('plan_cache_mode')";
        let row = client.query_typed_one(left, &[]).await.unwrap();
        let left: (i64, &str, &str, &str) = (row.get(0), row.get(1), row.get(2), row.get(3));
        assert_eq!(left, (0, "\"$user\", public", "on", "auto"));
    }
}

#[tokio::test]
async fn a_store_is_moved_through_a_pooler() {
    let (from, to) = (pooled(), pooled());
    let store = open(&from).await;
    keep(&store, 1).await.unwrap();
    store.close().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("export");
    let busy = moving::export(&from, &file, &mut |_| {}).await;
    assert!(busy.unwrap_err().to_string().contains("servers"), "a server has it open");
    drop(store);
    let exported = loop {
        match moving::export(&from, &file, &mut |_| {}).await {
            Err(error) if error.to_string().contains("servers") => tokio::task::yield_now().await,
            exported => break exported.unwrap(),
        }
    };
    let imported = moving::import(&file, &to, LAX, &mut |_| {}).await.unwrap();
    assert_eq!(imported, exported);
    assert_eq!(open(&to).await.tokens().await.unwrap(), [token(1)]);
}
