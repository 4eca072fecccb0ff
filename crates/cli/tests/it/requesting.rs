//! Scenarios applied, and data requested, used and given back.

use crate::program::Place;
use crate::shop::{SCENARIO, Shop};

#[test]
fn a_scenario_is_applied_requested_shown_and_given_back() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let _shop = Shop::open(&place);
    let file = place.put("paying.yaml", SCENARIO);
    let checked = place.run(&["apply", "-f", &file, "--check"]).expect(0);
    assert_eq!(checked.stdout, "would apply checkout/paying-customer@1 (new)\n");
    assert!(!place.run(&["contracts"]).expect(0).stdout.contains("checkout/paying-customer"));
    let applied = place.run(&["apply", &file]).expect(0);
    assert_eq!(applied.stdout, "applied checkout/paying-customer@1 (new)\n");
    let again = place.run(&["apply", "-f", "."]).expect(0);
    assert_eq!(again.stdout, "unchanged checkout/paying-customer@1\n");

    let listed = place.run(&["contracts", "--kind", "scenario"]).expect(0).stdout;
    assert!(
        listed
            .lines()
            .nth(1)
            .is_some_and(|row| row.starts_with("checkout/paying-customer@1  scenario  online")),
        "{listed}"
    );
    let marked = place.run(&["contracts", "show", "customer/active-customer"]).expect(0).stdout;
    assert!(marked.contains("key of customer") && marked.contains("volatile: differs each time"), "{marked}");
    let labelled = place.run(&["contracts", "customer", "--label", "pii=none", "--json"]).expect(0).json();
    assert_eq!(labelled["items"][0]["name"], "customer/active-customer");
    let shown = place.run(&["contracts", "show", "checkout/paying-customer"]).expect(0).stdout;
    for part in
        ["owner    Checkout · checkout@shop.test", "CZ | FR | DE", "default FR", "billing/payment-account"]
    {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }

    let request =
        place.run(&["request", "checkout/paying-customer", "--set", "country=CZ", "--ttl", "10m", "--json"]);
    let request = request.expect(0).json();
    assert_eq!(
        (&request["status"], &request["input"]["country"]),
        (&"fulfilled".into(), &"CZ".into()),
        "{request}"
    );
    let lease = request["leases"][0]["id"].as_str().unwrap().to_owned();
    let dataset = request["leases"][0]["dataset"]["id"].as_str().unwrap().to_owned();
    let customer = request["leases"][0]["dataset"]["output"]["customer_id"].as_str().unwrap().to_owned();

    let tree = place.run(&["datasets", "show", &dataset]).expect(0).stdout;
    for part in [
        "├─ customer",
        "└─ payment",
        "leased",
        "ACTIVE",
        " BY ",
        " tests ",
        "timeline from",
        "dataset.ready",
        &customer,
    ] {
        assert!(tree.contains(part), "{part} in\n{tree}");
    }
    let found = place
        .run(&["datasets", "list", "--entity", &format!("customer:{customer}"), "--json"])
        .expect(0)
        .json();
    // The part that made it is found too.
    let ids = found["items"].as_array().unwrap().iter().map(|found| found["id"].as_str().unwrap());
    assert!(ids.clone().count() > 0 && ids.clone().all(|id| id.starts_with(&dataset)), "{found}");
    let rows = found["items"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["lease_id"] == lease.as_str()), "every part says who has it: {found}");
    let leased = place.run(&["lease", "list"]).expect(0).stdout;
    assert!(leased.contains(&lease) && leased.contains("checkout/paying-customer@1"), "{leased}");
    place.run(&["lease", "renew", &lease, "--ttl", "1h"]).expect(0);
    place.run(&["lease", "renew", &lease, "--fence", "1"]).expect(1);
    let released = place.run(&["lease", "release", &lease]).expect(0).stdout;
    assert!(released.starts_with(&format!("released {lease}")), "{released}");
    let late = place.run(&["lease", "renew", &lease, "--json"]).expect(1).json();
    assert_eq!((&late["code"], &late["exit"]), (&"lease_ended".into(), &1.into()));
    let events = place.run(&["events", "--request", request["id"].as_str().unwrap()]).expect(0).stdout;
    assert!(events.contains("request.fulfilled"), "{events}");

    let taken = place.run(&["request", "checkout/paying-customer", "--json"]).expect(0).json();
    let taken = taken["leases"][0]["id"].as_str().unwrap().to_owned();
    place.run(&["lease", "revoke", &taken]).expect(64);
    let revoked =
        place.run(&["lease", "revoke", &taken, "--reason", "billing is migrated", "--wait"]).expect(0).stdout;
    assert!(revoked.contains(&format!("has lost {taken}; what was made for it is undone")), "{revoked}");
    let shown = place.run(&["lease", "show", &taken]).expect(0).stdout;
    assert!(shown.contains("revoked by ") && shown.contains("note     billing is migrated"), "{shown}");
    let late = place.run(&["lease", "renew", &taken]).expect(1).stderr;
    assert!(late.contains("revoked by ") && late.contains(": billing is migrated. "), "{late}");
}

#[test]
fn a_person_reads_what_was_made_and_how_to_go_on() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let _shop = Shop::open(&place);
    let file = place.put("paying.yaml", SCENARIO);
    place.run(&["apply", "-f", &file]).expect(0);
    let made =
        place.run(&["request", "checkout/paying-customer", "--count", "2", "--holder", "me"]).expect(0);
    for part in [
        "2 × checkout/paying-customer@1  fulfilled in",
        "#1",
        "#2",
        "customer_id",
        "held by me for",
        "sixpack lease renew lease_",
    ] {
        assert!(made.stdout.contains(part), "{part} in\n{}", made.stdout);
    }
    // Not a terminal: a line for each change.
    assert!(made.stderr.lines().any(|line| line.starts_with("req_")), "{}", made.stderr);
    for number in ["#1", "#2"] {
        let row = format!("  {number}  customer  customer/active-customer@1  ready");
        assert!(made.stderr.lines().any(|line| line.starts_with(&row)), "{}", made.stderr);
    }
    let rows = made.stderr.lines().filter(|line| line.starts_with("  "));
    for row in rows {
        assert!(row.starts_with("  #1  ") || row.starts_with("  #2  "), "{row} in\n{}", made.stderr);
    }
    assert_eq!(made.stdout.matches("release  sixpack lease release lease_").count(), 2, "{}", made.stdout);
}

#[test]
fn a_request_that_fails_says_who_why_and_what_was_undone_and_ends_by_its_class() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let _shop = Shop::open(&place);
    let file = place.put("paying.yaml", SCENARIO);
    place.run(&["apply", "-f", &file]).expect(0);
    let failed = place.run(&["request", "checkout/paying-customer", "--set", "country=DE"]).expect(20);
    assert_eq!(failed.stdout, "");
    for part in [
        "checkout/paying-customer@1 was not made: payment › billing/payment-account@1 rejected",
        "no accounts in \\x1b[31mDE\\x1b[0m until Monday (code country_closed)",
        "Billing · billing@shop.test",
        "customer › customer/active-customer@1",
    ] {
        assert!(failed.stderr.contains(part), "{part} in\n{}", failed.stderr);
    }
    assert!(!failed.stderr.contains('\u{1b}'), "{:?}", failed.stderr);
    let failed = place
        .run(&["request", "checkout/paying-customer", "--set", "country=DE", "--json"])
        .expect(20)
        .json();
    assert_eq!(failed["failure"]["owner"]["team"], "Billing");
    let listed = place.run(&["requests", "list", "--status", "failed", "--json"]).expect(0).json();
    assert_eq!(listed["items"][0]["id"], failed["id"]);
    let shown = place.run(&["requests", "show", failed["id"].as_str().unwrap()]).expect(0).stdout;
    assert!(shown.contains("✖ failed") && shown.contains("country_closed"), "{shown}");
}

#[test]
fn a_request_without_waiting_can_be_cancelled() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let shop = Shop::open(&place);
    drop(shop);
    // Its supplier is away, so it waits.
    let asked =
        place.run(&["request", "customer/active-customer", "--set", "country=FR", "--no-wait"]).expect(0);
    let id = asked.stdout.trim();
    assert!(id.starts_with("req_"), "{asked:?}");
    place.run(&["cancel", id]).expect(0);
    let shown = place.run(&["requests", "show", id, "--json"]).expect(0).json();
    assert_eq!(shown["status"], "cancelled");
    place.run(&["cancel", id]).expect(0);
}

#[test]
fn an_interrupted_request_is_cancelled() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    drop(Shop::open(&place));
    // Its supplier is away, so it waits.
    let mut asking = place.start(&["request", "customer/active-customer", "--set", "country=FR"]);
    let told = asking.log(|line| line.starts_with("req_"));
    let id = told.split_whitespace().next().unwrap();
    asking.signal("INT");
    assert_eq!(asking.ended().code(), Some(130));
    let shown = place.run(&["requests", "show", id, "--json"]).expect(0).json();
    assert_eq!(shown["status"], "cancelled");
}

#[test]
fn faults_of_scenarios_are_shown_where_they_are() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let _shop = Shop::open(&place);
    let file = place.put(
        "paying.yaml",
        &SCENARIO
            .replace("steps.customer.customer_id }}\", country", "steps.customer.customerid }}\", country"),
    );
    let faulty = place.run(&["apply", "-f", &file]).expect(65);
    assert_eq!(faulty.stdout, "");
    for part in ["paying.yaml:10:", "customerid", "did you mean", "customer_id", "───"] {
        assert!(faulty.stderr.contains(part), "{part} in\n{}", faulty.stderr);
    }
    let json = place.run(&["apply", "-f", &file, "--json"]).expect(65).json();
    assert_eq!(json["code"], "scenario_faults");
    assert_eq!(json["errors"][0]["line"], 10);
    place.run(&["contracts", "show", "checkout/paying-customer"]).expect(1);
}

#[test]
fn a_secret_that_is_written_out_is_shown_in_its_line_and_refused_only_strictly() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let _shop = Shop::open(&place);
    let file = place.put("paying.yaml", &format!("{SCENARIO}  password: hunter2\n"));
    let strict = place.run(&["apply", "-f", &file, "--strict"]).expect(65);
    assert!(
        strict.stderr.contains("paying.yaml:14:13") && strict.stderr.contains("nothing was applied"),
        "{strict:?}"
    );
    let strict = place.run(&["apply", "-f", &file, "--strict", "--check", "--json"]).expect(65).json();
    assert_eq!(
        (&strict["code"], &strict["errors"][0]["code"]),
        (&"scenario_faults".into(), &"literal_secret".into())
    );
    place.run(&["contracts", "show", "checkout/paying-customer"]).expect(1);

    let warned = place.run(&["apply", "-f", &file]).expect(0);
    assert_eq!(warned.stdout, "applied checkout/paying-customer@1 (new)\n");
    for part in
        ["literal_secret", "`password` is a secret", "paying.yaml:14:13", "take it as an input", "───────"]
    {
        assert!(warned.stderr.contains(part), "{part} in\n{}", warned.stderr);
    }
    let json = place.run(&["apply", "-f", &file, "--check", "--json"]).expect(0).json();
    assert_eq!(json["applied"][0]["warnings"][0]["line"], 14);
    assert!(!json.to_string().contains("hunter2"), "{json}");
    let clean = place.put("clean.yaml", &SCENARIO.replace("paying-customer", "clean-customer"));
    let clean = place.run(&["apply", "-f", &clean, "--strict"]).expect(0);
    assert_eq!(clean.stderr, "");
}

#[test]
fn refusals_end_by_what_can_be_done_about_them() {
    let mut place = Place::new();
    let nobody = place.run(&["contracts", "--url", "http://127.0.0.1:9"]).expect(69);
    assert!(
        nobody.stderr.contains("http://127.0.0.1:9") && nobody.stderr.contains("sixpack dev"),
        "{nobody:?}"
    );
    let json = place.run(&["contracts", "--url", "http://127.0.0.1:9", "--json"]).expect(69).json();
    assert_eq!(json["exit"], 69);
    let _server = place.start_dev(&[]);
    let _shop = Shop::open(&place);
    for (arguments, code, says) in [
        (&["request", "checkout/nothing"][..], 1, "checkout/nothing"),
        (&["request", "customer/active-customer"][..], 65, "country"),
        (&["request", "customer/active-customer", "--input", "["][..], 65, "no JSON"),
        (&["request", "customer/active-customer", "--set", "x"][..], 64, "--set country=FR"),
        (&["request", "nothing"][..], 65, "nothing"),
        (&["request", "checkout/nul.txt"][..], 65, "devices on Windows"),
        (&["request", "Checkout/x"][..], 65, "Checkout"),
        (&["request", "checkout/x", "--environment", "con"][..], 65, "devices on Windows"),
        (
            &["request", "customer/active-customer", "--set", "country=FR", "--ttl", "0s"][..],
            64,
            "from 1s to 1d",
        ),
        (&["request"][..], 64, "Usage"),
        (&["contracts", "show", "nothing"][..], 64, "domain/name"),
        (&["lease", "release", "lease_x"][..], 1, "sixpack lease list --all"),
        (&["lease", "show", "req_x"][..], 1, "the id begins with `lease_`"),
        (&["lease", "renew", "lease_x", "--ttl", "2d"][..], 64, "from 1s to 1d"),
        (&["request", "customer/active-customer", "--set", "country=7"][..], 65, "`/input/country`"),
        (&["datasets", "list", "--status", "waiting"][..], 64, "pending, building"),
        (&["datasets", "list", "--entity", "c-17"][..], 64, "kind:key"),
        (&["datasets", "list", "--status", "waiting"][..], 64, "suspect, quarantined"),
        (&["leases"][..], 64, "similar subcommand exists: 'lease'"),
        (&["dataset"][..], 64, "similar subcommand exists: 'datasets'"),
        (&["apply"][..], 64, "FILE|DIR"),
        (
            &["request", "customer/active-customer", "--set", "country=7"][..],
            65,
            "for a text write --set 'country=\"7\"'",
        ),
        (&["contracts", "--label", "pii"][..], 64, "--label"),
        (&["contracts", "--environment", "nowhere"][..], 1, "sixpack environments"),
        (&["apply", "-f", "nowhere.yaml"][..], 65, "nowhere.yaml"),
        (&["contracts", "--token-file", "nowhere"][..], 78, "nowhere"),
        (&["contracts", "--url", "nowhere"][..], 64, "http://127.0.0.1:6776"),
    ] {
        let refused = place.run(arguments).expect(code);
        assert!(refused.stderr.contains(says), "{says} in {refused:?}");
    }
    place.set("SIXPACK_TOKEN", "sxp_wrong");
    let stranger = place.run(&["contracts"]).expect(77);
    assert!(stranger.stderr.contains("SIXPACK_TOKEN"), "{stranger:?}");
    assert!(!stranger.stderr.contains("sxp_wrong"), "{stranger:?}");
}

#[test]
fn a_token_is_printed_alone_once_and_can_be_revoked() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let made = place.run(&["token", "create", "ci", "--role", "consumer", "--quiet"]).expect(0);
    assert_eq!(made.stderr, "");
    let token = made.stdout.trim_end();
    assert!(token.starts_with("sxp_") && token.len() == 50, "{token}");
    place.set("SIXPACK_TOKEN", token);
    place.run(&["requests"]).expect(0);
    place.run(&["token", "list"]).expect(77);
    place.set("SIXPACK_TOKEN", "");
    let listed = place.run(&["token", "list", "--json"]).expect(0);
    assert!(!listed.stdout.contains(token));
    let ci = listed.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|token| token["name"] == "ci")
        .cloned()
        .unwrap();
    place.run(&["token", "revoke", ci["id"].as_str().unwrap()]).expect(0);
    place.set("SIXPACK_TOKEN", token);
    place.run(&["requests"]).expect(77);
}

#[test]
fn a_dataset_is_made_again_and_the_facts_that_differ_are_told() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let _shop = Shop::open(&place);
    let file = place.put("paying.yaml", SCENARIO);
    place.run(&["apply", "-f", &file]).expect(0);
    let make = |country: &str| {
        let country = format!("country={country}");
        let made = place.run(&["request", "checkout/paying-customer", "--set", &country, "--json"]);
        let made = made.expect(0).json();
        let lease = made["leases"][0]["id"].as_str().unwrap().to_owned();
        place.run(&["lease", "release", &lease, "--wait"]).expect(0);
        made["leases"][0]["dataset"]["id"].as_str().unwrap().to_owned()
    };
    let french = make("FR");
    let again = place.run(&["request", "--rerun-of", &french]).expect(0).stdout;
    assert!(again.contains(&format!("rerun of {french}: its facts are the same")), "{again}");
    let czech = make("CZ");
    let again = place.run(&["request", "--rerun-of", &czech, "--environment", "default"]).expect(0).stdout;
    for part in [&format!("rerun of {czech}: one fact differs"), "PART", "customer  /login"] {
        assert!(again.contains(part), "{part} in\n{again}");
    }
    let again = place.run(&["request", "--rerun-of", &czech, "--json"]).expect(0).json();
    assert_eq!((&again["rerun"]["of"], &again["rerun"]["facts"]), (&czech.into(), &"different".into()));
    assert_eq!(again["rerun"]["differences"][0]["pointer"], "/login");
    let shown = place.run(&["requests", "show", again["id"].as_str().unwrap()]).expect(0).stdout;
    assert!(shown.contains("one fact differs"), "{shown}");
}

#[test]
fn a_rerun_that_cannot_be_says_why() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let _shop = Shop::open(&place);
    let unknown = "ds_00000000000000000000000000";
    let refused = place.run(&["request", "--rerun-of", unknown]).expect(1);
    assert!(
        refused.stderr.contains(unknown) && refused.stderr.contains("sixpack datasets list"),
        "{refused:?}"
    );
    place.run(&["request", "--rerun-of", unknown, "customer/active-customer"]).expect(64);
    place.run(&["request", "--rerun-of", unknown, "--set", "country=FR"]).expect(64);
    place.run(&["request"]).expect(64);
}

#[test]
fn a_leased_dataset_is_extended_and_a_failed_extension_ends_like_a_failed_request() {
    let mut place = Place::new();
    let _server = place.start_dev(&[]);
    let _shop = Shop::open(&place);
    let request =
        place.run(&["request", "customer/active-customer", "--set", "country=FR", "--json"]).expect(0);
    let lease = request.json()["leases"][0]["id"].as_str().unwrap().to_owned();
    let extend = |more: &[&str]| {
        let arguments = [&["extend", lease.as_str(), "billing/payment-account"], more].concat();
        place.run(&arguments)
    };
    let lacking = extend(&[]).expect(65);
    assert!(
        lacking.stderr.contains("country"),
        "the customer is known, the country is not: {}",
        lacking.stderr
    );
    let made = extend(&["--set", "country=FR"]).expect(0).stdout;
    assert!(
        made.starts_with("extend_1  billing/payment-account@1  ready\n") && made.contains("account_id"),
        "{made}"
    );
    let refused = extend(&["--input", r#"{"country":"DE"}"#]).expect(20).stdout;
    for part in ["extend_2  billing/payment-account@1  failed", "country_closed", "owner    Billing"] {
        assert!(refused.contains(part), "{part} in\n{refused}");
    }
    let json = extend(&["--set", "country=FR", "--json"]).expect(0).json();
    assert_eq!((&json["step"], &json["status"]), (&"extend_3".into(), &"ready".into()), "{json}");
    let shown = place.run(&["lease", "show", &lease]).expect(0).stdout;
    assert!(shown.contains("extend_1") && shown.contains("extend_2"), "{shown}");
    let fenced = extend(&["--set", "country=FR", "--fence", "1"]).expect(1).stderr;
    assert!(fenced.contains("lease_fenced"), "{fenced}");
    place.run(&["lease", "release", &lease, "--wait"]).expect(0);
    let ended = extend(&["--set", "country=FR"]).expect(1).stderr;
    assert!(ended.contains("lease_ended"), "{ended}");
}
