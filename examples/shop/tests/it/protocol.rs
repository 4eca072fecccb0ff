//! A server that speaks another protocol: the supplier says so and ends with the code for it.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;

/// What the server says that is two revisions ahead.
const DETAIL: &str =
    "The supplier speaks protocol 1, and this server speaks 3 to 4: upgrade the SDK of the supplier.";

type Manifests = Arc<Mutex<Vec<Value>>>;

async fn refuse(State(manifests): State<Manifests>, Json(manifest): Json<Value>) -> impl IntoResponse {
    manifests.lock().unwrap().push(manifest);
    let problem = json!({
        "type": "/docs/errors#protocol", "title": "Another protocol", "status": 409, "code": "protocol", "detail": DETAIL,
        "errors": [{"pointer": "/protocol", "code": "protocol", "message": "must be 3 to 4"}], "request_id": "r-1",
    });
    (StatusCode::CONFLICT, [(header::CONTENT_TYPE, "application/problem+json")], problem.to_string())
}

#[tokio::test]
async fn a_supplier_that_the_server_does_not_understand_says_who_is_behind_and_ends_with_69() {
    let manifests = Manifests::default();
    let server = Router::new().route("/v1/sessions", post(refuse)).with_state(Arc::clone(&manifests));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, server).await });
    let ended = Command::new(env!("CARGO_BIN_EXE_shop"))
        .args(["supplier", "customer", "--service-url", "http://127.0.0.1:9"])
        .env("SIXPACK_URL", &url)
        .env("SIXPACK_TOKEN", "of-anybody")
        .env_remove("SIXPACK_ENVIRONMENT")
        .env_remove("SIXPACK_CHANNEL")
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(30), ended).await.unwrap().unwrap();
    serving.abort();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(69), "{told}");
    assert!(told.contains(DETAIL) && told.contains("next: do what the server says"), "{told}");
    let manifests = manifests.lock().unwrap();
    assert_eq!(
        (manifests.len(), &manifests[0]["protocol"]),
        (1, &json!(1)),
        "it is said once, and not repeated"
    );
}
