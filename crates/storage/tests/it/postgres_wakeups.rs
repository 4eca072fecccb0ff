//! Wake-ups of a PostgreSQL store: told to all other servers of it, also after the connection was lost, and to no other store.

use std::collections::HashMap;
use std::time::Duration;

use sixpack_model::ids::RequestId;
use sixpack_storage::conformance::PostgresServer;
use sixpack_storage::postgres::{Address, PostgresStore};
use sixpack_storage::tokens::Tokens;
use sixpack_storage::wakeups::{Reach, Wakeup, Wakeups};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use uuid::Uuid;

use crate::postgres_opening::settings;

/// Far beyond what anything here takes.
const SOON: Duration = Duration::from_secs(60);

async fn open(address: &Address) -> PostgresStore {
    PostgresStore::open(address, settings()).await.unwrap()
}

/// A store that hears what is told.
async fn listening(address: &Address) -> PostgresStore {
    let store = open(address).await;
    // With the proof comes the notice that anything may have been missed until then.
    assert_eq!(heard(&store).await, HashMap::from([(Wakeup::Anything, 1)]));
    assert_eq!(store.reach(), Reach::Proven);
    store
}

async fn heard(store: &PostgresStore) -> HashMap<Wakeup, u32> {
    tokio::time::timeout(SOON, store.heard()).await.unwrap().into_iter().collect()
}

#[tokio::test]
async fn servers_see_how_many_share_the_store() {
    let server = PostgresServer::shared();
    let (address, other) = (server.new_address(), server.new_address());
    let (first, second, _elsewhere) =
        (listening(&address).await, listening(&address).await, listening(&other).await);
    assert_eq!(first.servers(), 1, "nobody has looked");
    first.check().await.unwrap();
    second.check().await.unwrap();
    assert_eq!((first.servers(), second.servers()), (2, 2));
    drop(second);
    let alone = async {
        while first.servers() > 1 {
            first.check().await.unwrap();
        }
    };
    tokio::time::timeout(SOON, alone).await.expect("a server that has ended is seen no more");
}

#[tokio::test]
async fn what_one_server_tells_all_others_of_the_store_hear_and_it_does_not() {
    let server = PostgresServer::shared();
    let address = server.new_address();
    let (first, second, third) =
        (listening(&address).await, listening(&address).await, listening(&address).await);
    let request = Wakeup::Request(RequestId(Uuid::from_u128(7)));
    first.tell(request.clone());
    first.tell(request.clone());
    assert_eq!(heard(&second).await, HashMap::from([(request.clone(), 1)]));
    assert_eq!(heard(&third).await, HashMap::from([(request, 1)]));
    // What was told in another store, and heard there, is not what is heard next.
    let other = server.new_address();
    let (there, beside) = (listening(&other).await, listening(&other).await);
    there.tell(Wakeup::Lines);
    assert_eq!(heard(&beside).await, HashMap::from([(Wakeup::Lines, 1)]));
    second.tell(Wakeup::Tokens);
    assert_eq!(heard(&first).await, HashMap::from([(Wakeup::Tokens, 1)]));
}

#[tokio::test]
async fn a_lost_connection_is_made_anew_and_whatever_was_missed_is_told_as_anything() {
    let server = PostgresServer::shared();
    let address = server.new_address();
    let (first, second) = (listening(&address).await, listening(&address).await);
    let kill = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{} wake-ups'",
        address.schema()
    );
    server.run(&kill).await;
    for store in [&first, &second] {
        assert_eq!(heard(store).await, HashMap::from([(Wakeup::Anything, 1)]));
        assert_eq!(store.reach(), Reach::Proven);
    }
    first.tell(Wakeup::Catalogue);
    assert_eq!(heard(&second).await, HashMap::from([(Wakeup::Catalogue, 1)]));
}

#[tokio::test]
async fn a_server_that_hears_nothing_knows_it_and_is_heard_all_the_same() {
    let server = PostgresServer::shared();
    let address = server.new_address();
    let hearing = listening(&address).await;
    let pooler = Pooler::start(server);
    let deaf = open(&pooler.address(address.schema())).await;
    for _ in 0..3 {
        hearing.tell(Wakeup::Lines);
        deaf.tell(Wakeup::Tokens);
        assert_eq!(heard(&hearing).await, HashMap::from([(Wakeup::Tokens, 1)]));
        assert_eq!(deaf.reach(), Reach::Doubtful);
    }
    let nothing = tokio::select! {
        biased;
        told = deaf.heard() => Some(told),
        () = std::future::ready(()) => None,
    };
    assert_eq!(nothing, None);
    deaf.ping().await.unwrap();
}

/// Passes connections on, and keeps what is notified to itself: as a pooler that forgets who listens.
struct Pooler {
    folder: tempfile::TempDir,
    _passing: tokio_util::task::AbortOnDropHandle<()>,
}

impl Pooler {
    fn start(server: &PostgresServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = server.socket();
        let listener = UnixListener::bind(folder.path().join(socket.file_name().unwrap())).unwrap();
        let passing = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut from_client, to_client) = client.into_split();
                let (from_server, mut to_server) = UnixStream::connect(&socket).await.unwrap().into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
                tokio::spawn(pass_on(from_server, to_client));
            }
        });
        Self { folder, _passing: tokio_util::task::AbortOnDropHandle::new(passing) }
    }

    fn address(&self, schema: &str) -> Address {
        let host = self.folder.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://sixpack@{host}/postgres?sslmode=disable&schema={schema}").parse().unwrap()
    }
}

/// Every message begins with its kind and its length.
async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> std::io::Result<()> {
    const NOTIFICATION: u8 = b'A';
    loop {
        let kind = from.read_u8().await?;
        let length = from.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        from.read_exact(&mut body).await?;
        if kind != NOTIFICATION {
            to.write_u8(kind).await?;
            to.write_u32(length).await?;
            to.write_all(&body).await?;
        }
    }
}
