//! The drain: nothing new is accepted, what is in flight finishes, the rest is cut off when the grace is over.

use std::time::Duration;

use sixpack_server::edge::EdgeSettings;
use tokio::net::TcpStream;

use crate::edge_server::{Server, settings, within};

const HELD: &[u8] = b"GET /held HTTP/1.1\r\nHost: good.test\r\n\r\n";

#[tokio::test]
async fn a_drain_closes_resting_connections_and_lets_requests_finish() {
    let server = Server::start(settings()).await;
    let (mut fresh, mut rested, mut busy) =
        (server.connect().await, server.connect().await, server.connect().await);
    rested.send(b"GET /things/7 HTTP/1.1\r\nHost: good.test\r\n\r\n").await;
    assert_eq!(rested.reply().await.unwrap().status, 200);
    busy.send(HELD).await;
    server.begun().await;
    server.shutdown.cancel();
    fresh.ended().await;
    rested.ended().await;
    assert!(TcpStream::connect(server.address).await.is_err(), "nothing is accepted any more");
    assert!(!server.running.is_finished(), "a request is in flight");
    server.hold.release.add_permits(1);
    let reply = busy.reply().await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    busy.ended().await;
    within(server.running).await.unwrap().unwrap();
}

#[tokio::test]
async fn long_polls_and_streams_end_when_the_server_stops() {
    let server = Server::start(settings()).await;
    let (mut poll, mut stream) = (server.connect().await, server.connect().await);
    poll.send(b"GET /poll/a HTTP/1.1\r\nHost: good.test\r\n\r\n").await;
    server.begun().await;
    stream.send(b"GET /events HTTP/1.1\r\nHost: good.test\r\n\r\n").await;
    let opened = stream.until("id: 1\ndata: a\ndata: b\n\n").await;
    assert!(opened.contains("content-type: text/event-stream"), "{opened}");
    server.shutdown.cancel();
    assert_eq!(poll.reply().await.unwrap().body, b"none");
    // The last chunk, not a broken connection: the client knows that the stream is whole.
    stream.until("\r\n0\r\n\r\n").await;
    within(server.running).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_outlasts_the_grace_is_cut_off() {
    let server = Server::start(EdgeSettings { grace: Duration::from_millis(50), ..settings() }).await;
    let mut busy = server.connect().await;
    busy.send(HELD).await;
    server.begun().await;
    server.shutdown.cancel();
    within(server.running).await.unwrap().unwrap();
    assert!(busy.reply().await.is_none());
}

#[tokio::test]
async fn a_server_is_open_until_its_delay_is_over() {
    let server = Server::start(EdgeSettings { drain_delay: Duration::from_secs(3600), ..settings() }).await;
    server.shutdown.cancel();
    server.assert_serves("the announcement of the end").await;
    assert!(!server.running.is_finished());
    server.running.abort();
}
