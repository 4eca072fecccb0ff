//! Metrics of a server as it is started: off, on an address, and never for everybody by accident.

use serde_json::Value;

use crate::program::{Place, Running};

fn ready(server: &mut Running) -> Value {
    serde_json::from_str(&server.log(|line| line.contains("\"msg\":\"ready\""))).unwrap()
}

fn page(url: &str) -> String {
    use std::io::{Read, Write};
    let address = url.trim_start_matches("http://").trim_end_matches("/metrics");
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn metrics_are_answered_where_the_settings_say_and_tell_of_the_last_backup() {
    let place = Place::new();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--drain-delay-s", "0"];
    let mut server = place.start(&serve);
    assert_eq!(ready(&mut server).get("metrics"), None, "nobody has asked for them");
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    place.run(&["backup", "monday.sixpack"]).expect(0);

    let mut server = place.start(&[&serve[..], &["--metrics-listen", "127.0.0.1:0"]].concat());
    let told = ready(&mut server);
    let page = page(told["metrics"].as_str().unwrap());
    for part in [
        "HTTP/1.1 200 OK\r\n",
        "content-type: application/openmetrics-text",
        "\nsixpack_store_counted 1\n",
        "\nsixpack_backup_last_success_timestamp_seconds 1",
        "\nprocess_resident_memory_bytes ",
        "\nprocess_open_fds ",
        "# EOF\n",
    ] {
        assert!(page.contains(part), "{part} in\n{page}");
    }
    let token = std::fs::read_to_string(place.path(".sixpack/admin-token")).unwrap();
    assert!(!page.contains(token.trim()));
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn metrics_that_others_could_read_are_refused() {
    let place = Place::new();
    let refused =
        place.run(&["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "0.0.0.0:0"]).expect(78);
    for part in ["metrics_listen (--metrics-listen)", "others can reach 0.0.0.0:0", "behind_proxy"] {
        assert!(refused.stderr.contains(part), "{part} in {refused:?}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = place.run(&["serve", "--listen", "127.0.0.1:0", "--metrics-listen", &address]).expect(69);
    assert!(refused.stderr.contains(&address) && refused.stderr.contains("--metrics-listen"), "{refused:?}");
    let odd = place.run(&["settings", "--metrics-listen", "everywhere"]).expect(78);
    assert!(odd.stderr.contains("or \"\" for none, not \"everywhere\""), "{odd:?}");
}
