//! The real server on a free port, and whoever else calls it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sixpack::wire::EventFilter;
use sixpack::{Client, DynamicCapability, EventStream, Owner, Supplier};
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
const INSTANCE: &str = "the-only-one";

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

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.url, &self.token).unwrap()
    }

    /// All events from the beginning.
    pub(crate) fn events(&self) -> EventStream {
        self.client().events(&EventFilter::default(), Some(0))
    }

    /// A supplier of the domain `shop` with this capability, whose effects can be undone.
    pub(crate) fn supplier(&self, capability: DynamicCapability) -> Supplier {
        let capability = capability.with_undo(|_cx, _input, _output| async { Ok(()) });
        let supplier = Supplier::new("shop").owner(Owner::new("Shop")).instance(INSTANCE);
        supplier.url(&self.url).token(&self.token).dynamic(capability)
    }

    /// Asks for one `shop/order`, and does not wait for it.
    pub(crate) async fn request(&self, key: &str) {
        let request = serde_json::from_value(json!({"contract": "shop/order"})).unwrap();
        self.client().create_request(&request, key, 0).await.unwrap();
    }

    /// Opens a session of the same name as the supplier's, which ends that one; returns its id.
    pub(crate) async fn usurp(&self) -> String {
        let usurper = json!({
            "environment": "default",
            "domain": "shop",
            "instance": INSTANCE,
            "owner": {"team": "Shop"},
            "capabilities": [{"name": "other", "description": "Something else", "input": {"type": "object"}, "output": {"type": "object"},
                              "operations": ["produce"]}]
        });
        let url = format!("{}/v1/sessions", self.url);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let opened = client.post(&url).bearer_auth(&self.token).json(&usurper).send().await.unwrap();
        let opened: Value = opened.json().await.unwrap();
        opened["id"].as_str().unwrap_or_else(|| panic!("{opened}")).to_owned()
    }

    /// Ends the live session of the supplier, as if the server had given it up.
    pub(crate) async fn end_session(&self) {
        let url = format!("{}/v1/sessions/{}", self.url, self.usurp().await);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.delete(url).bearer_auth(&self.token).send().await.unwrap().error_for_status().unwrap();
    }
}

/// Reads events until one of this kind.
pub(crate) async fn until(events: &mut EventStream, kind: &str) {
    let seen = async { while events.next().await.unwrap().kind != kind {} };
    tokio::time::timeout(DEADLINE, seen).await.unwrap_or_else(|_| panic!("no `{kind}` came"));
}
