//! Draining: what a server still does between the signal and its end.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use serde_json::{Value, json};

use crate::program::{DEADLINE, Place};

/// Asks by hand, on a connection of its own: a client that tries again by itself would hide what is looked at.
fn ask(address: &str, token: &str, call: &str, body: &Value) -> std::io::Result<(u16, String)> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    write!(
        stream,
        "{call} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status.zip(body).ok_or_else(|| std::io::Error::other(format!("no answer: {answer:?}")))
}

#[test]
fn a_terminated_server_says_so_first_and_ends_with_0_when_everybody_has_an_answer() {
    let place = Place::new();
    let mut server = place.start(&["serve", "--listen", "127.0.0.1:0", "--drain-delay-s", "2"]);
    let ready = server.log(|line| line.contains("\"msg\":\"ready\""));
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let address = ready["url"].as_str().unwrap().trim_start_matches("http://").to_owned();
    let token = std::fs::read_to_string(place.path(".sixpack/admin-token")).unwrap().trim().to_owned();
    let manifest = json!({
        "environment": "default", "domain": "shop", "instance": "by-hand",
        "owner": {"team": "Shop", "contact": "shop@shop.test"},
        "capabilities": [{"name": "customer", "description": "A customer.", "input": {"type": "object"},
                          "output": {"type": "object"}, "operations": ["produce"]}],
    });
    let (status, session) = ask(&address, &token, "POST /v1/sessions", &manifest).unwrap();
    assert_eq!(status, 201, "{session}");
    let session: Value = serde_json::from_str(&session).unwrap();
    let claim = format!("POST /v1/sessions/{}/claim", session["id"].as_str().unwrap());
    // Parked before the signal or behind it, it is answered before the end.
    let parked = {
        let (address, token) = (address.clone(), token.clone());
        std::thread::spawn(move || ask(&address, &token, &claim, &json!({"wait_s": 30})))
    };
    assert_eq!(ask(&address, &token, "GET /readyz", &Value::Null).unwrap().0, 200);
    server.signal("TERM");
    server.log(|line| line.contains("\"msg\":\"draining\""));
    let until = Instant::now() + DEADLINE;
    let told = loop {
        match ask(&address, &token, "GET /readyz", &Value::Null).unwrap() {
            (200, _) => assert!(Instant::now() < until, "it never says that it stops"),
            told => break told,
        }
    };
    assert_eq!(told.0, 503);
    assert!(told.1.contains("calls: the server is stopping"), "{}", told.1);
    assert_eq!(ask(&address, &token, "GET /livez", &Value::Null).unwrap().0, 200, "it is not to be killed");
    assert_eq!(ask(&address, &token, "GET /v1/requests", &Value::Null).unwrap().0, 200, "it still answers");
    let (status, tasks) = parked.join().unwrap().unwrap();
    assert_eq!((status, tasks.as_str()), (200, "{\"tasks\":[]}"));
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn a_signal_before_a_server_is_ready_ends_it_there() {
    let place = Place::new();
    // A database that takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let store = format!("postgres://ann@{}/x?connect_timeout=600", silent.local_addr().unwrap());
    let mut server = place.start(&["serve", "--listen", "127.0.0.1:0", "--store", &store]);
    let _waiting = silent.accept().unwrap();
    server.signal("TERM");
    let log = server.ended_with_log();
    assert!(log.iter().any(|line| line.contains("stopped before it served")), "{log:?}");
    assert_eq!(server.ended().code(), Some(0));
}
