//! A witness of refusals: what must be so behind every call that is refused, whatever it was.
//!
//! The answer is a problem of the documented shape, nothing was changed, and the connection that the call came on is
//! usable or was closed in order; behind the last call no list shows anything else than before, and the log can be read.

use serde_json::{Map, Value};

use crate::api_server::{Api, ApiServer, Reply};
use crate::edge_server::Client;
use crate::log;

/// Everything that can be listed.
const LISTS: [&str; 7] = ["requests", "leases", "datasets", "debts", "sessions", "tokens", "environments"];

/// Fields that change by themselves: while time passes, and when a supplier by hand sends no heartbeats.
fn passes(list: &str, field: &str) -> bool {
    match list {
        "leases" | "requests" => field == "ttl_ms",
        "sessions" => matches!(field, "last_seen_at" | "state" | "ended_at"),
        // Asking is a use as well.
        "tokens" => field == "last_used_at",
        contracts => contracts.ends_with("/contracts") && field == "status",
    }
}

/// Watches a server while it refuses.
pub(crate) struct Witness<'a> {
    server: &'a ApiServer,
    api: Api,
    client: Option<Client>,
    event: u64,
    lists: Value,
}

impl<'a> Witness<'a> {
    /// Notes how things are; `api` must be an administrator's.
    pub(crate) async fn of(server: &'a ApiServer, api: &Api) -> Self {
        log::keep();
        let (event, lists) = (last_event(server).await, lists(api).await);
        Self { server, api: api.clone(), client: None, event, lists }
    }

    /// Sends a body as JSON.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Reply {
        self.post_text(path, body.to_string()).await
    }

    /// Sends a body as it is written here.
    pub(crate) async fn post_text(&mut self, path: &str, body: impl AsRef<[u8]>) -> Reply {
        self.call("POST", path, "Content-Type: application/json\r\n", body.as_ref()).await
    }

    /// Sends a scenario file.
    pub(crate) async fn put_yaml(&mut self, path: &str, body: impl AsRef<[u8]>) -> Reply {
        self.call("PUT", path, "Content-Type: application/yaml\r\n", body.as_ref()).await
    }

    /// Asks for something.
    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        self.call("GET", path, "", b"").await
    }

    /// Sends a call, and holds everything against it that must be so whatever was sent.
    pub(crate) async fn call(&mut self, method: &str, path: &str, fields: &str, body: &[u8]) -> Reply {
        let row = format!("{method} {path:.100} {:.100}", String::from_utf8_lossy(body));
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::to(self.server.address).await,
        };
        let secret = self.api.secret.as_deref().expect("a witness has a token");
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {secret}\r\nContent-Length: {length}\r\n{fields}\r\n",
            self.server.address
        );
        let raw = client.exchange(&[head.as_bytes(), body].concat()).await;
        let raw = raw.unwrap_or_else(|| panic!("no answer to {row}"));
        let reply = Reply::from_raw(raw.status, &raw.head, raw.body);
        if raw.status >= 400 {
            assert_problem(&reply, &row);
        }
        if reply.header("connection").eq_ignore_ascii_case("close") {
            client.ended().await;
        } else {
            let ask = format!("GET /version HTTP/1.1\r\nHost: {}\r\n\r\n", self.server.address);
            client.send(ask.as_bytes()).await;
            let next = client.reply().await.map(|reply| reply.status);
            assert_eq!(next, Some(200), "the connection is usable after {row}");
            self.client = Some(client);
        }
        assert_eq!(last_event(self.server).await, self.event, "nothing happened by {row}");
        reply
    }

    /// Compares how things are with how they were.
    pub(crate) async fn end(self) {
        assert_eq!(lists(&self.api).await, self.lists, "no list has changed");
        assert_eq!(last_event(self.server).await, self.event, "nothing happened");
        log::assert_harmless();
    }
}

/// The one documented shape, with nothing in it that could steer a terminal or that is longer than a reader reads.
#[track_caller]
fn assert_problem(reply: &Reply, row: &str) {
    assert_eq!(reply.header("content-type"), "application/problem+json", "{row}: {}", reply.text);
    let problem = reply.json();
    for field in ["type", "title", "code", "detail", "request_id"] {
        assert!(
            problem[field].as_str().is_some_and(|text| !text.is_empty()),
            "{field}, {row}: {}",
            reply.text
        );
    }
    assert_eq!(problem["status"], reply.status, "{row}: {}", reply.text);
    assert_eq!(problem["request_id"], reply.header("x-request-id"), "{row}: {}", reply.text);
    let faults = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
    assert!(faults.len() <= 50, "{row}: {} faults", faults.len());
    for fault in faults {
        assert!(fault["code"].is_string() && fault["message"].is_string(), "{row}: {fault}");
    }
    let steers = |character: char| {
        character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    assert!(!reply.text.contains(steers), "{row}: {:?}", reply.text);
    assert!(reply.text.len() < 64 * 1024, "{row}: {} bytes", reply.text.len());
}

async fn last_event(server: &ApiServer) -> u64 {
    server.engine.last_event().await.expect("the store works")
}

/// What every list shows, in full.
async fn lists(api: &Api) -> Value {
    let mut shown = Map::new();
    for list in LISTS {
        shown.insert(list.to_owned(), whole(api, list).await);
    }
    for environment in shown["environments"].as_array().cloned().unwrap_or_default() {
        let contracts =
            format!("environments/{}/contracts", environment["name"].as_str().expect("it has a name"));
        let entries = whole(api, &contracts).await;
        shown.insert(contracts, entries);
    }
    Value::Object(shown)
}

async fn whole(api: &Api, list: &str) -> Value {
    let page = api.get(&format!("/v1/{list}?limit=1000")).await.expect(200);
    assert_eq!(page.get("next_cursor"), None, "{list} fits one page");
    lasting(list, page["items"].clone())
}

fn lasting(list: &str, value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(name, _)| !passes(list, name))
            .map(|(name, member)| (name, lasting(list, member)))
            .collect(),
        Value::Array(values) => values.into_iter().map(|value| lasting(list, value)).collect(),
        scalar => scalar,
    }
}
