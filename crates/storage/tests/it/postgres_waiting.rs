//! A PostgreSQL store whose database stands still: nothing waits for it without a bound, and everything goes on behind it.

use std::time::Duration;

use sixpack_model::ids::RequestId;
use sixpack_storage::conformance::PostgresServer;
use sixpack_storage::postgres::{Address, PostgresStore, Settings};
use sixpack_storage::requests::Requests;
use sixpack_storage::tokens::Tokens;
use sixpack_storage::{Durability, StoreError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// Far beyond what anything here takes: reached only by what waits without a bound.
const SOON: Duration = Duration::from_secs(60);

/// Carries everything to and from the database, until it is told to keep it: nobody is told, as when a machine stands still.
struct Way {
    folder: tempfile::TempDir,
    carries: watch::Sender<bool>,
    _passing: AbortOnDropHandle<()>,
}

impl Way {
    fn to(server: &PostgresServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = server.socket();
        let listener = UnixListener::bind(folder.path().join(socket.file_name().unwrap())).unwrap();
        let (carries, carrying) = watch::channel(true);
        let passing = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = UnixStream::connect(&socket).await.unwrap().into_split();
                tokio::spawn(carry(from_client, to_server, carrying.clone()));
                tokio::spawn(carry(from_server, to_client, carrying.clone()));
            }
        });
        Self { folder, carries, _passing: AbortOnDropHandle::new(passing) }
    }

    fn address(&self, schema: &str) -> Address {
        let host = self.folder.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://sixpack@{host}/postgres?sslmode=disable&schema={schema}").parse().unwrap()
    }
}

async fn carry(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut carrying: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut piece = [0; 4_096];
    loop {
        let read = from.read(&mut piece).await?;
        if read == 0 || carrying.wait_for(|carries| *carries).await.is_err() {
            return to.shutdown().await;
        }
        to.write_all(&piece[..read]).await?;
    }
}

#[tokio::test]
async fn a_database_that_stands_still_is_not_waited_for_without_a_bound_and_found_again() {
    let server = PostgresServer::shared();
    let way = Way::to(server);
    let settings = Settings {
        connections: 3,
        durability: Durability::TestsOnly,
        carried: Duration::ZERO,
        patience: Duration::from_millis(600),
    };
    let store = PostgresStore::open(&way.address(server.new_address().schema()), settings).await.unwrap();
    let request = RequestId(Uuid::from_u128(7));
    assert_eq!(store.request(request).await.unwrap(), None);
    store.ping().await.unwrap();

    way.carries.send_replace(false);
    // More of each than there are connections, so that some find one that has carried something before, and some none.
    let reads = futures::future::join_all((0..5).map(|_| store.request(request)));
    let times = futures::future::join_all((0..5).map(|_| store.now()));
    let writes = futures::future::join_all((0..5).map(|_| store.ping()));
    let all = async { tokio::join!(reads, times, writes) };
    let (reads, times, writes) = tokio::time::timeout(SOON, all).await.expect("nothing waits for ever");
    let errors = reads.into_iter().filter_map(Result::err).chain(times.into_iter().filter_map(Result::err));
    let errors: Vec<StoreError> = errors.chain(writes.into_iter().filter_map(Result::err)).collect();
    assert_eq!(errors.len(), 15, "nothing is answered meanwhile");
    let is_away = |error: &StoreError| matches!(error, StoreError::Unavailable { .. });
    assert!(errors.iter().all(is_away), "{errors:?}");

    way.carries.send_replace(true);
    let back = async { while store.ping().await.is_err() || store.request(request).await.is_err() {} };
    tokio::time::timeout(SOON, back).await.expect("it goes on");
    // Nothing is left under way that would keep it from closing.
    tokio::time::timeout(SOON, store.close()).await.expect("it closes");
}
