//! Opening a PostgreSQL store: only servers that keep what they acknowledge, and only schemas that are ours.

use std::time::Duration;

use sixpack_storage::StoreError;
use sixpack_storage::conformance::PostgresServer;
use sixpack_storage::postgres::{Address, PostgresStore, Settings};
use sixpack_storage::tokens::Tokens;
use sixpack_storage::{Durability, contracts::Contracts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub(crate) fn settings() -> Settings {
    Settings {
        connections: 2,
        durability: Durability::TestsOnly,
        carried: Duration::ZERO,
        ..Settings::default()
    }
}

async fn refusal(address: &Address, settings: Settings) -> String {
    match PostgresStore::open(address, settings).await {
        Err(
            StoreError::Unreadable { reason }
            | StoreError::Newer { reason }
            | StoreError::Unsuitable { reason },
        ) => reason,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("the store was opened"),
    }
}

#[tokio::test]
async fn a_server_that_keeps_what_it_acknowledges_is_good_enough() {
    let server = PostgresServer::start(&[]);
    let address = server.new_address();
    let store = PostgresStore::open(&address, Settings::default()).await.unwrap();
    store.ping().await.unwrap();
    for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
        let lax = PostgresServer::start(&[&format!("{setting}=off")]);
        let reason = refusal(&lax.new_address(), Settings::default()).await;
        assert!(reason.contains(&format!("{setting} = off")), "{reason}");
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let server = PostgresServer::shared();
    let address = server.new_address();
    drop(PostgresStore::open(&address, settings()).await.unwrap());
    let schema = address.schema();
    let newer = format!(
        "INSERT INTO {schema}.refinery_schema_history VALUES (99, 'later', '2030-01-01T00:00:00Z', '1')"
    );
    server.run(&newer).await;
    let reason = refusal(&address, settings()).await;
    assert!(reason.contains("99") && reason.contains(schema), "{reason}");
}

#[tokio::test]
async fn a_schema_of_another_program_is_left_alone() {
    let server = PostgresServer::shared();
    let address = server.new_address();
    let schema = address.schema();
    server.run(&format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.theirs (x integer)")).await;
    assert!(refusal(&address, settings()).await.contains("another program"));
}

#[tokio::test]
async fn servers_that_open_a_new_store_together_make_it_once() {
    let address = PostgresServer::shared().new_address();
    let open = || PostgresStore::open(&address, settings());
    let opened = futures::future::join_all((0..4).map(|_| open())).await;
    for store in opened {
        assert_eq!(store.unwrap().environments().await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_closed_store_takes_nothing_any_more() {
    let address = PostgresServer::shared().new_address();
    let store = PostgresStore::open(&address, settings()).await.unwrap();
    store.ping().await.unwrap();
    store.close().await;
    assert!(matches!(store.ping().await, Err(StoreError::Closed)));
    assert!(matches!(store.tokens().await, Err(StoreError::Closed)));
}

#[tokio::test]
async fn who_is_not_let_in_is_told_so() {
    let server = PostgresServer::shared();
    let stranger: Address = server.url().replace("sixpack@", "stranger@").parse().unwrap();
    let elsewhere: Address = server.url().replace("/postgres", "/nowhere").parse().unwrap();
    for (address, why) in [(stranger, "stranger"), (elsewhere, "nowhere")] {
        let Err(StoreError::Denied { cause, .. }) = PostgresStore::open(&address, settings()).await else {
            panic!("the store was opened, or refused otherwise");
        };
        let why_not = cause.source().expect("the database says why").to_string();
        assert!(why_not.contains(why), "{why_not}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_unavailable_and_its_password_stays_unsaid() {
    let address: Address = "postgres://ann:s3cret@127.0.0.1:1/x?connect_timeout=2".parse().unwrap();
    let Err(error) = PostgresStore::open(&address, settings()).await else { panic!("the store was opened") };
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_database_that_ends_connections_is_unavailable_whatever_it_says() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let address: Address = format!("postgres://ann@127.0.0.1:{port}/x?sslmode=disable").parse().unwrap();
    let ending = async {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let _hello = connection.read(&mut [0; 1_024]).await.unwrap();
            // What PostgreSQL 15 says when its disk has no room for a file that each connection reads.
            let fields = b"SFATAL\0VFATAL\0CXX000\0Mcould not write init file\0\0";
            let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
            connection.write_all(&[b"E", &length[..], &fields[..]].concat()).await.unwrap();
        }
    };
    let opened = tokio::select! {
        opened = PostgresStore::open(&address, settings()) => opened,
        () = ending => unreachable!("it ends every connection"),
    };
    let Err(error) = opened else { panic!("the store was opened") };
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
}
