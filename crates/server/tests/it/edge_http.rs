//! Bad HTTP: for each row the status, the code, and whether the connection ends; the server serves on.

use std::time::Duration;

use sixpack_server::edge::EdgeSettings;

use crate::edge_server::{Client, ORDER_MAX_BYTES, Server, settings, within};
use crate::log;

/// Name, bytes, status (0: closed without an answer), code, whether the connection is closed.
type Row = (&'static str, Vec<u8>, u16, &'static str, bool);

const CLOSED: bool = true;
const OPEN: bool = false;

#[tokio::test]
async fn heads_that_can_be_misread_are_refused_and_closed() {
    let head = |fields: &str| format!("POST /orders HTTP/1.1\r\n{fields}\r\n{{\"count\":1}}").into_bytes();
    let get = |rest: &str| format!("GET /things/7 {rest}").into_bytes();
    let many = "X-A: b\r\n".repeat(64);
    let block = format!("X-A: {}\r\n", "b".repeat(33 * 1024));
    let long = "a".repeat(9 * 1024);
    let rows: Vec<Row> = vec![
        (
            "65 headers",
            get(&format!("HTTP/1.1\r\nHost: good.test\r\n{many}\r\n")),
            431,
            "headers_too_large",
            CLOSED,
        ),
        (
            "block of 33 KiB",
            get(&format!("HTTP/1.1\r\nHost: good.test\r\n{block}\r\n")),
            431,
            "headers_too_large",
            CLOSED,
        ),
        (
            "endless header",
            get(&format!("HTTP/1.1\r\nX-A: {}", "b".repeat(64 * 1024))),
            431,
            "headers_too_large",
            CLOSED,
        ),
        (
            "URI of 9 KiB",
            format!("GET /{long} HTTP/1.1\r\nHost: good.test\r\n\r\n").into(),
            414,
            "uri_too_long",
            CLOSED,
        ),
        ("endless URI", format!("GET /{long}").into(), 414, "uri_too_long", CLOSED),
        ("no Host", get("HTTP/1.1\r\n\r\n"), 400, "bad_host", CLOSED),
        ("two Hosts", get("HTTP/1.1\r\nHost: good.test\r\nHost: good.test\r\n\r\n"), 400, "bad_host", CLOSED),
        ("empty Host", get("HTTP/1.1\r\nHost:\r\n\r\n"), 400, "bad_host", CLOSED),
        ("other Host", get("HTTP/1.1\r\nHost: evil\r\n\r\n"), 421, "unknown_host", OPEN),
        (
            "CL and TE",
            head("Host: good.test\r\nContent-Length: 11\r\nTransfer-Encoding: chunked\r\n"),
            400,
            "bad_transfer_encoding",
            CLOSED,
        ),
        (
            "TE and CL",
            head("Host: good.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 11\r\n"),
            400,
            "bad_transfer_encoding",
            CLOSED,
        ),
        (
            "TE gzip, chunked",
            head("Host: good.test\r\nTransfer-Encoding: gzip, chunked\r\n"),
            400,
            "bad_transfer_encoding",
            CLOSED,
        ),
        (
            "TE twice",
            head("Host: good.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            400,
            "bad_transfer_encoding",
            CLOSED,
        ),
        (
            "TE in HTTP/1.0",
            b"POST /orders HTTP/1.0\r\nHost: good.test\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
            400,
            "bad_transfer_encoding",
            CLOSED,
        ),
        (
            "two CLs",
            head("Host: good.test\r\nContent-Length: 11\r\nContent-Length: 12\r\n"),
            400,
            "bad_content_length",
            CLOSED,
        ),
        (
            "same CL twice",
            head("Host: good.test\r\nContent-Length: 11\r\nContent-Length: 11\r\n"),
            400,
            "bad_content_length",
            CLOSED,
        ),
        ("CL -1", head("Host: good.test\r\nContent-Length: -1\r\n"), 400, "bad_content_length", CLOSED),
        ("CL +5", head("Host: good.test\r\nContent-Length: +5\r\n"), 400, "bad_content_length", CLOSED),
        ("CL 5, 5", head("Host: good.test\r\nContent-Length: 5, 5\r\n"), 400, "bad_content_length", CLOSED),
        (
            "CL of 20 digits",
            head("Host: good.test\r\nContent-Length: 99999999999999999999\r\n"),
            400,
            "bad_content_length",
            CLOSED,
        ),
        ("obs-fold", get("HTTP/1.1\r\nHost: good.test\r\nX-A: b\r\n c\r\n\r\n"), 400, "bad_header", CLOSED),
        ("space before colon", get("HTTP/1.1\r\nHost : good.test\r\n\r\n"), 400, "bad_header", CLOSED),
        ("no colon", get("HTTP/1.1\r\nHost good.test\r\n\r\n"), 400, "bad_header", CLOSED),
        ("NUL in header", get("HTTP/1.1\r\nHost: good.test\r\nX-A: b\0c\r\n\r\n"), 400, "bad_header", CLOSED),
        (
            "bare CR in header",
            get("HTTP/1.1\r\nHost: good.test\r\nX-A: b\rc\r\n\r\n"),
            400,
            "bad_header",
            CLOSED,
        ),
        ("bare LF", get("HTTP/1.1\nHost: good.test\n\n"), 400, "bad_head", CLOSED),
        ("bare LF later", get("HTTP/1.1\r\nHost: good.test\nX-A: b\r\n\r\n"), 400, "bad_head", CLOSED),
        ("HTTP/0.9", b"GET /things/7\r\n".to_vec(), 400, "bad_request_line", CLOSED),
        (
            "TLS hello",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            400,
            "bad_request_line",
            CLOSED,
        ),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), 400, "bad_request_line", CLOSED),
        (
            "two spaces",
            b"GET  /things/7 HTTP/1.1\r\nHost: good.test\r\n\r\n".to_vec(),
            400,
            "bad_request_line",
            CLOSED,
        ),
        (
            "absolute form",
            b"GET http://good.test/things/7 HTTP/1.1\r\nHost: good.test\r\n\r\n".to_vec(),
            400,
            "bad_target",
            CLOSED,
        ),
        (
            "raw bytes in target",
            b"GET /things/\xc3\xa9 HTTP/1.1\r\nHost: good.test\r\n\r\n".to_vec(),
            400,
            "bad_target",
            CLOSED,
        ),
        (
            "CONNECT",
            b"CONNECT evil.test:443 HTTP/1.1\r\nHost: good.test\r\n\r\n".to_vec(),
            400,
            "bad_target",
            CLOSED,
        ),
    ];
    assert_rows(&Server::start(settings()).await, rows).await;
}

#[tokio::test]
async fn wrong_targets_methods_and_preferences_are_told() {
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: good.test\r\n\r\n").into_bytes();
    let method = |line: &str| format!("{line} HTTP/1.1\r\nHost: good.test\r\n\r\n").into_bytes();
    let with =
        |field: &str| format!("GET /things/7 HTTP/1.1\r\nHost: good.test\r\n{field}\r\n\r\n").into_bytes();
    let rows: Vec<Row> = vec![
        ("path %00", get("/names/a%00"), 400, "bad_encoding", OPEN),
        ("path %ff", get("/names/%ff"), 400, "bad_encoding", OPEN),
        ("path %2", get("/names/%2"), 400, "bad_encoding", OPEN),
        ("encoded dots", get("/things/..%2f..%2fetc"), 404, "not_found", OPEN),
        ("dots", get("/names/../things/7"), 404, "route_not_found", OPEN),
        ("two slashes", get("//things/7"), 404, "route_not_found", OPEN),
        ("only slashes", get("//"), 404, "route_not_found", OPEN),
        ("trailing slash", get("/things/7/"), 404, "route_not_found", OPEN),
        ("trailing dot", get("/things/7."), 404, "not_found", OPEN),
        ("segment of 255", get(&format!("/things/{}", "7".repeat(255))), 404, "not_found", OPEN),
        ("upper case", get("/THINGS/7"), 404, "route_not_found", OPEN),
        ("query %ff", get("/things?text=%ff"), 400, "bad_encoding", OPEN),
        ("query twice", get("/things?text=a&text=b"), 400, "duplicate_parameter", OPEN),
        ("query unknown", get("/things?txt=a"), 400, "unknown_parameter", OPEN),
        ("query where none is", get("/plain?x=1"), 400, "unknown_parameter", OPEN),
        ("empty value", get("/things?text="), 200, "", OPEN),
        ("FOO", method("FOO /things"), 405, "method_not_allowed", OPEN),
        ("DELETE on a list", method("DELETE /things"), 405, "method_not_allowed", OPEN),
        ("TRACE", method("TRACE /things"), 501, "not_implemented", OPEN),
        ("Accept xml", with("Accept: application/xml"), 406, "not_acceptable", OPEN),
        ("no coding at all", with("Accept-Encoding: br;q=0, *;q=0"), 200, "", OPEN),
        ("a thousand ranges", with(&format!("Range: bytes=0-{}", ",0-".repeat(1_000))), 200, "", OPEN),
        ("unknown expectation", with("Expect: coffee"), 417, "expectation_failed", OPEN),
        ("panic", get("/panic"), 500, "internal", OPEN),
    ];
    let server = Server::start(settings()).await;
    assert_rows(&server, rows).await;
    assert_eq!(server.settings.counters.panics.get(), 1);
    let mut client = server.connect().await;
    client.send(&method("DELETE /things")).await;
    let reply = client.reply().await.unwrap();
    assert_eq!(reply.header("allow"), Some("GET,HEAD"));
}

#[tokio::test]
async fn bodies_that_break_their_framing_are_refused_and_closed() {
    let chunked = |body: &str| {
        let fields = "Host: good.test\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked";
        format!("POST /orders HTTP/1.1\r\n{fields}\r\n\r\n{body}").into_bytes()
    };
    let declared = |length: usize, body: &str| {
        let fields = "Host: good.test\r\nContent-Type: application/json";
        format!("POST /orders HTTP/1.1\r\n{fields}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
    };
    let sound = r#"{"count":1}"#;
    let padded = |len: usize| format!("{sound}{}", " ".repeat(len - sound.len()));
    let (full, over) = (padded(ORDER_MAX_BYTES), padded(ORDER_MAX_BYTES + 1));
    let extended = format!("b;{}\r\n{sound}\r\n0\r\n\r\n", "e".repeat(1024 * 1024));
    let expecting = b"POST /orders HTTP/1.1\r\nHost: good.test\r\nContent-Type: application/json\r\n\
        Content-Length: 1025\r\nExpect: 100-continue\r\n\r\n";
    let rows: Vec<Row> = vec![
        ("sound chunks", chunked(&format!("b\r\n{sound}\r\n0\r\n\r\n")), 200, "", OPEN),
        ("chunk size overflow", chunked("FFFFFFFFFFFFFFFFF\r\nx"), 400, "bad_body", CLOSED),
        ("chunk extension of 1 MiB", chunked(&extended), 400, "bad_body", CLOSED),
        ("chunk too long", chunked(&format!("a\r\n{sound}\r\n0\r\n\r\n")), 400, "bad_body", CLOSED),
        ("bare LF after a chunk", chunked(&format!("b\r\n{sound}\n0\r\n\r\n")), 400, "bad_body", CLOSED),
        ("body at the cap", declared(ORDER_MAX_BYTES, &full), 200, "", OPEN),
        ("body over the cap", declared(ORDER_MAX_BYTES + 1, &over), 413, "body_too_large", CLOSED),
        (
            "chunks over the cap",
            chunked(&format!("401\r\n{over}\r\n0\r\n\r\n")),
            413,
            "body_too_large",
            CLOSED,
        ),
        ("declared and not sent", declared(1 << 40, ""), 413, "body_too_large", CLOSED),
        ("expecting with a body too big", expecting.to_vec(), 413, "body_too_large", CLOSED),
        (
            "body nobody reads",
            b"POST /unread HTTP/1.1\r\nHost: good.test\r\nContent-Length: 9\r\n\r\n".to_vec(),
            200,
            "",
            CLOSED,
        ),
    ];
    assert_rows(&Server::start(settings()).await, rows).await;
}

#[tokio::test]
async fn a_body_that_ends_early_is_refused() {
    let server = Server::start(settings()).await;
    for body in [
        "Transfer-Encoding: chunked\r\n\r\nb\r\n{\"count\":1}\r\n",
        "Content-Length: 12\r\n\r\n{\"count\":1}",
    ] {
        let mut client = server.connect().await;
        let head = "POST /orders HTTP/1.1\r\nHost: good.test\r\nContent-Type: application/json\r\n";
        client.send(format!("{head}{body}").as_bytes()).await;
        tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
        let reply = client.reply().await.unwrap();
        assert_eq!((reply.status, reply.code().as_str()), (400, "bad_body"), "{body}");
        client.ended().await;
    }
    server.assert_serves("bodies that end early").await;
}

#[tokio::test]
async fn what_comes_too_slowly_is_told_and_closed() {
    // Long enough that the good requests in between are never late themselves.
    let short = Duration::from_millis(400);
    let slow = EdgeSettings { header_timeout: short, body_timeout: short, idle_timeout: short, ..settings() };
    let post = "POST /orders HTTP/1.1\r\nHost: good.test\r\nContent-Type: application/json\r\n";
    let rows: Vec<Row> = vec![
        (
            "headers never finished",
            b"GET /things/7 HTTP/1.1\r\nHost: good.test\r\n".to_vec(),
            408,
            "header_timeout",
            CLOSED,
        ),
        ("one byte", b"G".to_vec(), 408, "header_timeout", CLOSED),
        ("nothing", Vec::new(), 0, "", CLOSED),
        (
            "declared body never finished",
            format!("{post}Content-Length: 11\r\n\r\n{{").into(),
            408,
            "body_timeout",
            CLOSED,
        ),
        (
            "chunks never finished",
            format!("{post}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n").into(),
            408,
            "body_timeout",
            CLOSED,
        ),
        (
            "silence after an answer",
            b"GET /things/7 HTTP/1.1\r\nHost: good.test\r\n\r\n".to_vec(),
            200,
            "",
            CLOSED,
        ),
        (
            "half a head after an answer",
            b"GET /things/7 HTTP/1.1\r\nHost: good.test\r\n\r\nGET /".to_vec(),
            200,
            "",
            CLOSED,
        ),
    ];
    assert_rows(&Server::start(slow).await, rows).await;
}

#[tokio::test]
async fn a_body_that_drips_is_cut_off_at_its_deadline() {
    let server = Server::start(EdgeSettings { body_timeout: Duration::from_millis(100), ..settings() }).await;
    let Client { stream, .. } = {
        let mut client = server.connect().await;
        let head = "POST /orders HTTP/1.1\r\nHost: good.test\r\nContent-Type: application/json\r\n";
        client.send(format!("{head}Content-Length: 1024\r\n\r\n").as_bytes()).await;
        client
    };
    let (mut reading, mut writing) = stream.into_split();
    let mut drip = tokio::time::interval(Duration::from_millis(5));
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut answer);
    tokio::pin!(read);
    within(async {
        loop {
            tokio::select! {
                _end = &mut read => break,
                _tick = drip.tick() => { let _sent = tokio::io::AsyncWriteExt::write_all(&mut writing, b" ").await; }
            }
        }
    })
    .await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body_timeout"), "{answer}");
}

#[tokio::test]
async fn a_long_answer_is_not_taken_for_silence() {
    let server = Server::start(EdgeSettings { idle_timeout: Duration::from_millis(20), ..settings() }).await;
    let mut client = server.connect().await;
    client.send(b"GET /events HTTP/1.1\r\nHost: good.test\r\n\r\n").await;
    // Several keep-alive comments take longer than the idle time-out.
    client.until(&"3\r\n:\n\n\r\n".repeat(4)).await;
}

#[tokio::test]
async fn a_flood_of_pipelined_requests_is_ended() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    let one = b"GET /things/7 HTTP/1.1\r\nHost: good.test\r\n\r\n";
    client.send(&one.repeat(20)).await;
    for _ in 0..20 {
        assert_eq!(client.reply().await.unwrap().status, 200);
    }
    client.send(&one.repeat(10_000)).await;
    let mut last = None;
    let mut served = 0;
    while let Some(reply) = client.reply().await {
        served += 1;
        last = Some(reply);
    }
    let last = last.unwrap();
    assert_eq!((last.status, last.code().as_str()), (400, "too_many_pipelined"));
    assert!(served < 10_000, "{served} were served");
    server.assert_serves("a flood").await;
}

#[tokio::test]
async fn a_fault_waits_for_the_answers_before_it() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    client.send(b"GET /held HTTP/1.1\r\nHost: good.test\r\n\r\nGET / HTTP/1.1\r\nHost : x\r\n\r\n").await;
    server.begun().await;
    server.hold.release.add_permits(1);
    let (first, second) = (client.reply().await.unwrap(), client.reply().await.unwrap());
    assert_eq!((first.status, second.status, second.code().as_str()), (200, 400, "bad_header"));
    client.ended().await;
}

#[tokio::test]
async fn every_answer_carries_our_id_and_the_safe_headers() {
    let server = Server::start(settings()).await;
    let mut ids = std::collections::HashSet::new();
    for request in [
        "GET /things/7 HTTP/1.1\r\nHost: good.test\r\nX-Request-Id: theirs\r\n\r\n",
        "GET /none HTTP/1.1\r\nHost: good.test\r\nX-Request-Id: bad id\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut client = server.connect().await;
        client.send(request.as_bytes()).await;
        let reply = client.reply().await.unwrap();
        let id = reply.header("x-request-id").unwrap().to_owned();
        assert_eq!(id.len(), 36);
        if reply.status != 200 {
            assert_eq!(reply.json()["request_id"], id.as_str());
            assert_eq!(reply.header("content-type"), Some("application/problem+json"));
            assert_eq!(reply.json()["type"], format!("/docs/errors#{}", reply.code()));
        }
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(reply.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        assert!(ids.insert(id), "ids are never used twice");
    }
}

#[tokio::test]
async fn a_stranger_cannot_say_who_it_is() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    let forged = "X-Forwarded-For: 10.9.8.7\r\nForwarded: for=10.9.8.7\r\nX-Real-IP: 10.9.8.7\r\n";
    client.send(format!("GET /peer HTTP/1.1\r\nHost: good.test\r\n{forged}\r\n").as_bytes()).await;
    assert_eq!(client.reply().await.unwrap().body, b"127.0.0.1");
}

/// Sends each row on a connection of its own, compares, and asks for something good afterwards.
async fn assert_rows(server: &Server, rows: Vec<Row>) {
    for (name, bytes, status, code, closed) in rows {
        let mut client = server.connect().await;
        client.send(&bytes).await;
        let reply = client.reply().await;
        let found = reply.as_ref().map_or((0, String::new()), |reply| (reply.status, reply.code()));
        assert_eq!(found, (status, code.to_owned()), "{name}");
        if closed {
            client.ended().await;
        } else {
            client.send(b"GET /things/7 HTTP/1.1\r\nHost: good.test\r\n\r\n").await;
            let next = client.reply().await.map(|reply| reply.status);
            assert_eq!(next, Some(200), "the connection is usable after {name}");
        }
        server.assert_serves(name).await;
    }
    log::assert_harmless();
}
