//! Bad JSON bodies over HTTP: for each row the status, the code and the pointer; the server serves on.

use crate::edge_server::{Client, Reply, Server, settings};

#[tokio::test]
async fn bad_bodies_are_refused_with_their_place() {
    let server = Server::start(settings()).await;
    let deep = format!("{{\"count\":1,\"input\":{}1{}}}", "[".repeat(128), "]".repeat(128));
    let rows: Vec<(&str, &[u8], u16, &str, &str)> = vec![
        ("empty", b"", 400, "json_syntax", ""),
        ("open brace", b"{", 400, "json_syntax", ""),
        ("single quotes", b"{'count':1}", 400, "json_syntax", ""),
        ("trailing comma", b"{\"count\":1,}", 400, "json_syntax", ""),
        ("something after", b"{\"count\":1}x", 400, "json_syntax", ""),
        ("byte order mark", b"\xef\xbb\xbf{\"count\":1}", 400, "json_syntax", ""),
        ("NaN", b"{\"count\":NaN}", 400, "json_syntax", "/count"),
        ("leading zero", b"{\"count\":01}", 400, "json_syntax", "/count"),
        ("unknown escape", b"{\"count\":\"\\x\"}", 400, "json_syntax", "/count"),
        ("raw newline", b"{\"count\":\"\n\"}", 400, "json_syntax", "/count"),
        ("no UTF-8", b"{\"count\":\"\xff\"}", 400, "json_syntax", ""),
        ("lone surrogate", b"{\"count\":\"\\ud800\"}", 400, "json_syntax", "/count"),
        ("depth 128", deep.as_bytes(), 400, "json_too_deep", ""),
        ("duplicate key", b"{\"count\":1,\"\\u0063ount\":2}", 400, "duplicate_key", "/count"),
        (
            "duplicate in payload",
            b"{\"count\":1,\"input\":{\"a\":{\"b\":1,\"b\":2}}}",
            400,
            "duplicate_key",
            "/input/a/b",
        ),
        ("1e131071", b"{\"count\":1,\"input\":1e131071}", 422, "number_range", "/input"),
        ("1.0", b"{\"count\":1.0}", 422, "type", "/count"),
        ("1e2", b"{\"count\":1e2}", 422, "type", "/count"),
        ("text", b"{\"count\":\"1\"}", 422, "type", "/count"),
        ("-0", b"{\"count\":-0}", 422, "type", "/count"),
        ("true", b"{\"count\":true}", 422, "type", "/count"),
        ("null", b"{\"count\":null}", 422, "type", "/count"),
        ("-1", b"{\"count\":-1}", 422, "range", "/count"),
        ("0", b"{\"count\":0}", 422, "range", "/count"),
        ("2^63", b"{\"count\":9223372036854775808}", 422, "range", "/count"),
        ("unknown field", b"{\"count\":1,\"inptu\":{}}", 422, "unknown_field", "/inptu"),
        ("missing field", b"{}", 422, "missing_field", "/count"),
        ("NUL", b"{\"count\":1,\"input\":\"\\u0000\"}", 422, "nul_not_allowed", "/input"),
        ("NUL in a key", b"{\"count\":1,\"input\":{\"\\u0000\":1}}", 422, "nul_not_allowed", "/input"),
        ("null for an optional field", b"{\"count\":1,\"input\":null}", 422, "type", "/input"),
        ("array", b"[]", 422, "type", ""),
        ("string", b"\"x\"", 422, "type", ""),
        ("number", b"1", 422, "type", ""),
        ("null alone", b"null", 422, "type", ""),
    ];
    for (name, body, status, code, pointer) in rows {
        let reply = post(&server, "/orders", "Content-Type: application/json", body).await;
        let found = reply.json();
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{name}");
        let deep_pointer = code == "json_too_deep";
        assert!(deep_pointer || found["errors"][0]["pointer"] == pointer, "{name}: {found}");
        let placed = found["errors"][0]["line"].is_u64() && found["errors"][0]["column"].is_u64();
        assert!(placed || status == 422, "{name}: {found}");
        server.assert_serves(name).await;
    }
}

#[tokio::test]
async fn large_bodies_are_refused_by_count_and_length() {
    let server = Server::start(settings()).await;
    let items = format!("{{\"title\":[{}]}}", vec!["0"; 1_000_001].join(","));
    let keys: Vec<String> = (0..100_001).map(|n| format!("\"{n}\":0")).collect();
    let keys = format!("{{{}}}", keys.join(","));
    let key = format!("{{\"{}\":0}}", "k".repeat(1024 * 1024));
    let title = format!("{{\"title\":\"{}\"}}", "t".repeat(16 * 1024 * 1024));
    for (name, body, code) in [
        ("a million items", items, "too_many_values"),
        ("100,001 keys", keys, "too_many_values"),
        ("a key of 1 MiB", key, "key_too_long"),
        ("a title of 16 MiB", title, "too_long"),
        ("100,000 deep", "[".repeat(100_000), "json_too_deep"),
    ] {
        let reply = post(&server, "/large", "Content-Type: application/json", body.as_bytes()).await;
        assert_eq!(reply.code(), code, "{name}");
        server.assert_serves(name).await;
    }
}

#[tokio::test]
async fn only_plain_json_is_a_body() {
    let server = Server::start(settings()).await;
    for (fields, status, code) in [
        ("X-A: b", 415, "content_type"),
        ("Content-Type: text/plain", 415, "content_type"),
        ("Content-Type: application/json; charset=utf-16", 415, "content_type"),
        ("Content-Type: multipart/form-data; boundary=x", 415, "content_type"),
        ("Content-Type: application/json\r\nContent-Type: text/plain", 415, "content_type"),
        ("Content-Type: application/json\r\nContent-Encoding: gzip", 415, "content_encoding"),
        ("Content-Type: application/json; charset=UTF-8", 200, ""),
    ] {
        let reply = post(&server, "/orders", fields, b"{\"count\":1}").await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{fields}");
        server.assert_serves(fields).await;
    }
}

#[tokio::test]
async fn a_payload_comes_back_as_it_was() {
    let server = Server::start(settings()).await;
    let payload = r#"{"__proto__":{"a":1},"big":18446744073709551616,"constructor":9007199254740993,"f":1.10,"n":123456789012345678901234567890}"#;
    let body = format!(r#"{{"count":1,"input":{payload}}}"#);
    let reply = post(&server, "/orders", "Content-Type: application/json", body.as_bytes()).await;
    assert_eq!(String::from_utf8(reply.body).unwrap(), body);
}

async fn post(server: &Server, path: &str, fields: &str, body: &[u8]) -> Reply {
    let mut client: Client = server.connect().await;
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: good.test\r\n{fields}\r\nContent-Length: {length}\r\n\r\n");
    client.send(&[head.as_bytes(), body].concat()).await;
    client.reply().await.expect("a bad body is answered")
}
