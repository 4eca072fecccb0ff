//! The log of a server that is sent rubbish.
//!
//! Every line is one, none of them steers a terminal, and none tells what stood in a body, a query or a header.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::program::Place;

/// What must not be found in the log, wherever it was put.
const SECRET: &str = "hunter2hunter2";

#[test]
fn what_a_server_logs_of_rubbish_can_be_read_and_gives_nothing_away() {
    for format in ["json", "text"] {
        let mut place = Place::new();
        place.set("SIXPACK_ACCESS_LOG", "true");
        place.set("SIXPACK_LOG_FORMAT", format);
        let mut server = place.start(&["serve", "--listen", "127.0.0.1:0", "--drain-delay-s", "0"]);
        let ready = server.log(|line| line.contains("ready"));
        let address = ready.split("http://").nth(1).unwrap().split(['"', ' ']).next().unwrap().to_owned();
        let token = std::fs::read_to_string(place.path(".sixpack/admin-token")).unwrap().trim().to_owned();
        let rows = rows(&address, &token);
        for bytes in &rows {
            assert!(
                send(&address, bytes).starts_with(b"HTTP/1.1 "),
                "{:.200}",
                String::from_utf8_lossy(bytes)
            );
        }
        server.signal("TERM");
        let lines = server.ended_with_log();
        let asked: Vec<&String> = lines.iter().filter(|line| line.contains("status")).collect();
        assert!(asked.len() > rows.len() / 2, "requests are logged: {lines:?}");
        for line in &lines {
            assert!(!line.contains(SECRET) && !line.contains(&token), "{line}");
            let steers = |character: char| {
                character.is_control()
                    || matches!(character, '\u{202a}'..='\u{202e}' | '\u{200b}'..='\u{200f}')
            };
            assert!(!line.contains(steers) && line.len() < 4_096, "{line:?}");
            if format == "json" {
                let line: Value =
                    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                assert!(line["msg"].is_string() && line["ts"].is_string(), "{line}");
            }
        }
    }
}

/// Rubbish at every place of a request.
fn rows(address: &str, token: &str) -> Vec<Vec<u8>> {
    let hostile = format!("{SECRET}%1b%5b31m%0d%0a%e2%80%ae%c2%9b");
    let long = "x".repeat(7_000);
    let head =
        format!("HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n");
    let get = |target: &str, fields: &str| format!("GET {target} {head}{fields}\r\n").into_bytes();
    let post = |path: &str, kind: &str, body: &str| {
        let length = body.len();
        format!("POST {path} {head}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}")
            .into_bytes()
    };
    vec![
        get(&format!("/v1/requests?token={hostile}"), ""),
        get(&format!("/v1/requests?contract={hostile}&limit={SECRET}"), ""),
        get("/v1/%1b%5b31mred%0d%0aforged%e2%80%ae%c2%9b31m", ""),
        get(&format!("/v1/{long}"), ""),
        get("/v1/a%00b", ""),
        get("/v1/requests", &format!("X-Request-Id: {SECRET} \u{1b}[31m\r\n")),
        get("/v1/requests", &format!("Cookie: token={SECRET}\r\nX-Forwarded-For: {SECRET}\r\n")),
        get("/v1/requests", &format!("Accept: {SECRET}/{SECRET}\r\n")),
        format!("GET /v1/requests HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer sxp_{SECRET}\r\nConnection: close\r\n\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\nHost: {SECRET}.test\r\nConnection: close\r\n\r\n").into_bytes(),
        format!("{SECRET}\u{1b}[31m / HTTP/1.1\r\n\r\n").into_bytes(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        post("/v1/requests", "application/json", &format!(r#"{{"contract":"{SECRET}","x":1}}"#)),
        post("/v1/requests", "application/json", &format!("{{\"contract\":\"{SECRET}\u{1b}[31m\"")),
        post("/v1/requests", "application/json", &"[".repeat(100_000)),
        post("/v1/tokens", "application/json", &format!(r#"{{"name":"{SECRET}\u001b","role":"x"}}"#)),
        post("/v1/sessions", "application/json", &format!(r#"{{"domain":"{SECRET}\u202e"}}"#)),
        post("/v1/environments/default/apply", "application/json", &format!(
            r#"{{"files":[{{"path":"{SECRET}","text":"password: {SECRET}\n: ["}}]}}"#
        )),
        post(&format!("/v1/requests/{SECRET}/cancel").replace(SECRET, "req_x"), "text/plain", SECRET),
    ]
}

fn send(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // A connection that is closed in the face of what is still on its way is an end, too.
    let _ended = stream.read_to_end(&mut answer);
    answer
}
