//! Lists: pages, cursors, filters, and what wrong ones get.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api_server::{Api, ApiServer, HandSupplier, capability, manifest};

/// A server with seven requests, newest last.
async fn with_requests() -> (ApiServer, Api, Vec<String>) {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    HandSupplier::open(&admin, &manifest("billing", &[capability("account", &["produce"])])).await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(make(&admin).await);
    }
    (server, admin, ids)
}

async fn make(api: &Api) -> String {
    let made = api.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    made["id"].as_str().unwrap().to_owned()
}

fn ids(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn paging_shows_every_row_once_while_others_come() {
    let (_server, admin, made) = with_requests().await;
    let mut seen = Vec::new();
    let mut path = "/v1/requests?limit=3".to_owned();
    loop {
        let page = admin.get(&path).await.expect(200);
        assert!(page["items"].as_array().unwrap().iter().all(|item| item["progress"].get("steps").is_none()));
        seen.extend(ids(&page));
        make(&admin).await;
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/requests?limit=3&cursor={cursor}");
    }
    // Those of one millisecond may stand in any order.
    assert!(seen.first() > seen.last(), "newest first: {seen:?}");
    seen.sort();
    let mut expected = made;
    expected.sort();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_cursor_belongs_to_its_list_its_filters_and_its_token() {
    let (server, admin, _) = with_requests().await;
    let page = admin.get("/v1/requests?limit=2&status=building").await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    admin.get(&format!("/v1/requests?limit=5&status=building&cursor={cursor}")).await.expect(200);
    let mut flipped = cursor.to_owned().into_bytes();
    let middle = flipped.len() / 2;
    flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    for path in [
        format!("/v1/requests?cursor={cursor}"),
        format!("/v1/requests?status=failed&cursor={cursor}"),
        format!("/v1/datasets?cursor={cursor}"),
        format!("/v1/requests?status=building&cursor={flipped}"),
        format!("/v1/requests?status=building&cursor={}", &cursor[..cursor.len() - 2]),
        "/v1/requests?cursor=AAAA".to_owned(),
        format!("/v1/requests?cursor={}", "A".repeat(3_000)),
        "/v1/requests?cursor=".to_owned(),
    ] {
        admin.get(&path).await.refused(400, "bad_cursor");
    }
    let other = server.admin().await;
    other.get(&format!("/v1/requests?status=building&cursor={cursor}")).await.refused(400, "bad_cursor");
}

#[tokio::test]
async fn wrong_limits_filters_and_parameters_are_refused_everywhere() {
    let (_server, admin, _) = with_requests().await;
    let lists = [
        "requests",
        "leases",
        "datasets",
        "debts",
        "sessions",
        "tokens",
        "environments",
        "environments/default/contracts",
    ];
    for list in lists {
        for (query, status, code) in [
            ("limit=0", 422, "range"),
            ("limit=-1", 422, "range"),
            ("limit=1001", 422, "range"),
            ("limit=100000000000000000000", 422, "range"),
            ("limit=ten", 422, "type"),
            ("limit=1&limit=2", 400, "duplicate_parameter"),
            ("sort=name", 400, "unknown_parameter"),
            ("cursor=%ff", 400, "bad_encoding"),
        ] {
            let reply = admin.get(&format!("/v1/{list}?{query}")).await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (status, code),
                "{list}?{query}: {}",
                reply.text
            );
        }
        admin.get(&format!("/v1/{list}?limit=1000")).await.expect(200);
    }
    for (path, code) in [
        ("requests?status=done", "unknown_value"),
        ("leases?status=free", "unknown_value"),
        ("datasets?status=nice", "unknown_value"),
        ("datasets?entity=customer", "invalid_value"),
        ("sessions?state=asleep", "unknown_value"),
        ("environments/default/contracts?kind=page", "unknown_value"),
        ("environments/default/contracts?label=pii", "invalid_value"),
        ("events?request=req_x", "invalid_value"),
    ] {
        let reply = admin.get(&format!("/v1/{path}")).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, code), "{path}: {}", reply.text);
    }
    let long = format!("/v1/environments/default/contracts?q={}", "x".repeat(257));
    admin.get(&long).await.refused(422, "too_long");
}

#[tokio::test]
async fn filters_take_wildcards_by_their_letter() {
    let (_server, admin, _) = with_requests().await;
    for path in [
        "requests?contract=billing/%25",
        "leases?holder=%25",
        "datasets?contract=%25%25",
        "debts?contract=%25",
    ] {
        assert_eq!(admin.get(&format!("/v1/{path}")).await.expect(200)["items"], json!([]), "{path}");
    }
    let found = admin.get("/v1/environments/default/contracts?q=%25%25").await.expect(200);
    assert_eq!(found["items"], json!([]));
    assert_eq!(ids(&admin.get("/v1/requests?contract=billing/account").await.expect(200)).len(), 7);
    assert_eq!(admin.get("/v1/requests?environment=nowhere").await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn lists_in_memory_page_like_all_others() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let names = ["e", "a", "c", "b", "d"];
    let capabilities: Vec<Value> = names.iter().map(|name| capability(name, &["produce"])).collect();
    HandSupplier::open(&admin, &manifest("shop", &capabilities)).await;
    for _ in 0..3 {
        server.consumer().await;
    }
    let mut seen = Vec::new();
    let mut path = "/v1/environments/default/contracts?limit=2".to_owned();
    loop {
        let page = admin.get(&path).await.expect(200);
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/environments/default/contracts?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["shop/a", "shop/b", "shop/c", "shop/d", "shop/e"]);
    let first = admin.get("/v1/tokens?limit=2").await.expect(200);
    let second = admin
        .get(&format!("/v1/tokens?limit=2&cursor={}", first["next_cursor"].as_str().unwrap()))
        .await
        .expect(200);
    let all: BTreeSet<String> = ids(&first).into_iter().chain(ids(&second)).collect();
    assert_eq!((all.len(), second.get("next_cursor")), (4, None));
}
