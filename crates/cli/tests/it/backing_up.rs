//! Backing up: `sixpack backup` beside a server, `sixpack restore` into an empty folder, and a server over what was restored.

use crate::program::Place;

#[test]
fn a_backup_of_a_running_server_is_restored_and_served() {
    let mut place = Place::new();
    let mut server = place.start_dev(&[]);
    let token = place.token();
    let made = place.run(&["backup", "monday.sixpack", "--json"]).expect(0).json();
    assert_eq!(made["file"], "monday.sixpack");
    assert!(made["rows"]["token"].as_u64().unwrap() >= 1, "{made}");
    let verified = place.run(&["backup", "verify", "monday.sixpack", "--json"]).expect(0).json();
    assert_eq!(verified, made);
    let told = place.run(&["backup", "verify", "monday.sixpack"]).expect(0);
    assert!(told.stdout.contains("monday.sixpack is sound"), "{told:?}");
    place.run(&["token", "list"]).expect(0);
    server.signal("INT");
    assert_eq!(server.ended().code(), Some(0));

    let restored =
        place.run(&["restore", "monday.sixpack", "--data", "elsewhere", "--json"]).expect(0).json();
    assert_eq!(restored["restored"]["leases_over"], 0);
    assert!(restored["restored"]["fence_epoch"].as_u64().unwrap() > 0, "{restored}");
    std::fs::write(place.path("elsewhere/token"), &token).unwrap();
    let mut server = place.start(&["dev", "--listen", "127.0.0.1:0", "--data", "elsewhere"]);
    let url = server.line(|line| line.contains("ready at http://"));
    place.set("SIXPACK_URL", url.rsplit(' ').next().unwrap());
    place.set("SIXPACK_TOKEN", &token);
    place.run(&["token", "list"]).expect(0);
}

#[test]
fn why_there_is_no_backup_or_no_restored_store_is_told_by_the_exit_code() {
    let place = Place::new();
    let none = place.run(&["backup", "b", "--data", "nowhere"]).expect(65);
    assert!(none.stderr.contains("there is no store in nowhere"), "{none:?}");
    place.put("letter", "dear grandmother");
    let foreign = place.run(&["backup", "verify", "letter"]).expect(65);
    assert!(foreign.stderr.contains("letter is no backup that can be restored"), "{foreign:?}");
    place.run(&["restore", "letter", "--data", "new"]).expect(65);
    assert!(!place.path("new").exists());
    place.run(&["backup", "verify", "absent"]).expect(65);

    let mut server = place.start(&["serve", "--listen", "127.0.0.1:0", "--drain-delay-s", "0"]);
    server.log(|line| line.contains("\"msg\":\"ready\""));
    place.run(&["backup", "b"]).expect(0);
    let occupied = place.run(&["backup", "b"]).expect(73);
    assert!(occupied.stderr.contains("b is there already"), "{occupied:?}");
    let occupied = place.run(&["restore", "b"]).expect(73);
    assert!(occupied.stderr.contains(".sixpack"), "{occupied:?}");
    place.run(&["backup", "missing/folder/b"]).expect(73);
    place.run(&["backup"]).expect(64);
    place.run(&["restore"]).expect(64);
    place.run(&["restore", "b", "--after-restore", "--store", "postgres://x@y/z"]).expect(64);
    place.run(&["restore", "--after-restore"]).expect(64);
    let unread = place.run(&["restore", "--after-restore", "--store", "mysql://x:s3cret@y"]).expect(78);
    assert!(!unread.stderr.contains("s3cret"), "{unread:?}");
}
