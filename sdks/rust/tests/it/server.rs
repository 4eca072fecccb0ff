//! The real server in this process, on a real store and a free port.

use std::sync::Arc;
use std::time::Duration;

use sixpack_engine::{Engine, EngineSettings, NewToken, Sweeper};
use sixpack_model::token::Role;
use sixpack_server::{ServerSettings, serve};
use sixpack_storage::sqlite::{Durability, Settings, SqliteStore};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Longest a test waits for anything; reached only when something hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The server, running until it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) token: String,
    _serving: AbortOnDropHandle<std::io::Result<()>>,
    _sweeper: Sweeper,
    _folder: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { durability: Durability::TestsOnly, ..Settings::default() };
        let store = SqliteStore::open(folder.path(), settings).unwrap();
        let engine = Engine::start(Arc::new(store), EngineSettings::default()).await.unwrap();
        let admin = NewToken {
            name: "test".into(),
            role: Role::Admin,
            environment: None,
            domain: None,
            lifetime: None,
        };
        let token = engine.create_token(admin).await.unwrap().secret;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sweeper = Sweeper::start(&engine);
        let serving = serve(listener, engine, ServerSettings::default(), CancellationToken::new());
        let serving = AbortOnDropHandle::new(tokio::spawn(serving));
        Self { url, token, _serving: serving, _sweeper: sweeper, _folder: folder }
    }
}
