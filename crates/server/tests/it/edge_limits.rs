//! Too much at a time: connections, requests in flight, long polls; each is refused at once and recovers.

use sixpack_server::edge::EdgeSettings;

use crate::edge_server::{Client, Server, settings};

#[tokio::test]
async fn connections_beyond_the_caps_are_told() {
    for caps in [
        EdgeSettings { connections_max: 2, ..settings() },
        EdgeSettings { connections_per_address_max: 2, ..settings() },
    ] {
        let server = Server::start(caps).await;
        let mut open = [server.connect().await, server.connect().await];
        for client in &mut open {
            assert_eq!(get(client, "/things/7").await, (200, String::new()));
        }
        let mut third = server.connect().await;
        let reply = third.reply().await.unwrap();
        assert_eq!((reply.status, reply.code().as_str()), (503, "too_many_connections"));
        assert_eq!(reply.header("retry-after"), Some("1"));
        third.ended().await;
        assert_eq!(server.settings.counters.connections_refused.get(), 1);
        let [first, mut second] = open;
        drop(first);
        // The server hears of the close in its own time.
        while get(&mut server.connect().await, "/things/7").await.0 != 200 {}
        assert_eq!(get(&mut second, "/things/7").await.0, 200);
    }
}

#[tokio::test]
async fn requests_beyond_the_cap_are_refused_but_urgent_ones_are_served() {
    let server = Server::start(EdgeSettings {
        in_flight_max: 1,
        in_flight_urgent_max: 1,
        is_urgent: |_, path| path == "/urgent",
        ..settings()
    })
    .await;
    let (mut holder, mut other) = (server.connect().await, server.connect().await);
    send(&mut holder, "/held").await;
    server.begun().await;
    send(&mut other, "/things/7").await;
    let refused = other.reply().await.unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(server.settings.counters.overloaded.get(), 1);
    assert_eq!(get(&mut other, "/urgent").await.0, 200);
    server.hold.release.add_permits(1);
    assert_eq!(holder.reply().await.unwrap().status, 200);
    while get(&mut other, "/things/7").await.0 != 200 {}
}

#[tokio::test]
async fn a_parked_poll_takes_no_place_in_flight_and_a_token_has_few() {
    let server = Server::start(EdgeSettings { in_flight_max: 1, ..settings() }).await;
    let mut parked = [server.connect().await, server.connect().await];
    for client in &mut parked {
        send(client, "/poll/a").await;
        server.begun().await;
    }
    let mut other = server.connect().await;
    assert_eq!(get(&mut other, "/poll/a").await, (429, "too_many_polls".to_owned()));
    assert_eq!(get(&mut other, "/things/7").await.0, 200);
    server.hold.release.add_permits(2);
    for client in &mut parked {
        assert_eq!(client.reply().await.unwrap().body, b"released");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_frees_its_place() {
    let server = Server::start(EdgeSettings { in_flight_max: 1, ..settings() }).await;
    let mut holder = server.connect().await;
    send(&mut holder, "/held").await;
    server.begun().await;
    drop(holder);
    let mut other = server.connect().await;
    while get(&mut other, "/things/7").await.0 != 200 {}
}

async fn send(client: &mut Client, path: &str) {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: good.test\r\n\r\n").as_bytes()).await;
}

/// Status and code; 0 when the connection ended instead.
async fn get(client: &mut Client, path: &str) -> (u16, String) {
    send(client, path).await;
    client.reply().await.map_or((0, String::new()), |reply| (reply.status, reply.code()))
}
