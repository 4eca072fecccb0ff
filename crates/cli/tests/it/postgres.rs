//! Servers over PostgreSQL: chosen by an address, refused with a reason, any number of them over one store.

use serde_json::Value;
use sixpack_storage::conformance::{PgBouncer, PostgresServer};

use crate::program::{Place, Running};
use crate::shop::{SCENARIO, Shop};

/// Starts one of several servers of this place, which share a database; returns its address.
fn serve(place: &Place, store: &str) -> (Running, String) {
    let mut server =
        place.start(&["serve", "--listen", "127.0.0.1:0", "--drain-delay-s", "0", "--store", store]);
    let ready = server.log(|line| line.contains("\"msg\":\"ready\""));
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert!(ready["store"].as_str().unwrap().starts_with("PostgreSQL: schema "), "{ready}");
    let url = ready["url"].as_str().unwrap().to_owned();
    (server, url)
}

/// Opens the shop at a server of this place, as its first administrator.
fn open_shop(place: &mut Place, url: &str) -> Shop {
    let token = std::fs::read_to_string(place.path(".sixpack/admin-token")).unwrap().trim().to_owned();
    place.put(".sixpack/token", &token);
    place.set("SIXPACK_TOKEN", &token);
    place.set("SIXPACK_URL", url);
    let shop = Shop::open(place);
    let file = place.put("paying.yaml", SCENARIO);
    place.run(&["apply", &file]).expect(0);
    shop
}

/// The address of a new store, for a server that keeps what it acknowledges.
fn new_store(server: &PostgresServer, schema: &str) -> String {
    format!("{}?schema={schema}", server.url())
}

#[test]
fn what_one_server_acknowledges_another_one_shows() {
    let database = PostgresServer::start(&[]);
    let store = new_store(&database, "shared");
    let mut place = Place::new();
    let (mut first, first_url) = serve(&place, &store);
    let (second, second_url) = serve(&place, &store);
    place.set("SIXPACK_TOKEN", std::fs::read_to_string(place.path(".sixpack/admin-token")).unwrap().trim());
    for name in ["one", "two", "three"] {
        place.set("SIXPACK_URL", &first_url);
        place.run(&["token", "create", name, "--role", "consumer", "--json"]).expect(0);
        place.set("SIXPACK_URL", &second_url);
        assert!(place.run(&["token", "list"]).expect(0).stdout.contains(name));
    }
    first.signal("TERM");
    assert_eq!(first.ended().code(), Some(0));
    place.run(&["token", "list"]).expect(0);
    drop(second);
}

#[test]
fn a_server_behind_a_pooler_and_one_that_is_not_serve_each_others_suppliers_and_consumers() {
    let database = PostgresServer::start(&[]);
    let pooler = PgBouncer::start(&database, &["server_round_robin = 1"]);
    let mut place = Place::new();
    let store = format!("{}?schema=shared", pooler.url());
    // It makes the store, too.
    let (mut behind, behind_url) = serve(&place, &store);
    let (beside, beside_url) = serve(&place, &new_store(&database, "shared"));
    let shop = open_shop(&mut place, &behind_url);
    let mut leases = Vec::new();
    for url in [&behind_url, &beside_url] {
        place.set("SIXPACK_URL", url);
        let request = place.run(&["request", "checkout/paying-customer", "--ttl", "10m", "--json"]);
        let request = request.expect(0).json();
        assert_eq!(request["status"], "fulfilled", "{request}");
        leases.push(request["leases"][0]["id"].as_str().unwrap().to_owned());
    }
    // Given back where it was not taken; suppliers undo it at the other server.
    place.run(&["lease", "release", "--wait", &leases[0]]).expect(0);
    place.set("SIXPACK_URL", &behind_url);
    place.run(&["lease", "release", "--wait", &leases[1]]).expect(0);
    let status = place.run(&["migrate", "status", "--store", &store]).expect(0).stdout;
    assert!(status.contains("finalized"), "{status}");
    shop.close();
    behind.signal("TERM");
    assert_eq!(behind.ended().code(), Some(0));
    drop(beside);
}

#[test]
fn a_store_that_cannot_be_used_is_refused_with_a_reason() {
    let mut place = Place::new();
    place.set("PGPASSWORD", "s3cret");
    let database = PostgresServer::shared();
    let stranger = database.url().replace("sixpack@", "stranger@");
    let optional = format!("{}?options=-c%20work_mem%3D8MB", PgBouncer::shared().url());
    let gone = "postgres://ann:s3cret@127.0.0.1:1/x?connect_timeout=2".to_owned();
    for (store, code, part) in [
        (gone, 69, "schema sixpack of x at 127.0.0.1"),
        (stranger, 77, "stranger"),
        (optional, 78, "ALTER ROLE"),
        // It runs without `fsync`.
        (database.url(), 78, "fsync = off"),
        ("mysql://ann:s3cret@db/x".to_owned(), 78, "there is no store for \"mysql://\""),
    ] {
        let refused = place.run(&["serve", "--listen", "127.0.0.1:0", "--store", &store]).expect(code);
        assert!(refused.stderr.contains(part) && !refused.stderr.contains("s3cret"), "{refused:?}");
    }
    let shown = place.run(&["settings", "--json", "--store", "postgres://ann:s3cret@db/x"]).expect(0);
    assert_eq!(shown.json()["store"]["value"], "postgres://ann:***@db/x");
}

#[test]
fn a_store_that_is_dumped_and_brought_back_goes_on_when_its_last_step_is_done() {
    let database = PostgresServer::start(&[]);
    let store = new_store(&database, "brought_back");
    let mut place = Place::new();
    let (mut server, url) = serve(&place, &store);
    let shop = open_shop(&mut place, &url);
    let ask = |place: &Place| {
        let asked = place.run(&["request", "checkout/paying-customer", "--ttl", "10m", "--json"]);
        asked.expect(0).json()["leases"][0].clone()
    };
    let before = ask(&place);
    let dump = place.path("monday.dump");
    let dumped = database
        .tool("pg_dump")
        .args(["--format=custom", "--schema=brought_back", "--file"])
        .arg(&dump)
        .output();
    assert!(dumped.as_ref().unwrap().status.success(), "{dumped:?}");
    // Known to its holder, and not to what comes back.
    let behind = ask(&place);

    let restore = ["restore", "--after-restore", "--store", &store];
    let refused = place.run(&restore).expect(75);
    assert!(refused.stderr.contains("1 servers of schema brought_back"), "{refused:?}");
    shop.close();
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    let drop = "DROP SCHEMA brought_back CASCADE";
    let dropped =
        database.tool("psql").args(["--quiet", "--set=ON_ERROR_STOP=1", "--command", drop]).output();
    assert!(dropped.as_ref().unwrap().status.success(), "{dropped:?}");
    let brought =
        database.tool("pg_restore").args(["--exit-on-error", "--dbname=postgres"]).arg(&dump).output();
    assert!(brought.as_ref().unwrap().status.success(), "{brought:?}");
    let done = place.run(&[&restore[..], &["--json"]].concat()).expect(0).json();
    assert_eq!(done["leases_over"], 1, "{done}");

    let (mut server, url) = serve(&place, &store);
    place.set("SIXPACK_URL", &url);
    let held = before["id"].as_str().unwrap();
    place.run(&["lease", "renew", held]).expect(1);
    place.run(&["lease", "renew", behind["id"].as_str().unwrap()]).expect(1);
    let shop = Shop::open(&place);
    let next = ask(&place);
    let fence = |lease: &Value| lease["fence"].as_u64().unwrap();
    assert!(fence(&next) > fence(&before).max(fence(&behind)), "{before} {behind} {next}");
    shop.close();
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
}
