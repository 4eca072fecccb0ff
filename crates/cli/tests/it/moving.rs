//! Moving and migrating: `sixpack export`, `import-store` and `migrate`, from a server on a folder to one on PostgreSQL.

use serde_json::Value;
use sixpack_storage::conformance::PostgresServer;

use crate::program::Place;

#[test]
fn a_store_moves_from_a_folder_to_postgresql_and_is_served_there() {
    let mut place = Place::new();
    let mut server = place.start_dev(&[]);
    let token = place.token();
    place.run(&["token", "create", "pipeline", "--role", "consumer", "--json"]).expect(0);
    let busy = place.run(&["export", "move"]).expect(75);
    assert!(busy.stderr.contains("in use"), "{busy:?}");
    place.run(&["migrate", "finalize"]).expect(75);
    server.signal("INT");
    assert_eq!(server.ended().code(), Some(0));
    let status = place.run(&["migrate", "status", "--json"]).expect(0).json();
    assert_eq!((&status["stage"], &status["fits"]), (&"finalized".into(), &true.into()), "{status}");
    assert_eq!(status["schema_version"], status["known_version"]);

    let written = place.run(&["export", "move", "--json"]).expect(0).json();
    assert!(written["tables"]["token"]["rows"].as_u64().unwrap() >= 2, "{written}");
    let occupied = place.run(&["export", "move"]).expect(73);
    assert!(occupied.stderr.contains("move is there already"), "{occupied:?}");
    let database = PostgresServer::start(&[]);
    let store = format!("{}?schema=moved", database.url());
    let taken = place.run(&["import-store", "move", "--store", &store, "--json"]).expect(0).json();
    assert_eq!(taken, written);
    place.run(&["import-store", "move", "--store", &store]).expect(73);
    place.run(&["import-store", "move"]).expect(73);
    place.put("letter", "dear grandmother");
    let damaged = place.run(&["import-store", "letter", "--data", "elsewhere"]).expect(65);
    assert!(damaged.stderr.contains("letter, line 1"), "{damaged:?}");

    let mut server =
        place.start(&["serve", "--listen", "127.0.0.1:0", "--drain-delay-s", "0", "--store", &store]);
    let ready = server.log(|line| line.contains("\"msg\":\"ready\""));
    let ready: Value = serde_json::from_str(&ready).unwrap();
    place.set("SIXPACK_URL", ready["url"].as_str().unwrap());
    place.set("SIXPACK_TOKEN", &token);
    let listed = place.run(&["token", "list"]).expect(0);
    assert!(listed.stdout.contains("pipeline"), "{listed:?}");
    for action in ["status", "up", "finalize"] {
        let told = place.run(&["migrate", action, "--store", &store]).expect(0);
        assert!(told.stdout.contains("finalized") && told.stdout.contains("nothing to do"), "{told:?}");
    }
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn why_a_schema_is_not_migrated_is_told_by_the_exit_code() {
    let place = Place::new();
    for action in ["status", "up", "finalize"] {
        let none = place.run(&["migrate", action, "--data", "nowhere"]).expect(65);
        assert!(none.stderr.contains("there is no store in nowhere"), "{none:?}");
    }
    place.run(&["migrate"]).expect(64);
    place.run(&["export"]).expect(64);
    place.run(&["export", "f", "--data", "nowhere"]).expect(65);
    place.run(&["import-store", "absent", "--data", "new"]).expect(65);
    place.run(&["migrate", "status", "--store", "mysql://x:s3cret@y"]).expect(78);
    let gone = "postgres://ann:s3cret@127.0.0.1:1/x?connect_timeout=2";
    let gone = place.run(&["migrate", "up", "--store", gone]).expect(69);
    assert!(!gone.stderr.contains("s3cret"), "{gone:?}");
}

#[test]
fn an_older_schema_is_migrated_first_unless_the_server_is_told_to() {
    let place = Place::new();
    let database = PostgresServer::start(&[]);
    let store = format!("{}?schema=older", database.url());
    let serve = ["serve", "--listen", "127.0.0.1:0", "--drain-delay-s", "0", "--store", &store];
    let mut server = place.start(&serve);
    server.log(|line| line.contains("\"msg\":\"ready\""));
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    // What the build before left.
    let back = "SET search_path = older;
                DROP TABLE stock_level;
                ALTER TABLE stock_line DROP COLUMN made, DROP COLUMN failed;
                DELETE FROM schema_change WHERE version > 2;
                DELETE FROM refinery_schema_history WHERE version > 2";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(database.run(back));
    let refused = place.run(&serve).expect(76);
    assert!(refused.stderr.contains("sixpack migrate up"), "{refused:?}");
    let mut server = place.start(&[&serve[..], &["--migrate"]].concat());
    server.log(|line| line.contains("\"msg\":\"ready\""));
    let status = place.run(&["migrate", "status", "--store", &store, "--json"]).expect(0).json();
    assert_eq!(status["stage"], "moved", "{status}");
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    place.run(&["migrate", "finalize", "--store", &store]).expect(0);
    // Somebody else may have begun what this build does not know.
    let newer = "SET search_path = older; INSERT INTO refinery_schema_history VALUES (9, 'later', '2030-01-01T00:00:00Z', '1')";
    runtime.block_on(database.run(newer));
    place.run(&serve).expect(76);
    place.run(&["migrate", "finalize", "--store", &store]).expect(76);
}
