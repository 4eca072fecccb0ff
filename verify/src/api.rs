//! The API as a bare client: no retries of its own, so that what is sent and what came back is known exactly.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Longer than any long poll.
const CALL_LIMIT: Duration = Duration::from_secs(75);

/// A client of one server with one token.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    address: String,
    token: String,
    limit: Duration,
}

/// What a call brought back.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: u16,
    /// The body; null when it is empty.
    pub(crate) body: Value,
}

impl Api {
    /// A client of the server at `address`.
    pub(crate) fn new(address: String, token: String) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            address,
            token,
            limit: CALL_LIMIT,
        }
    }

    /// The same, by another way, and without waiting longer than `limit` for an answer.
    pub(crate) fn through(&self, address: String, limit: Duration) -> Self {
        Self { limit, ..Self::new(address, self.token.clone()) }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Whether the server takes calls.
    pub(crate) async fn is_ready(&self) -> bool {
        let call = self.call(Method::GET, "/readyz", None, None);
        matches!(call.await, Ok(Reply { status: 200, .. }))
    }

    /// Reads something that is there.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let reply = self.call(Method::GET, path, None, None).await?;
        if reply.status != 200 {
            bail!("GET {path}: {} {}", reply.status, reply.body);
        }
        Ok(reply.body)
    }

    /// Reads something that may not be there.
    pub(crate) async fn look(&self, path: &str) -> anyhow::Result<Reply> {
        self.call(Method::GET, path, None, None).await
    }

    /// Reads a page of text.
    pub(crate) async fn text(&self, path: &str) -> anyhow::Result<String> {
        let request =
            Request::builder().uri(format!("http://{}{path}", self.address)).body(Full::default())?;
        let page = tokio::time::timeout(self.limit, async {
            let answer = self.client.request(request).await.context("sending")?;
            answer.into_body().collect().await.context("reading the answer")
        });
        let page = page.await.context("no answer in time")??;
        Ok(String::from_utf8(page.to_bytes().into())?)
    }

    /// Sends a body, with an idempotency key if there is one.
    pub(crate) async fn post(&self, path: &str, body: &Value, key: Option<&str>) -> anyhow::Result<Reply> {
        self.call(Method::POST, path, Some(body.to_string()), key).await
    }

    /// Puts something in its place.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Reply> {
        self.call(Method::PUT, path, Some(body.to_string()), None).await
    }

    /// Changes something that is there.
    pub(crate) async fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Reply> {
        self.call(Method::PATCH, path, Some(body.to_string()), None).await
    }

    /// Removes something.
    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let reply = self.call(Method::DELETE, path, None, None).await?;
        if reply.status != 204 {
            bail!("DELETE {path}: {} {}", reply.status, reply.body);
        }
        Ok(())
    }

    /// Sends a scenario file.
    pub(crate) async fn put_scenario(&self, name: &str, yaml: &str) -> anyhow::Result<()> {
        let uri = format!("http://{}/v1/environments/default/scenarios/{name}", self.address);
        let request = Request::builder()
            .method(Method::PUT)
            .uri(uri)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/yaml")
            .body(Full::new(Bytes::from(yaml.to_owned())))?;
        let answer = self.client.request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("PUT {name}: {status} {}", String::from_utf8_lossy(&body));
        }
        Ok(())
    }

    /// Reads a list to its end.
    pub(crate) async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let next = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let mut page = self.get(&format!("{path}{}limit=500{next}", separator(path))).await?;
            items.extend(page["items"].as_array_mut().map(std::mem::take).unwrap_or_default());
            match page["next_cursor"].as_str() {
                Some(more) => cursor = Some(more.to_owned()),
                None => return Ok(items),
            }
        }
    }

    /// Reads every event that is kept, from the oldest on, until none comes for `quiet`.
    pub(crate) async fn events(&self, quiet: Duration) -> anyhow::Result<Vec<Value>> {
        let request = Request::builder()
            .uri(format!("http://{}/v1/events", self.address))
            .header("authorization", format!("Bearer {}", self.token))
            .header("last-event-id", "0")
            .body(Full::default())?;
        let answer = self.client.request(request).await?;
        anyhow::ensure!(answer.status().is_success(), "GET /v1/events: {}", answer.status());
        let (mut body, mut text) = (answer.into_body(), Vec::new());
        while let Ok(Some(frame)) = tokio::time::timeout(quiet, body.frame()).await {
            text.extend_from_slice(frame?.data_ref().map(|bytes| bytes.as_ref()).unwrap_or_default());
        }
        let lines = String::from_utf8(text)?;
        let data = lines.lines().filter_map(|line| line.strip_prefix("data: "));
        data.map(|data| Ok(serde_json::from_str(data)?)).collect()
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        key: Option<&str>,
    ) -> anyhow::Result<Reply> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
        tokio::time::timeout(self.limit, async {
            let answer = self.client.request(request).await.context("sending")?;
            let status = answer.status().as_u16();
            let bytes = answer.into_body().collect().await.context("reading the answer")?.to_bytes();
            Ok(Reply { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
        })
        .await
        .context("no answer in time")?
    }
}

fn separator(path: &str) -> char {
    if path.contains('?') { '&' } else { '?' }
}
