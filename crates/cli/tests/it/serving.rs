//! `sixpack serve`: its start, its first token, its end.

use std::net::TcpListener;

use serde_json::Value;

use crate::program::{Place, mode};

fn ready(line: &str) -> bool {
    line.contains("\"msg\":\"ready\"")
}

#[test]
fn a_first_start_keeps_an_administrators_token_and_never_logs_it() {
    let mut place = Place::new();
    let mut server = place.start(&["serve", "--listen", "127.0.0.1:0", "--drain-delay-s", "0"]);
    let told = server.log(|line| line.contains("admin-token"));
    let file = place.path(".sixpack/admin-token");
    let token = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    assert_eq!(mode(&file), 0o600);
    assert!(!told.contains(&token), "{told}");
    let line: Value = serde_json::from_str(&server.log(ready)).unwrap();
    assert!(!line.to_string().contains(&token), "{line}");
    place.set("SIXPACK_URL", line["url"].as_str().unwrap());
    place.set("SIXPACK_TOKEN", &token);
    place.run(&["token", "list"]).expect(0);
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));

    let mut again = place.start(&["serve", "--listen", "127.0.0.1:0", "--drain-delay-s", "0"]);
    again.log(ready);
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), token);
}

#[test]
fn a_draining_server_ends_at_once_by_a_second_signal() {
    let place = Place::new();
    let mut server = place.start(&["serve", "--listen", "127.0.0.1:0", "--drain-delay-s", "300"]);
    server.log(ready);
    server.signal("TERM");
    server.log(|line| line.contains("\"msg\":\"draining\""));
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(130));
}

#[test]
fn a_server_whose_disk_fails_ends_with_74_and_the_next_one_has_all_that_was_acknowledged() {
    let mut place = Place::new();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--drain-delay-s", "0"];
    // The store is made first, and folded into one file.
    let mut server = place.start(&serve);
    server.log(ready);
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    let bytes = std::fs::metadata(place.path(".sixpack/store.db")).unwrap().len();

    let mut server = place.start_on_a_failing_disk(bytes / 512 + 16, &serve);
    let line: Value = serde_json::from_str(&server.log(ready)).unwrap();
    place.set("SIXPACK_URL", line["url"].as_str().unwrap());
    place.set("SIXPACK_TOKEN", std::fs::read_to_string(place.path(".sixpack/admin-token")).unwrap().trim());
    let mut acknowledged = Vec::new();
    loop {
        let name = format!("token-{}", acknowledged.len());
        match place.run(&["token", "create", &name, "--role", "consumer", "--json"]).code {
            Some(0) => acknowledged.push(name),
            _ => break,
        }
        assert!(acknowledged.len() < 2_000, "the disk never fails");
    }
    let log = server.ended_with_log();
    assert_eq!(server.ended().code(), Some(74), "{log:?}");
    assert!(log.iter().any(|line| line.contains("look at the disk")), "{log:?}");

    let mut server = place.start(&serve);
    let line: Value = serde_json::from_str(&server.log(ready)).unwrap();
    place.set("SIXPACK_URL", line["url"].as_str().unwrap());
    let listed = place.run(&["token", "list", "--json"]).expect(0).stdout;
    assert!(!acknowledged.is_empty() && acknowledged.iter().all(|name| listed.contains(name)), "{listed}");
}

#[test]
fn a_port_in_use_is_named() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let refused = place.run(&["serve", "--listen", &address]).expect(69);
    assert!(refused.stderr.contains(&address), "{refused:?}");
}

#[test]
fn a_foreign_database_is_left_alone() {
    let place = Place::new();
    place.put(".sixpack/store.db", "this is a letter to my grandmother, and no database at all\n");
    let refused = place.run(&["serve", "--listen", "127.0.0.1:0"]).expect(65);
    assert!(refused.stderr.contains("store.db"), "{refused:?}");
    let kept = std::fs::read_to_string(place.path(".sixpack/store.db")).unwrap();
    assert!(kept.starts_with("this is a letter"));
}

#[test]
fn a_data_folder_that_cannot_be_made_is_named() {
    let place = Place::new();
    place.put("file", "");
    let refused = place.run(&["serve", "--listen", "127.0.0.1:0", "--data", "file/data"]).expect(73);
    assert!(refused.stderr.contains("file/data"), "{refused:?}");
    let refused = place.run(&["serve", "--listen", "127.0.0.1:0", "--data", "file"]).expect(73);
    assert!(refused.stderr.contains("file"), "{refused:?}");
}

#[test]
fn a_folder_in_place_of_the_database_is_named() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("data/store.db")).unwrap();
    let refused = place.run(&["serve", "--listen", "127.0.0.1:0", "--data", "data"]).expect(65);
    assert!(refused.stderr.contains("data/store.db"), "{refused:?}");
}

#[test]
fn an_address_that_others_reach_needs_a_proxy() {
    let place = Place::new();
    let refused = place.run(&["serve", "--listen", "0.0.0.0:0"]).expect(78);
    assert!(
        refused.stderr.contains("listen (--listen)") && refused.stderr.contains("behind_proxy"),
        "{refused:?}"
    );
    let refused = place.run(&["dev", "--listen", "0.0.0.0:0"]).expect(78);
    assert!(refused.stderr.contains("0.0.0.0:0"), "{refused:?}");
    let mut server = place.start(&["serve", "--listen", "0.0.0.0:0", "--behind-proxy"]);
    server.log(ready);
}
