//! The whole server over a store of its own on a free port, a client, and a supplier that speaks the protocol by hand.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use sixpack_engine::{Engine, EngineSettings, NewToken, Sweeper};
use sixpack_model::token::Role;
use sixpack_server::{EdgeSettings, ServerSettings, serve};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::log;
use crate::place::Place;

/// What there is to read about each code.
const CODES: &str = include_str!("../../../../docs/errors.md");

/// Longest a test waits for anything; reached only when something hangs.
const DEADLINE: Duration = Duration::from_secs(30);

/// The server, running until it is dropped.
pub(crate) struct ApiServer {
    pub(crate) address: SocketAddr,
    pub(crate) engine: Engine,
    pub(crate) shutdown: CancellationToken,
    pub(crate) running: JoinHandle<std::io::Result<()>>,
    _sweeper: Sweeper,
    _place: Place,
}

impl ApiServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(settings()).await
    }

    pub(crate) async fn start_with(settings: ServerSettings) -> Self {
        Self::start_over(settings, EngineSettings::default()).await
    }

    pub(crate) async fn start_over(settings: ServerSettings, engine: EngineSettings) -> Self {
        Self::start_at(Place::new(), settings, engine).await
    }

    /// A server over the store of this place.
    pub(crate) async fn start_at(place: Place, settings: ServerSettings, engine: EngineSettings) -> Self {
        // Only the first of the tests installs it.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        log::keep();
        let engine = Engine::start(place.store().await, engine).await.unwrap();
        let sweeper = Sweeper::start(&engine);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let serving = serve(listener, engine.clone(), settings, shutdown.clone());
        let running = tokio::spawn(serving);
        Self { address, engine, shutdown, running, _sweeper: sweeper, _place: place }
    }

    /// A client with a new administrator's token.
    pub(crate) async fn admin(&self) -> Api {
        self.api(Role::Admin, None, None).await
    }

    pub(crate) async fn consumer(&self) -> Api {
        self.api(Role::Consumer, None, None).await
    }

    pub(crate) async fn supplier(&self) -> Api {
        self.api(Role::Supplier, None, None).await
    }

    /// A client with a new token.
    pub(crate) async fn api(&self, role: Role, environment: Option<&str>, domain: Option<&str>) -> Api {
        let new = NewToken {
            name: format!("test {}", role.name()),
            role,
            environment: environment.map(str::to_owned),
            domain: domain.map(str::to_owned),
            lifetime: None,
        };
        let secret = self.engine.create_token(new).await.unwrap().secret;
        self.client(Some(secret))
    }

    pub(crate) fn client(&self, secret: Option<String>) -> Api {
        let client = Client::builder().no_proxy().timeout(DEADLINE).build().unwrap();
        Api { base: format!("http://{}", self.address), client, secret }
    }
}

/// The settings of a server that stops at once when it is told to, and tells of every request.
pub(crate) fn settings() -> ServerSettings {
    let settings = ServerSettings::default();
    let edge = EdgeSettings { drain_delay: Duration::ZERO, access_log: true, ..settings.edge };
    ServerSettings { edge, ..settings }
}

/// A client with one token.
#[derive(Clone)]
pub(crate) struct Api {
    base: String,
    client: Client,
    pub(crate) secret: Option<String>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    /// An answer that was read from a socket by hand.
    pub(crate) fn from_raw(status: u16, head: &str, body: Vec<u8>) -> Self {
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let field = |(name, value): (&str, &str)| Some((name.parse().ok()?, value.parse().ok()?));
        let headers: Vec<(HeaderName, HeaderValue)> = fields.filter_map(field).collect();
        Self { status, headers: headers.into_iter().collect(), text: String::from_utf8(body).unwrap() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The code of a problem; empty for everything else.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Holds every code of a problem against the page that explains them all.
    #[track_caller]
    fn explained(self) -> Self {
        if self.header("content-type") == "application/problem+json" && !self.text.is_empty() {
            let problem = self.json();
            let faults = problem["errors"].as_array().into_iter().flatten();
            for code in faults.map(|fault| &fault["code"]).chain([&problem["code"]]) {
                let row = format!("\n| `{}` |", code.as_str().unwrap());
                assert!(CODES.contains(&row), "docs/errors.md does not explain {code}: {problem}");
            }
        }
        self
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}", self.text);
    }
}

impl Api {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.secret {
            Some(secret) => request.bearer_auth(secret),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        read(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        read(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        read(self.request(Method::POST, path).json(body)).await
    }

    /// Sends a body as it is written here.
    pub(crate) async fn post_text(&self, path: &str, body: impl Into<String>) -> Reply {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        read(request.body(body.into())).await
    }

    pub(crate) async fn put_yaml(&self, path: &str, body: &str) -> Reply {
        let request = self.request(Method::PUT, path).header("content-type", "application/yaml");
        read(request.body(body.to_owned())).await
    }

    /// Reads until the answer is as wanted; the server holds the calls, so nothing is polled in a hurry.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let reading = async {
            loop {
                let answer = self.get(path).await.expect(200);
                if wanted(&answer) {
                    return answer;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, reading)
            .await
            .unwrap_or_else(|_| panic!("{path} never came to be as wanted"))
    }
}

/// Sends a request and reads its answer.
pub(crate) async fn read(request: RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Reply { status, headers, text: response.text().await.unwrap() }.explained()
}

/// A capability as a manifest defines it, for tests that care only about its name.
pub(crate) fn capability(name: &str, operations: &[&str]) -> Value {
    json!({
        "name": name,
        "description": "A state to test with",
        "input": {"type": "object", "properties": {"country": {"type": "string", "default": "FR"}}},
        "output": {
            "type": "object",
            "properties": {
                "id": {"type": "string", "x-entity": name},
                "pin": {"type": "string", "x-secret": true}
            },
            "required": ["id"]
        },
        "operations": operations,
        "retry": {"max_attempts": 2, "first_delay_ms": 1, "max_delay_ms": 1}
    })
}

pub(crate) fn manifest(domain: &str, capabilities: &[Value]) -> Value {
    json!({
        "environment": "default",
        "domain": domain,
        "instance": "by-hand",
        "owner": {"team": format!("Team {domain}"), "contact": "team@shop.test"},
        "capabilities": capabilities
    })
}

/// A supplier by hand: each step of the protocol is a call of the test.
pub(crate) struct HandSupplier {
    pub(crate) api: Api,
    pub(crate) session: String,
}

impl HandSupplier {
    pub(crate) async fn open(api: &Api, manifest: &Value) -> Self {
        let opened = api.post("/v1/sessions", manifest).await.expect(201);
        Self { api: api.clone(), session: opened["id"].as_str().unwrap().to_owned() }
    }

    pub(crate) fn path(&self, operation: &str) -> String {
        format!("/v1/sessions/{}/{operation}", self.session)
    }

    /// Waits for one task.
    pub(crate) async fn claim(&self) -> Value {
        let claim = json!({"max": 1, "wait_s": 20});
        let tasks = self.api.post(&self.path("claim"), &claim).await.expect(200);
        assert_eq!(tasks["tasks"].as_array().unwrap().len(), 1, "no task came");
        tasks["tasks"][0].clone()
    }

    /// Answers one task; `rest` is the result without its task and attempt.
    pub(crate) async fn answer(&self, task: &Value, rest: Value) -> Value {
        let mut result = rest;
        result["task_id"] = task["id"].clone();
        result["attempt"] = task["attempt"].clone();
        let receipts = self.api.post(&self.path("results"), &json!({"results": [result]})).await.expect(200);
        receipts["results"][0].clone()
    }

    /// Claims a task, which must be this operation, and answers it.
    pub(crate) async fn perform(&self, operation: &str, rest: Value) -> Value {
        let task = self.claim().await;
        assert_eq!(task["operation"], operation, "{task}");
        let receipt = self.answer(&task, rest).await;
        assert_eq!(receipt["accepted"], true, "{receipt}");
        task
    }

    /// Serves everything well until the session ends: makes `{"id": <unique>, "pin": "1234"}`.
    pub(crate) fn serve(self) -> JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                let claim = json!({"max": 10, "wait_s": 20});
                let reply = self.api.post(&self.path("claim"), &claim).await;
                if reply.status != 200 {
                    return;
                }
                for task in reply.json()["tasks"].as_array().unwrap() {
                    let rest = match task["operation"].as_str().unwrap() {
                        "produce" => {
                            json!({"outcome": "done", "output": {"id": task["unique"], "pin": "1234"}})
                        }
                        "check" => json!({"outcome": "done", "verdict": "valid"}),
                        _ => json!({"outcome": "done"}),
                    };
                    self.answer(task, rest).await;
                }
            }
        })
    }
}

/// Waits with a deadline, so that a hanging server fails the test and not the run.
pub(crate) async fn within<T>(waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, waiting).await.expect("nothing happened until the deadline")
}
