//! Health: what is told without a token, and what a stopping server says.

use serde_json::json;
use sixpack_server::{EdgeSettings, ServerSettings, openapi};
use std::time::Duration;

use crate::api_server::ApiServer;
use crate::place::KIND;

#[tokio::test]
async fn health_is_told_without_a_token() {
    let server = ApiServer::start().await;
    let nobody = server.client(None);
    for (path, checks) in [
        ("/livez", "process: ok\n"),
        ("/readyz", "calls: ok\nprocess: ok\nstore: ok\n"),
        ("/startupz", "migrations: ok\n"),
    ] {
        for (query, text) in [
            ("", "ok\n".to_owned()),
            ("?verbose=false", "ok\n".to_owned()),
            ("?verbose", format!("{checks}ok\n")),
            ("?verbose=true", format!("{checks}ok\n")),
        ] {
            let reply = nobody.get(&format!("{path}{query}")).await;
            let plain = reply.header("content-type") == "text/plain; charset=utf-8";
            assert_eq!((reply.status, plain, &reply.text), (200, true, &text), "{path}{query}");
        }
        nobody.get(&format!("{path}?verbose=1")).await.refused(422, "unknown_value");
        nobody.get(&format!("{path}?loud")).await.refused(400, "unknown_parameter");
    }
    let health = nobody.get("/healthz").await.expect(200);
    assert_eq!(health["status"], "ok");
    let served = nobody.get("/openapi.json").await;
    assert_eq!((served.text, served.status), (openapi(), 200));
}

#[tokio::test]
async fn the_version_says_what_keeps_the_data() {
    let server = ApiServer::start().await;
    let version = server.client(None).get("/version").await.expect(200);
    assert_eq!((&version["name"], &version["api"]), (&json!("sixpack"), &json!("v1")));
    let store = &version["store"];
    assert_eq!(store["kind"], KIND);
    assert!(store["schema_version"].as_u64().is_some_and(|version| version >= 1), "{store}");
}

#[tokio::test]
async fn a_stopping_server_says_that_it_takes_no_calls_and_still_answers() {
    let edge = EdgeSettings { drain_delay: Duration::from_secs(3600), ..EdgeSettings::default() };
    let server = ApiServer::start_with(ServerSettings { edge, ..ServerSettings::default() }).await;
    let nobody = server.client(None);
    server.shutdown.cancel();
    let ready = nobody.get("/readyz").await;
    ready.refused(503, "unavailable");
    assert_eq!(ready.json()["detail"], "calls: the server is stopping.");
    let verbose = nobody.get("/readyz?verbose").await;
    verbose.refused(503, "unavailable");
    assert_eq!(verbose.json()["detail"], "calls: the server is stopping; process: ok; store: ok.");
    assert_eq!(nobody.get("/healthz").await.expect(503)["status"], "failing");
    assert_eq!(nobody.get("/livez").await.status, 200);
    server.admin().await.get("/v1/requests").await.expect(200);
    server.running.abort();
}
