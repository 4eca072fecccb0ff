//! Bad questions to lists, pages under change, and repeated calls: what each gets, and that nothing is lost or doubled.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};

use crate::api_server::{Api, ApiServer, HandSupplier, Reply, capability, manifest, read};
use crate::witness::Witness;

const LISTS: [&str; 10] = [
    "requests",
    "leases",
    "datasets",
    "debts",
    "quarantine",
    "sessions",
    "tokens",
    "environments",
    "environments/default/contracts",
    "environments/default/stock-rules",
];

async fn with_accounts() -> (ApiServer, Api) {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    HandSupplier::open(&admin, &manifest("billing", &[capability("account", &["produce"])])).await;
    (server, admin)
}

async fn make(api: &Api) -> String {
    let made = api.post("/v1/requests", &json!({"contract": "billing/account"})).await.expect(201);
    made["id"].as_str().unwrap().to_owned()
}

fn texts(page: &Value, field: &str) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_limit_is_plain_digits_from_one_to_a_thousand_on_every_list() {
    let (server, admin) = with_accounts().await;
    let mut witness = Witness::of(&server, &admin).await;
    for list in LISTS {
        for (limit, code) in [
            ("0", "range"),
            ("-1", "range"),
            ("1001", "range"),
            ("9223372036854775808", "range"),
            ("18446744073709551616", "range"),
            ("100000000000000000000", "range"),
            ("ten", "type"),
            ("", "type"),
            ("1.0", "type"),
            ("1e2", "type"),
            ("%2B5", "type"),
            ("+5", "type"),
            ("-0", "type"),
            ("01", "type"),
            ("0x10", "type"),
            ("true", "type"),
            ("%EF%BC%91", "type"),
        ] {
            let reply = witness.get(&format!("/v1/{list}?limit={limit}")).await;
            assert_eq!((reply.status, reply.code().as_str()), (422, code), "{list} {limit}: {}", reply.text);
            let fault = &reply.json()["errors"][0];
            assert_eq!(fault["pointer"], "?limit", "{list} {limit}");
            let message = fault["message"].as_str().unwrap();
            assert!(code == "type" || message.contains("1 to 1000"), "{list} {limit}: {message}");
        }
    }
    witness.get("/v1/events?limit=1").await.refused(400, "unknown_parameter");
    witness.end().await;
}

#[tokio::test]
async fn a_cursor_of_one_list_is_refused_by_every_other_and_so_is_rubbish() {
    let (server, admin) = with_accounts().await;
    make(&admin).await;
    make(&admin).await;
    server.consumer().await;
    let mut cursors: BTreeMap<&str, String> = BTreeMap::new();
    for list in LISTS {
        let page = admin.get(&format!("/v1/{list}?limit=1")).await.expect(200);
        if let Some(cursor) = page["next_cursor"].as_str() {
            cursors.insert(list, cursor.to_owned());
        }
    }
    let those: Vec<&&str> = cursors.keys().collect();
    assert!(those.len() >= 3, "there are several to mix up: {those:?}");
    let rubbish = [
        String::new(),
        "A".to_owned(),
        "AAAA".to_owned(),
        "%00".to_owned(),
        "..%2F..%2Fetc".to_owned(),
        "%27%20OR%201=1--".to_owned(),
        "null".to_owned(),
        "A".repeat(2_049),
        "A".repeat(7_000),
    ];
    let mut witness = Witness::of(&server, &admin).await;
    for list in LISTS {
        for (of, cursor) in &cursors {
            let status = witness.get(&format!("/v1/{list}?limit=1&cursor={cursor}")).await.status;
            assert_eq!(status, if *of == list { 200 } else { 400 }, "{list} with the cursor of {of}");
        }
        for cursor in &rubbish {
            let reply = witness.get(&format!("/v1/{list}?cursor={cursor}")).await;
            let code = if cursor == "%00" { "bad_encoding" } else { "bad_cursor" };
            assert_eq!((reply.status, reply.code().as_str()), (400, code), "{list} {cursor:.40}");
        }
        let long = format!("/v1/{list}?cursor={}", "A".repeat(10_240));
        witness.get(&long).await.refused(414, "uri_too_long");
    }
    let cursor = &cursors["requests"];
    for end in 0..cursor.len() {
        witness.get(&format!("/v1/requests?cursor={}", &cursor[..end])).await.refused(400, "bad_cursor");
    }
    witness.end().await;
}

#[tokio::test]
async fn a_page_goes_on_behind_a_row_that_is_gone() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    HandSupplier::open(&admin, &manifest("shop", &[capability("customer", &["produce"])])).await;
    for name in ["a", "b", "c", "d", "e"] {
        let file = format!(
            "scenario: x/{name}\nowner: {{ team: X }}\ndescription: X.\ninput: {{ type: object }}\n\
             steps:\n  one: {{ uses: shop/customer }}\noutput:\n  id: \"${{{{ steps.one.id }}}}\"\n"
        );
        let path = format!("/v1/environments/default/scenarios/x/{name}");
        admin.put_yaml(&path, &file).await.expect(201);
    }
    let list = "/v1/environments/default/contracts?domain=x&limit=2";
    let first = admin.get(list).await.expect(200);
    assert_eq!(texts(&first, "name"), ["x/a", "x/b"]);
    // The row that the cursor stands on, one before it and one behind it.
    for name in ["b", "a", "c"] {
        assert_eq!(admin.delete(&format!("/v1/environments/default/scenarios/x/{name}")).await.status, 204);
    }
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = admin.get(&format!("{list}&cursor={cursor}")).await.expect(200);
    assert_eq!(
        (texts(&second, "name"), second.get("next_cursor")),
        (vec!["x/d".to_owned(), "x/e".to_owned()], None)
    );
}

#[tokio::test]
async fn rows_that_stay_are_seen_once_while_others_come_and_go() {
    let (_server, admin) = with_accounts().await;
    let mut made = Vec::new();
    for _ in 0..24 {
        made.push(make(&admin).await);
    }
    let (leaving, staying): (Vec<_>, Vec<_>) = made.into_iter().enumerate().partition(|(at, _)| at % 4 == 0);
    let mut leaving = leaving.into_iter();
    let staying: BTreeSet<String> = staying.into_iter().map(|(_, id)| id).collect();
    let mut seen = Vec::new();
    let mut path = "/v1/requests?limit=2&status=building".to_owned();
    loop {
        let page = admin.get(&path).await.expect(200);
        seen.extend(texts(&page, "id"));
        make(&admin).await;
        if let Some((_, id)) = leaving.next() {
            admin.post(&format!("/v1/requests/{id}/cancel"), &json!({})).await.expect(200);
        }
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/requests?limit=2&status=building&cursor={cursor}");
    }
    let once: BTreeSet<String> = seen.iter().cloned().collect();
    assert_eq!(once.len(), seen.len(), "no row twice");
    assert!(once.is_superset(&staying), "missed: {:?}", staying.difference(&once).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_no_list_can_be_sorted_or_filtered_by_is_refused() {
    let (server, admin) = with_accounts().await;
    let mut witness = Witness::of(&server, &admin).await;
    for list in LISTS {
        for query in
            ["sort=name", "sort=-created_at", "order=asc", "offset=5", "page=2", "where=1=1", "q%5B%5D=a"]
        {
            let reply = witness.get(&format!("/v1/{list}?{query}")).await;
            reply.refused(400, "unknown_parameter");
        }
    }
    let contracts = "/v1/environments/default/contracts";
    let labels = |count: usize| vec!["label=a:b"; count].join("&");
    assert_eq!(admin.get(&format!("{contracts}?{}", labels(32))).await.expect(200)["items"], json!([]));
    for count in [33, 101] {
        let reply = witness.get(&format!("{contracts}?{}", labels(count))).await;
        reply.refused(422, "too_many");
        assert_eq!(reply.json()["errors"][0]["pointer"], "?label");
    }
    for wildcard in ["%25%25%25%25%25", "%5F", "*", "?", "%5C", "%27", "bill%25", "b_lling"] {
        for path in [
            format!("{contracts}?q={wildcard}"),
            format!("{contracts}?owner={wildcard}"),
            format!("{contracts}?domain={wildcard}"),
            format!("/v1/requests?contract={wildcard}"),
            format!("/v1/requests?environment={wildcard}"),
            format!("/v1/leases?holder={wildcard}"),
            format!("/v1/datasets?entity=customer:{wildcard}"),
        ] {
            assert_eq!(witness.get(&path).await.expect(200)["items"], json!([]), "{path}");
        }
    }
    witness.end().await;
}

async fn keyed(api: &Api, key: &str, path: &str, body: &str) -> Reply {
    let request = api.request(Method::POST, path).header("content-type", "application/json");
    read(request.header("idempotency-key", key).body(body.to_owned())).await
}

#[tokio::test]
async fn calls_at_once_with_one_key_make_one_request() {
    let (_server, admin) = with_accounts().await;
    let body = r#"{"contract":"billing/account"}"#;
    let key = "k".repeat(255);
    let calls = (0..12).map(|_| keyed(&admin, &key, "/v1/requests", body));
    let replies = futures::future::join_all(calls).await;
    let ids: BTreeSet<String> =
        replies.iter().map(|reply| reply.json()["id"].as_str().unwrap().to_owned()).collect();
    let made = replies.iter().filter(|reply| reply.header("idempotency-replayed").is_empty()).count();
    assert_eq!((ids.len(), made), (1, 1));
    assert_eq!(texts(&admin.get("/v1/requests").await.expect(200), "id").len(), 1);
}

#[tokio::test]
async fn a_key_stands_for_the_body_it_came_with() {
    let (_server, admin) = with_accounts().await;
    // A refused call has made nothing, so its key is still free.
    keyed(&admin, "k", "/v1/requests", r#"{"contract":"billing/acount"}"#)
        .await
        .refused(404, "contract_not_found");
    keyed(&admin, "k", "/v1/requests", r#"{"contract":"billing/account","count":0}"#)
        .await
        .refused(422, "range");
    let body = r#"{"contract":"billing/account","input":{"country":"é","n":1}}"#;
    let first = keyed(&admin, "k", "/v1/requests", body).await.expect(201)["id"].clone();
    for same in [
        r#"{ "input": {"n": 1, "country": "\u00e9"}, "contract": "billing\/account" }"#,
        r#"{"\u0063ontract":"billing/account","input":{"country":"é","n":1}}"#,
    ] {
        let reply = keyed(&admin, "k", "/v1/requests?wait_s=0", same).await;
        assert_eq!((reply.header("idempotency-replayed"), &reply.json()["id"]), ("true", &first), "{same}");
    }
    for other in [
        r#"{"contract":"billing/account","input":{"country":"é","n":1.0}}"#,
        r#"{"contract":"billing/account","input":{"country":"é","n":"1"}}"#,
        r#"{"contract":"billing/account","input":{"country":"é"}}"#,
        r#"{"contract":"billing/account","input":{"country":"é","n":1},"count":1}"#,
    ] {
        keyed(&admin, "k", "/v1/requests", other).await.refused(422, "idempotency_mismatch");
    }
    for key in ["K", "k-", "!"] {
        let another = keyed(&admin, key, "/v1/requests", body).await;
        assert_eq!((another.status, another.header("idempotency-replayed")), (201, ""), "{key}");
        assert_ne!(another.json()["id"], first, "{key}");
    }
}

#[tokio::test]
async fn a_time_in_a_payload_is_one_by_the_standard() {
    let server = ApiServer::start().await;
    let admin = server.admin().await;
    let mut at = capability("account", &["produce"]);
    at["input"] = json!({"type": "object", "properties": {"at": {"type": "string", "format": "date-time"}}});
    HandSupplier::open(&admin, &manifest("billing", &[at])).await;
    for time in [
        "2025-01-01T00:00:00Z",
        "2025-01-01T00:00:00+02:00",
        "2025-01-01T00:00:00.123456789-11:30",
        "2016-12-31T23:59:60Z",
        // What the standard allows is kept as it was written: nothing here reads times of a payload.
        "2025-01-01t00:00:00z",
        "2025-01-01T00:00:00-00:00",
        "2025-01-01T00:00:00.1234567890Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ] {
        let body = json!({"contract": "billing/account", "input": {"at": time}});
        let made = admin.post("/v1/requests", &body).await.expect(201);
        assert_eq!(made["input"]["at"], time, "it comes back as it was written");
    }
    for time in [
        "",
        "2025-01-01T00:00:00",
        "2025-01-01 00:00:00",
        "2025-01-01",
        "2025-01-01T00:00:00+99:00",
        "2025-01-01T24:00:00Z",
        "2025-02-30T00:00:00Z",
        "2025-13-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "2025-01-01T00:00Z",
        "2025-01-01T12:00:60Z",
        "1735689600",
        "now",
    ] {
        let body = json!({"contract": "billing/account", "input": {"at": time}});
        let reply = admin.post("/v1/requests", &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, "input_invalid"), "{time}: {}", reply.text);
    }
}

#[tokio::test]
async fn a_time_is_taken_nowhere_and_refused_where_a_span_is_due() {
    let (server, admin) = with_accounts().await;
    let mut witness = Witness::of(&server, &admin).await;
    for time in [
        json!("2025-01-01T00:00:00Z"),
        json!("2025-01-01t00:00:00z"),
        json!("2016-12-31T23:59:60Z"),
        json!("2025-01-01T00:00:00-00:00"),
        json!("2025-01-01T00:00:00.1234567890+02:00"),
        json!("2025-01-01 24:00"),
        json!("0000-01-01T00:00:00Z"),
        json!("P1Y"),
        json!("-PT5S"),
        json!("1 day"),
        json!("1h30"),
        json!("90s"),
    ] {
        for (path, body, at) in [
            ("/v1/requests", json!({"contract": "billing/account", "timeout_s": time}), "/timeout_s"),
            (
                "/v1/requests",
                json!({"contract": "billing/account", "lease": {"ttl_s": time}}),
                "/lease/ttl_s",
            ),
            ("/v1/tokens", json!({"name": "ci", "role": "admin", "expires_in_s": time}), "/expires_in_s"),
        ] {
            let reply = witness.post(path, &body).await;
            reply.refused(422, "type");
            assert_eq!(reply.json()["errors"][0]["pointer"], at, "{time}: {}", reply.text);
        }
        // An epoch number has no other form than a span, and is far out of the range of any.
        let reply = witness
            .post("/v1/requests", &json!({"contract": "billing/account", "timeout_s": 1_735_689_600}))
            .await;
        reply.refused(422, "range");
    }
    for parameter in ["since", "until", "after", "before", "created_after"] {
        let list = format!("/v1/requests?{parameter}=2025-01-01T00:00:00Z");
        admin.get(&list).await.refused(400, "unknown_parameter");
    }
    witness.end().await;
}
