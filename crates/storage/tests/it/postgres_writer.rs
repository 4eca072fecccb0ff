//! Transactions in PostgreSQL: what is lost, what gives way, and who waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sixpack_model::ids::TokenId;
use sixpack_model::token::{Role, Token};
use sixpack_storage::conformance::{Fixture, PostgresServer};
use sixpack_storage::events::{EventFilter, Events};
use sixpack_storage::postgres::{Address, PostgresStore, Settings};
use sixpack_storage::tokens::Tokens;
use sixpack_storage::{Durability, ManualClock, StoreError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

pub(crate) async fn open() -> (Address, Arc<PostgresStore>, Fixture) {
    let server = PostgresServer::shared();
    let address = server.new_address();
    let clock = server.migrate_with(&address, ManualClock::at(Fixture::start())).await;
    let settings = Settings {
        connections: 4,
        durability: Durability::TestsOnly,
        carried: Duration::ZERO,
        ..Settings::default()
    };
    let store = Arc::new(PostgresStore::open(&address, settings).await.unwrap());
    (address, store.clone(), Fixture::new(store, clock, ()))
}

fn token(f: &Fixture, hash: u8) -> Token {
    Token {
        id: TokenId(f.id()),
        name: "ci".to_owned(),
        role: Role::Admin,
        environment: None,
        domain: None,
        hash: [hash; 32],
        created_at: f.now(),
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    }
}

/// Has a function called with each token that is kept.
async fn with_each_token(schema: &str, when: &str, body: &str) {
    let server = PostgresServer::shared();
    server
        .run(&format!(
            "CREATE SEQUENCE {schema}.calls;
             CREATE FUNCTION {schema}.called() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER calls AFTER INSERT ON {schema}.token {when}
                 FOR EACH ROW EXECUTE FUNCTION {schema}.called()"
        ))
        .await;
}

#[tokio::test]
async fn a_write_that_gives_way_is_carried_out_again() {
    let (address, store, f) = open().await;
    let schema = address.schema();
    let give_way = format!(
        "IF nextval('{schema}.calls') < 3 THEN RAISE EXCEPTION 'it meets another' USING ERRCODE = '40001'; END IF;"
    );
    with_each_token(schema, "", &give_way).await;
    let one = token(&f, 1);
    store.create_token(one.clone(), f.event("token.created")).await.unwrap();
    assert_eq!(store.tokens().await.unwrap(), [one]);
    assert_eq!(store.events(&EventFilter::default(), 0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_write_that_always_gives_way_is_unavailable_in_the_end() {
    let (address, store, f) = open().await;
    let give_way = "RAISE EXCEPTION 'it meets another' USING ERRCODE = '40P01';";
    with_each_token(address.schema(), "DEFERRABLE INITIALLY DEFERRED", give_way).await;
    let result = store.create_token(token(&f, 1), f.event("token.created")).await;
    assert!(matches!(result, Err(StoreError::Unavailable { doing: "keeping a token", .. })), "{result:?}");
    assert_eq!((store.tokens().await.unwrap(), store.last_sequence().await.unwrap()), (Vec::new(), 0));
}

#[tokio::test]
async fn a_connection_that_is_lost_before_the_commit_is_replaced() {
    let (address, store, f) = open().await;
    let schema = address.schema();
    let end = format!(
        "IF nextval('{schema}.calls') < 3 THEN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(0); END IF;"
    );
    with_each_token(schema, "", &end).await;
    let one = token(&f, 1);
    store.create_token(one.clone(), f.event("token.created")).await.unwrap();
    assert_eq!(store.tokens().await.unwrap(), [one]);
}

#[tokio::test]
async fn an_answer_that_is_lost_with_the_commit_is_said_to_be() {
    let (address, store, f) = open().await;
    let end = "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(0);";
    with_each_token(address.schema(), "DEFERRABLE INITIALLY DEFERRED", end).await;
    let result = store.create_token(token(&f, 1), f.event("token.created")).await;
    assert!(matches!(result, Err(StoreError::Unanswered { doing: "keeping a token", .. })), "{result:?}");
    store.ping().await.unwrap();
}

/// What PostgreSQL says when it ends because there is no room for its log.
const NO_ROOM: &[u8] = b"SPANIC\0VPANIC\0C53100\0Mcould not write to file: No space left on device\0\0";

/// Carries what a store and its database say to each other, until a commit is done while `armed`: then it ends as if the database had,
/// over that.
async fn end_over_a_commit(
    mut caller: UnixStream,
    mut database: UnixStream,
    armed: Arc<AtomicBool>,
) -> std::io::Result<()> {
    // A letter and a length come before the word.
    const DONE: &[u8] = b"COMMIT\0";
    const BEFORE: usize = 5;
    let (mut calls, mut caller) = caller.split();
    let (mut answers, mut database) = database.split();
    let answering = async {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let read = answers.read(&mut bytes).await?;
            let answer = &bytes[..read];
            let done = answer.windows(DONE.len()).position(|word| word == DONE);
            if let Some(done) = done.filter(|_| armed.load(Ordering::SeqCst)) {
                caller.write_all(&answer[..done - BEFORE]).await?;
                let length = u32::try_from(NO_ROOM.len() + 4).unwrap();
                return caller.write_all(&[b"E", &length.to_be_bytes()[..], NO_ROOM].concat()).await;
            }
            if read == 0 {
                return Ok(());
            }
            caller.write_all(answer).await?;
        }
    };
    tokio::select! {
        ended = answering => ended,
        ended = tokio::io::copy(&mut calls, &mut database) => ended.map(|_| ()),
    }
}

#[tokio::test]
async fn a_database_that_ends_over_a_commit_has_not_refused_it() {
    let (address, store, f) = open().await;
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
    let armed = Arc::new(AtomicBool::new(false));
    let is_armed = Arc::clone(&armed);
    tokio::spawn(async move {
        while let Ok((caller, _)) = listener.accept().await {
            let database = UnixStream::connect(PostgresServer::shared().socket()).await.unwrap();
            tokio::spawn(end_over_a_commit(caller, database, Arc::clone(&is_armed)));
        }
    });
    let place = folder.path().to_str().unwrap().replace('/', "%2F");
    let through = format!("postgres://sixpack@{place}/postgres?schema={}", address.schema());
    let settings = Settings {
        connections: 1,
        durability: Durability::TestsOnly,
        carried: Duration::ZERO,
        ..Settings::default()
    };
    let ending = PostgresStore::open(&through.parse().unwrap(), settings).await.unwrap();
    armed.store(true, Ordering::SeqCst);
    let one = token(&f, 1);
    let result = ending.create_token(one.clone(), f.event("token.created")).await;
    assert!(matches!(result, Err(StoreError::Unanswered { doing: "keeping a token", .. })), "{result:?}");
    assert_eq!(store.tokens().await.unwrap(), [one]);
}

#[tokio::test]
async fn connections_that_were_all_lost_are_replaced() {
    let (address, store, f) = open().await;
    futures::future::try_join_all((0..4).map(|_| store.ping())).await.unwrap();
    let end = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{}'",
        address.schema()
    );
    PostgresServer::shared().run(&end).await;
    assert_eq!(store.now().await.unwrap(), f.now());
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_stop_its_write() {
    let (address, store, f) = open().await;
    let one = token(&f, 1);
    {
        let mut asked = store.create_token(one.clone(), f.event("token.created"));
        let _ = futures::poll!(&mut asked);
    }
    store.close().await;
    let settings = Settings {
        connections: 1,
        durability: Durability::TestsOnly,
        carried: Duration::ZERO,
        ..Settings::default()
    };
    let store = PostgresStore::open(&address, settings).await.unwrap();
    assert_eq!(store.tokens().await.unwrap(), [one]);
}

#[tokio::test]
async fn no_event_is_read_before_all_with_lower_numbers_are_there() {
    let (address, store, f) = open().await;
    let (client, connection) =
        tokio_postgres::connect(&PostgresServer::shared().url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let tell = format!(
        "SET search_path = {}; BEGIN; SELECT event_begin();
         INSERT INTO event VALUES (nextval('event_sequence'), 0, 'staging', 'slow', NULL, NULL, 0, '{{}}', NULL)",
        address.schema()
    );
    client.batch_execute(&tell).await.unwrap();
    store.create_token(token(&f, 1), f.event("quick")).await.unwrap();
    let kinds = async || {
        let events = store.events(&EventFilter::default(), 0, 10).await.unwrap();
        events.into_iter().map(|event| event.kind.into_owned()).collect::<Vec<_>>()
    };
    assert_eq!((kinds().await, store.last_sequence().await.unwrap()), (vec![], 0));
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(kinds().await, ["slow", "quick"]);
    assert_eq!(store.last_sequence().await.unwrap(), 2);
}

#[tokio::test]
async fn nothing_is_changed_that_cannot_be_told_of() {
    let (address, store, f) = open().await;
    let refuse = format!(
        "ALTER TABLE {}.event ADD CONSTRAINT untold CHECK (kind <> 'token.created')",
        address.schema()
    );
    PostgresServer::shared().run(&refuse).await;
    store.create_token(token(&f, 1), f.event("token.created")).await.unwrap_err();
    assert_eq!((store.tokens().await.unwrap(), store.last_sequence().await.unwrap()), (Vec::new(), 0));
}

#[tokio::test]
async fn events_go_into_the_part_of_their_week() {
    let (address, store, f) = open().await;
    let week = f.now().as_millisecond() / (7 * 86_400_000);
    store.create_token(token(&f, 1), f.event("token.created")).await.unwrap();
    let schema = address.schema();
    let check = format!(
        "DO $$ BEGIN
             ASSERT (SELECT count(*) FROM {schema}.event_{week}) = 1, 'the week has the event';
             ASSERT (SELECT count(*) FROM {schema}.event_other) = 0, 'nothing is elsewhere';
             ASSERT to_regclass('{schema}.event_{}') IS NOT NULL, 'the fourth week from now is there';
         END $$",
        week + 4
    );
    PostgresServer::shared().run(&check).await;
}

#[tokio::test]
async fn the_time_is_carried_on_for_as_long_as_was_said() {
    let server = PostgresServer::shared();
    let address = server.new_address();
    let begun = Fixture::start();
    let clock = server.migrate_with(&address, ManualClock::at(begun)).await;
    let open = async |carried| {
        let settings =
            Settings { connections: 1, durability: Durability::TestsOnly, carried, ..Settings::default() };
        PostgresStore::open(&address, settings).await.unwrap()
    };
    // Longer than this test could take.
    let (asks, carries) = (open(Duration::ZERO).await, open(Duration::from_secs(3_600)).await);
    assert_eq!(asks.now().await.unwrap(), begun);
    assert_eq!(carries.now().await.unwrap(), begun);
    clock.advance_ms(7_200_000);
    let later = asks.now().await.unwrap();
    assert_eq!(later.duration_since(begun).as_millis(), 7_200_000);
    let (one, other) = (carries.now().await.unwrap(), carries.now().await.unwrap());
    assert!(begun <= one && one <= other && other < later, "{one} {other} {later}");
    carries.close().await;
    carries.now().await.unwrap_err();
}
